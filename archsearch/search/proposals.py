"""Who proposes: Optuna's samplers, asked in the driver, with the budget as their constraint.

The study lives in memory and is a reading of the ledger: `Proposals` is built anew from it at each start.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState as OptunaState

from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment.records import Epoch, Rejection, Trial, TrialState
from archsearch.reading.errors import InputError
from archsearch.space import RandomChoices, Recorder, SearchSpace

ASKS = 32  # Suggestions that a model may miss before a random admitted candidate is taken instead.
DRAWS = 20_000  # Random candidates before a space counts as used up.


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A point of the space, its network and its cost."""

    choices: dict[str, Any]
    architecture: Architecture
    cost: Cost
    digest: str


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The next trial's candidate, and the candidates that the budget refused before it."""

    candidate: Candidate
    refused: tuple[Candidate, ...] = ()


def derived_seed(seed: int, *path: object) -> int:
    """A seed of its own for each use, so that a resumed search goes on exactly as it would have."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


class Proposals:
    """Proposes candidates that the budget admits and that were not proposed before."""

    def __init__(
        self,
        space: SearchSpace,
        trials: Sequence[Trial] = (),
        refused: Sequence[Rejection] = (),
        epochs: Sequence[Epoch] = (),
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._seen = {trial.digest for trial in trials}
        self._study = optuna.create_study(direction="maximize", sampler=self._sampler(0, 0))
        self._asked: dict[int, optuna.Trial] = {}
        curves: dict[int, list[Epoch]] = {}
        for epoch in epochs:
            curves.setdefault(epoch.trial, []).append(epoch)
        history: list[tuple[float, Trial | Rejection]] = [
            *((trial.created, trial) for trial in trials),
            *((rejection.time, rejection) for rejection in refused),
        ]
        for _, record in sorted(history, key=lambda pair: pair[0]):
            asked, _ = self._ask(record.choices)
            if isinstance(record, Rejection):
                self._study.tell(asked, state=OptunaState.PRUNED)
            else:
                self._asked[record.number] = asked
                if record.state.ended:
                    self.learn(record, curves.get(record.number, []))

    def propose(self, number: int) -> Proposal | None:
        """The candidate of trial `number`, or None where the space holds no new one within the budget."""
        refused: list[Candidate] = []
        for attempt in range(0 if self._space.search.sampler == "random" else ASKS):
            self._study.sampler = self._sampler(number, attempt)
            asked, candidate = self._ask()
            if candidate is not None and self._is_new(candidate):
                return self._hand_out(number, asked, candidate, refused)
            if candidate is None or candidate.digest in self._seen:
                self._study.tell(asked, state=OptunaState.FAIL)
            else:
                self._study.tell(asked, state=OptunaState.PRUNED)
                refused.append(candidate)
        for candidate in self._draws(number):
            if self._is_new(candidate):
                asked, _ = self._ask(candidate.choices)
                return self._hand_out(number, asked, candidate, refused)
        return None

    def _is_new(self, candidate: Candidate) -> bool:
        return self._space.budget.admits(candidate.cost) and candidate.digest not in self._seen

    def _draws(self, number: int) -> Iterator[Candidate]:
        """Random candidates, until there have been very many or every combination of a small space was among them."""
        choices = RandomChoices(random.Random(derived_seed(self._space.search.seed, number, "random")))
        extent, drawn = self._space.extent(), set[tuple[tuple[str, Any], ...]]()
        for _ in range(DRAWS):
            recorder = Recorder(choices)
            if candidate := self._candidate(recorder):
                yield candidate
            drawn.add(tuple(recorder.taken.items()))
            if extent.exact and len(drawn) >= extent.count:
                return

    def learn(self, trial: Trial, epochs: Iterable[Epoch]) -> None:
        """What became of a trial. One that was stopped early stays a stopped one: its curve up to there."""
        asked = self._asked.pop(trial.number)
        match trial.state:
            case TrialState.FINISHED:
                self._study.tell(asked, trial.value)
            case TrialState.STOPPED:
                for epoch in epochs:
                    accuracy = epoch.metrics.get("validation_accuracy")
                    if accuracy is not None:
                        asked.report(accuracy, epoch.epoch)
                self._study.tell(asked, state=OptunaState.PRUNED)
            case _:
                self._study.tell(asked, state=OptunaState.FAIL)

    def _sampler(self, number: int, attempt: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=derived_seed(self._space.search.seed, number, attempt))

    def _ask(self, choices: Mapping[str, Any] | None = None) -> tuple[optuna.Trial, Candidate | None]:
        """The sampler's suggestion, or these choices: the study then knows them as if it had made them."""
        if choices is not None:
            self._study.enqueue_trial(dict(choices))
        asked = self._study.ask()
        candidate = self._candidate(Recorder(_Suggestions(asked)))
        if candidate is not None:
            for name, amount in self._space.budget.violations(candidate.cost).items():
                asked.set_constraint(name, amount)
        return asked, candidate

    def _candidate(self, recorder: Recorder) -> Candidate | None:
        """None where the image runs out on the way, or the choices do not go together."""
        try:
            architecture = self._space.sample(recorder)
            counted = cost(architecture)
        except InputError:
            return None
        return Candidate(
            choices=dict(recorder.taken), architecture=architecture, cost=counted, digest=architecture.digest
        )

    def _hand_out(self, number: int, asked: optuna.Trial, candidate: Candidate, refused: list[Candidate]) -> Proposal:
        self._seen.add(candidate.digest)
        self._asked[number] = asked
        return Proposal(candidate=candidate, refused=tuple(refused))


class _Suggestions:
    """`Choices` that an Optuna trial makes."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(name, tuple(options))

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return self._trial.suggest_float(name, low, high, step=step, log=log)
