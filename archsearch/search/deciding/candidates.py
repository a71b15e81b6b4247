"""Which candidate becomes a trial next: a sampler's proposal, whose latency is measured first where that is bounded."""

from __future__ import annotations

from archsearch.architecture.spec import Architecture
from archsearch.experiment import Failure, Ledger, Trial
from archsearch.search.deciding.gate import Gate
from archsearch.search.deciding.inheritance import untrained
from archsearch.search.deciding.messages import LatencyFailed, LatencyMeasured, Measure
from archsearch.search.deciding.observer import Observer
from archsearch.search.proposing.experience import weights_of
from archsearch.search.proposing.first import first_choices
from archsearch.search.proposing.proposals import Candidate, Proposals
from archsearch.search.proposing.samplers import Sampler
from archsearch.search.proposing.warm_start import carried_results
from archsearch.shrinking.kept import KIND as PARENT
from archsearch.space.space import SearchSpace


class Candidates:
    """The proposals of a search, as its ledger left them, behind the latency gate."""

    def __init__(self, space: SearchSpace, ledger: Ledger, observer: Observer) -> None:
        self._ledger, self._observer = ledger, observer
        self._inherits = bool(ledger.events_of(PARENT))
        self._gate = Gate(space, ledger)
        self._proposals = Proposals(
            space,
            ledger.trials_as_known(),
            [*untrained(ledger), *ledger.epochs()],
            prior=carried_results(ledger),
            objective=ledger.objective,
            weights=weights_of(ledger),
            first=first_choices(ledger),
            refused=self._gate.refused,
        )
        self._gate.teach(self._proposals.feasible)
        self._proposals.prepare()
        self._exhausted = False

    @property
    def sampler(self) -> Sampler:
        """The sampler that chooses."""
        return self._proposals.sampler

    @property
    def pending(self) -> int:
        """How many candidates are being measured: each may become a trial."""
        return len(self._gate.pending)

    def remeasure(self) -> Measure | None:
        """The measurement of a candidate over which a worker died; None where there is none."""
        return self._gate.measure(self._gate.again.pop(0)) if self._gate.again else None

    def propose(self, number: int, *, lanes: int = 1) -> Candidate | Measure | None:
        """The candidate that becomes trial `number` of a search on so many lanes, or the measurement that decides
        whether it does; None where the space is used up."""
        if self._exhausted:
            return None
        candidate = self._proposals.propose(number, lanes=lanes)
        if candidate is None:
            self._exhausted = True
            self._ledger.note("exhausted", {"trials": number - 1})
            self._observer.phase(f"the whole space was tried: {number - 1} networks within the budget")
            return None
        candidate = self._gate.priced(candidate)
        return self._gate.ask(candidate) or candidate

    def prepare_next(self, number: int, *, lanes: int) -> None:
        """Chooses candidates for the next trials of a search on many lanes, while none of them waits."""
        if not self._exhausted:
            self._proposals.prepare_next(number, lanes=lanes)

    def measured(self, report: LatencyMeasured | LatencyFailed) -> Candidate | None:
        """The measured candidate, if its latency keeps the budget; otherwise its network is not proposed again."""
        digest, candidate = self._gate.pending[report.identity].digest, self._gate.answer(report)
        self._gate.teach(self._proposals.feasible)
        if candidate is None:
            self._proposals.refuse(digest)
        return candidate

    def lost(self, identity: str, failure: Failure) -> None:
        """The worker that measured this candidate died."""
        if (report := self._gate.lost(identity, failure)) is not None:
            self.measured(report)

    def begins(self, number: int, candidate: Candidate) -> None:
        """The candidate is trial `number` from now on."""
        self._proposals.begins(number, candidate)

    def learn(self, trial: Trial) -> None:
        """The sampler learns what is known of a trial that has paused or ended."""
        first = untrained(self._ledger, trial.number) if self._inherits else []
        self._proposals.learn(trial, [*first, *self._ledger.epochs(trial.number)])

    def typical(self) -> Architecture | None:
        """An architecture of middling FLOPs, always the same; None where nothing can be proposed."""
        return self._proposals.typical()
