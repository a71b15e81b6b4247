"""The test split: one worker looks at it, once in a search's life, for the best trial when nothing runs any more.

A worker that dies while it looks has told nobody what it saw: another one looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.search.deciding.failures import ATTEMPTS, kind_of
from archsearch.search.deciding.messages import Test
from archsearch.space.settings import Precision

INTERRUPTED = "test_interrupted"  # of the ledger's notes


class FinalTest:
    """Where it is not `wanted` nobody looks."""

    def __init__(self, folder: ExperimentFolder, ledger: Ledger, *, wanted: bool) -> None:
        self._folder, self._ledger, self._wanted = folder, ledger, wanted
        self._asked = False

    def ask(self, precision: Precision | None) -> Test | None:
        """What a worker is to test; None where nothing is to be, or somebody does already."""
        best = self._ledger.best()
        if not self._wanted or self._asked or best is None or self._ledger.has(TrialState.RUNNING) or self.done():
            return None
        with suppress(OSError):
            weights = self._folder.weights(best.number).read_bytes()
            self._asked = True
            return Test(number=best.number, architecture=best.architecture, weights=weights, precision=precision)
        return None

    def found(self, number: int, metrics: Mapping[str, Any]) -> None:
        """The winner's figures."""
        self._ledger.note("tested", dict(metrics), trial=number)

    def failed(self, number: int, reason: str) -> bool:
        """Whether it was the test of a trial that has ended, and not the trial, that failed; that is written down.
        Where the worker died, `ask` asks another, as often as a trial would be tried again."""
        if not self._asked or not self._ledger.trial(number).state.ended:
            return False
        kind = kind_of(reason)
        deaths = sum(kind_of(event.data["reason"]) == kind for event in self._ledger.events_of(INTERRUPTED))
        again = kind == "preempted" or (kind in ("crashed", "hung") and deaths + 1 < ATTEMPTS[kind])
        self._asked = not again
        self._ledger.note(INTERRUPTED if again else "test_failed", {"reason": reason}, trial=number)
        return True

    def done(self) -> bool:
        """Whether the test split was touched."""
        return bool(self._ledger.events_of("tested", "test_failed"))
