"""What is tried next: a sampler's choice among the candidates that the budget admits, none of them twice.

Everything here is a reading of the ledger: `Proposals` is built anew from it at each start, and the random numbers
of a proposal come from the search's seed and the trial's number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import Epoch, Trial, TrialState
from archsearch.search.proposing.records import Records, TrainedCandidate
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.samplers.experience import Experience
from archsearch.search.proposing.samplers.registry import sampler_for, takes_experience
from archsearch.search.proposing.samplers.uniform import Uniform
from archsearch.space.budget import Price
from archsearch.space.choices import RecordedChoices
from archsearch.space.many.columns import IntArray
from archsearch.space.many.feasible import Feasible
from archsearch.space.space import SearchSpace

ATTEMPTS = 5_000  # candidates in a row whose networks were proposed already, before the space counts as used up
LANES = 32  # for each so many one more trial is chosen at once, two at least
REPEATED = 3  # of a warm start's best networks that are trained again


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A point of the space, its network and what it costs.

    `digest` is the network's; `identity` is that of the network and its training, by which candidates are told apart.
    """

    choices: dict[str, Any]
    architecture: Architecture
    price: Price
    layers: int
    digest: str
    identity: str


def derived_seed(seed: int, *path: object) -> int:
    """A seed of its own for each use, so that a resumed search goes on exactly as it would have."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


class Proposals:
    """Proposes candidates that the budget admits and that were not proposed before.

    `trials` (in the order in which they were first known) and `epochs` are the ledger's; `prior` are results of other
    experiments on the same data (a warm start), `weights` those of what experiments on any data taught (None: nothing);
    `refused` are the digests and choices that a measured latency ruled out; `first` are the choices of those that come
    before all others, within the budget; `objective` is the metric of epochs and of
    results.
    """

    def __init__(
        self,
        space: SearchSpace,
        trials: Sequence[Trial] = (),
        epochs: Sequence[Epoch] = (),
        *,
        prior: Sequence[TrainedCandidate] = (),
        weights: Mapping[str, float] | None = None,
        refused: Iterable[tuple[str, Mapping[str, Any]]] = (),
        first: Iterable[Mapping[str, Any]] = (),
        objective: Objective = BY_ACCURACY,
    ) -> None:
        self._space, self._objective = space, objective
        self._threads = ThreadpoolController()  # finding the libraries takes milliseconds
        self.feasible = Feasible(space, seed=derived_seed(space.search.seed, "candidates"))
        sampler = sampler_for(space.search)
        if weights is not None and isinstance(sampler, Bayes) and takes_experience(space.search):
            experience = Experience(weights=weights)
            sampler = replace(sampler, experience=experience if experience.tells(self.feasible) else None)
        self.sampler = sampler if self.feasible.columns else Uniform()  # of one network there is nothing to learn
        self._records = Records(
            columns=len(self.feasible.columns),
            objectives=tuple(space.search.objectives),
            objective=objective,
            rungs=space.search.early_stopping.rungs(space.training.epochs),
            full=space.training.epochs,
        )
        self._rows: dict[int, IntArray] = {}  # by the number of a trial that began since
        self._ahead = list[IntArray]()  # rows, made when so many results were known:
        self._ahead_of = self._results = 0
        self._counted: tuple[bytes, Candidate] | None = None  # the first of them
        self._identities = {self._identity(trial.digest, trial.choices) for trial in trials}
        self._refused = set[str]()
        carried = [(row, trained) for trained in prior if (row := self._row(trained.choices)) is not None]
        for row, trained in carried:
            self._records.learn(row, trained)
        known = [row for choices in first if (row := self._row(choices)) is not None]
        self._beginning = [*known, *self._to_repeat(carried)]
        curves: dict[int, list[Epoch]] = {}
        for epoch in epochs:
            curves.setdefault(epoch.trial, []).append(epoch)
        for refused_digest, choices in refused:
            self.refuse(refused_digest)
            self._identities.add(self._identity(refused_digest, choices))
            if (row := self._row(choices)) is not None:
                self.feasible.use(row)
        for trial in trials:
            self.learn(trial, curves.get(trial.number, []))

    def propose(self, number: int, *, lanes: int = 1) -> Candidate | None:
        """The candidate of trial `number`, or None where the space holds no new one within the budget. For many
        `lanes` several are chosen at once, see `prepare_next`."""
        rng = self._generator(number)
        proposal: Candidate | None = None
        repetitions: list[IntArray] = []
        for attempt in range(ATTEMPTS):
            if attempt == 0 and number <= len(self._beginning):
                row: IntArray | None = self._beginning[number - 1]
            else:
                row = self._next_row(rng, lanes // LANES)
            if row is None:
                break
            self.feasible.use(row)
            candidate = self._candidate(row)
            # Otherwise other choices for a network that was proposed, or a network that its latency ruled out.
            if candidate.identity not in self._identities and candidate.digest not in self._refused:
                self._identities.add(candidate.identity)
                proposal = candidate
                break
            if self._space.trainings.parameters:
                repetitions.append(row)
        # The ledger does not know of these, so that a resumed search has them before it again.
        for row in repetitions:
            self.feasible.release(row)
        return proposal

    def prepare_next(self, number: int, *, lanes: int) -> None:
        """For many lanes, while none of them waits: chooses what trial `number` and the next ones are to be, one for
        every `LANES` lanes, and counts the first. While they wait as many results may come as trials were chosen.
        For fewer lanes than twice `LANES` nothing is chosen beforehand: each choice follows from all results."""
        several = lanes // LANES
        if several < 2 or not isinstance(self.sampler, Bayes) or number <= len(self._beginning):
            return
        if not self._is_recent(several):
            self._ahead = self._choose(self._generator(number), several)
        if self._ahead and (self._counted is None or self._counted[0] != self._ahead[0].tobytes()):
            self._counted = self._ahead[0].tobytes(), self.candidate(self._ahead[0])

    def _generator(self, number: int) -> np.random.Generator:
        # A candidate that its latency ruled out leaves its number to the next one, which draws anew.
        return np.random.default_rng(derived_seed(self._space.search.seed, number, len(self._identities)))

    def _is_recent(self, several: int) -> bool:
        """Whether there are rows that were chosen beforehand, and not many results came since."""
        return several > 1 and bool(self._ahead) and self._results - self._ahead_of <= several

    def _next_row(self, rng: np.random.Generator, several: int) -> IntArray | None:
        """The sampler's next row, one that was chosen beforehand where there is one; None: there is none."""
        while self._is_recent(several):
            if not self.feasible.is_used(row := self._ahead.pop(0)):
                return row
        rows = self._choose(rng, several)
        self._ahead = rows[1:]
        return rows[0] if rows else None

    def _choose(self, rng: np.random.Generator, several: int) -> list[IntArray]:
        """Rows that the sampler proposes: one, or of `Bayes` as many as `several` says."""
        self._ahead_of = self._results
        # The trials have the cores: several threads of linear algebra would wait for one another.
        with self._threads.limit(limits=1):
            history = self._records.history()
            if isinstance(self.sampler, Bayes):
                return self.sampler.several(history, self.feasible, rng, max(1, several))
            row = self.sampler.propose(history, self.feasible, rng)
            return [] if row is None else [row]

    def _candidate(self, row: IntArray) -> Candidate:
        """As `candidate`, where it was not counted beforehand."""
        counted, self._counted = self._counted, None
        return counted[1] if counted is not None and counted[0] == row.tobytes() else self.candidate(row)

    def prepare(self) -> None:
        """Counts the candidates that the first proposals choose from, while the workers still start."""
        self.feasible.prepare(getattr(self.sampler, "anchor_pool", 1))

    def refuse(self, digest: str) -> None:
        """The network of this digest is not proposed, with whatever training."""
        self._refused.add(digest)

    def begins(self, number: int, candidate: Candidate) -> None:
        """The candidate runs as trial `number`; samplers see it as one without a score."""
        if (row := self._row(candidate.choices)) is not None:
            self._rows[number] = row
            self._records.begin(number, row)

    def learn(self, trial: Trial, epochs: Iterable[Epoch]) -> None:
        """Takes a trial's newest state in: it was proposed, it paused at a rung, or it ended."""
        row = self._rows.get(trial.number)
        if row is None:
            if (row := self._row(trial.choices)) is None:
                return
            self.feasible.use(row)
            self._identities.add(self._identity(trial.digest, trial.choices))
        # Of one that goes on above its rung no more is known than it scored there; of one that failed, nothing.
        running = trial.state in (TrialState.WAITING, TrialState.RUNNING)
        last = trial.rung if running else 0 if trial.state is TrialState.FAILED else trial.epochs
        scores = {e.epoch: e.metrics.get(self._objective.validation) for e in epochs if e.epoch <= last}
        curve = {epoch: score for epoch, score in scores.items() if score is not None}
        trained = TrainedCandidate(choices=trial.choices, costs=trial.cost, curve=curve, ended=trial.ended or 0.0)
        self._results += 1
        self._records.learn(row, trained, number=trial.number, ended=trial.state.ended or bool(curve))

    def candidate(self, row: IntArray) -> Candidate:
        """The network of a row of codes (D,), with its cost and its digest."""
        choices = self.feasible.grid.choices(row)
        architecture = self._space.architecture(RecordedChoices(choices))
        counted, network = cost(architecture), digest(architecture)
        return Candidate(
            choices=choices,
            architecture=architecture,
            price=self._space.price(counted),
            layers=counted.layers,
            digest=network,
            identity=self._identity(network, choices),
        )

    def typical(self) -> Architecture | None:
        """A candidate's network of median FLOPs, always the same, for what is measured once for a search.

        It is not used up by that. None where no candidate fits the budget.
        """
        row = self.feasible.typical()
        return None if row is None else self.candidate(row).architecture

    def _to_repeat(self, carried: Sequence[tuple[IntArray, TrainedCandidate]]) -> list[IntArray]:
        """The best of a warm start within the budget come first: their weights are elsewhere, and a search must not
        end behind what was known at its start."""
        rows = np.array([row for row, _ in carried], np.int32).reshape(len(carried), len(self.feasible.columns))
        admitted = {row.tobytes() for row in self.feasible.admitted(rows)} if len(rows) else set()

        def rank(pair: tuple[IntArray, TrainedCandidate]) -> tuple[int, float]:
            epochs, value = max(pair[1].curve.items())
            return epochs, self._objective.key(value)  # of equally long trainings the better, and longer ones first

        return [row for row, _ in sorted(carried, key=rank, reverse=True) if row.tobytes() in admitted][:REPEATED]

    def _identity(self, digest: str, choices: Mapping[str, Any]) -> str:
        trainings = self._space.trainings
        return trainings.identity(digest, trainings.overrides(choices))

    def _row(self, choices: Mapping[str, Any]) -> IntArray | None:
        """The codes (D,) of choices, None where this space does not hold them."""
        return self.feasible.grid.codes(choices, np.random.default_rng(0))
