"""The latency gate: a candidate is measured on a worker's device before it may become a trial, where the budget
bounds latency or it is an objective.

Measured once for each network, whatever its trainings, and kept in the ledger. From a few measurements on, a model of
the exact counts keeps candidates from being proposed that would most likely break the bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.experiment import Failure, Ledger
from archsearch.search.deciding.failures import ATTEMPTS
from archsearch.search.deciding.messages import LatencyFailed, LatencyMeasured, Measure
from archsearch.space.budget import Latency
from archsearch.space.space import SearchSpace
from archsearch.training.measuring.line import LatencyModel

if TYPE_CHECKING:
    from archsearch.search.proposing.proposals import Candidate
    from archsearch.space.many.feasible import Feasible

KIND = "latency"  # of the ledger's note
ENOUGH = 6  # measurements before the model speaks
COUNTS = ("macs", "activations", "params", "layers")
LIKELY = 0.3  # a candidate of less probability to keep the bound is not proposed


class Gate:
    """Has the latency of candidates measured where the budget bounds it or it is an objective, and admits those that
    keep the bound.

    `pending` candidates, by identity, are being measured, or will be `again`, since a worker died over them.
    """

    def __init__(self, space: SearchSpace, ledger: Ledger) -> None:
        self._budget, self._ledger = space.budget, ledger
        self._bound = space.budget.latency
        if self._bound is None and "latency" in space.search.objectives:
            self._bound = Latency(min=0.0)
        self.pending: dict[str, Candidate] = {}
        self.again: list[str] = []
        self._deaths: Counter[str] = Counter()
        self._notes: list[Mapping[str, Any]] = [event.data for event in ledger.events_of(KIND)]

    @property
    def refused(self) -> list[tuple[str, Mapping[str, Any]]]:
        """(digest, choices) of each candidate that was measured and does not keep the bound."""
        return [(note["digest"], note["choices"]) for note in self._notes if not note["admitted"]]

    def priced(self, candidate: Candidate) -> Candidate:
        """The candidate with its network's latency, where that was measured for another training."""
        latency = next((note["latency"] for note in self._notes if note["digest"] == candidate.digest), None)
        return candidate if latency is None else _with_latency(candidate, float(latency["median_ms"]))

    def ask(self, candidate: Candidate) -> Measure | None:
        """What a worker is to measure; None where latency is not asked for, or is known."""
        if self._bound is None or candidate.price.latency is not None:
            return None
        self.pending[candidate.identity] = candidate
        return self.measure(candidate.identity)

    def measure(self, identity: str) -> Measure:
        """The instruction for a candidate that is pending."""
        assert self._bound is not None
        return Measure(
            identity=identity,
            architecture=self.pending[identity].architecture.to_dict(),
            batch=self._bound.batch,
            precision=self._bound.precision,
        )

    def lost(self, identity: str, failure: Failure) -> LatencyFailed | None:
        """The worker that measured this candidate died: another one will measure it. The report that it cannot be
        measured, where that happened too often."""
        self._deaths[identity] += 1
        if self._deaths[identity] < ATTEMPTS["crashed"]:
            self.again.append(identity)
            return None
        return LatencyFailed(identity=identity, failure=failure)

    def answer(self, report: LatencyMeasured | LatencyFailed) -> Candidate | None:
        """The candidate with its latency, if it keeps the bound; what was measured is kept in any case."""
        candidate = self.pending.pop(report.identity)
        counts = {name: int(count) for name, count in candidate.price.to_dict().items()}
        admitted, latency, reason = False, None, None
        with self._ledger.transaction():
            match report:
                case LatencyFailed(failure=failure):
                    reason = str(failure)
                case LatencyMeasured():
                    latency = dict(report.latency)
                    candidate = _with_latency(candidate, float(latency["median_ms"]))
                    violations = self._budget.violations(candidate.price)
                    admitted = all(amount <= 0 for amount in violations.values())
            note = {
                "digest": candidate.digest,
                "choices": candidate.choices,
                "costs": {**counts, "layers": candidate.layers},
                "latency": latency,
                "reason": reason,
                "admitted": admitted,
            }
            self._ledger.note(KIND, note)
            if latency is not None and not admitted:
                self._ledger.reject(choices=candidate.choices, violations=violations, cost=counts)
        self._notes.append(note)
        return candidate if admitted else None

    def teach(self, feasible: Feasible) -> None:
        """Fits a model of latency to what was measured; from then on `feasible` hands out no candidate that would
        hardly keep the bound."""
        measured = [note for note in self._notes if note["latency"] is not None]
        if self._budget.latency is None or len(measured) < ENOUGH:
            return
        costs = {name: np.array([note["costs"][name] for note in measured]) for name in COUNTS}
        model = LatencyModel.fit(costs, [note["latency"]["median_ms"] for note in measured])
        bound = self._budget.latency
        low, high = bound.low or 0.0, bound.high if bound.high is not None else np.inf
        feasible.also = lambda counts: model.within(counts, low=low, high=high, probability=LIKELY)


def _with_latency(candidate: Candidate, milliseconds: float | None) -> Candidate:
    return replace(candidate, price=replace(candidate.price, latency=milliseconds))
