"""The test split: one worker looks at it, once for a winner: the best trial when nothing runs any more. A search that
goes on with more trials after its end may have another winner, which is tested then.

A worker that dies while it looks has told nobody what it saw: another one looks.
"""

from __future__ import annotations

from collections.abc import Callable

from archsearch.experiment import ExperimentFolder, Failure, Ledger, TrialState
from archsearch.experiment.predictions import keep
from archsearch.reading.errors import InputError
from archsearch.search.deciding.failures import ATTEMPTS, times
from archsearch.search.deciding.messages import Test, Tested
from archsearch.space.settings import Precision

INTERRUPTED = "test_interrupted"  # of the ledger's notes


class FinalTest:
    """Hands the test to one worker at a time; with `enabled` false to none."""

    def __init__(
        self, folder: ExperimentFolder, ledger: Ledger, *, enabled: bool, tell: Callable[[str], object]
    ) -> None:
        self._folder, self._ledger, self._enabled, self._tell = folder, ledger, enabled, tell
        self._in_progress = False

    def ask(self, precision: Precision | None) -> Test | None:
        """What a worker is to test; None where nothing is to be tested, or a worker tests already."""
        best = self._ledger.best()
        if not self._enabled or self._in_progress or best is None:
            return None
        if self._ledger.has(TrialState.RUNNING) or self._ledger.events_of("tested", "test_failed", trial=best.number):
            return None
        digest = self._ledger.weights_digest(best.number)
        try:
            weights = self._folder.read_weights(self._folder.weights(best.number), digest)
        except OSError as error:
            reason = f"its weights cannot be read: {error.strerror or error}"
            self._ledger.note("test_failed", {"reason": reason}, trial=best.number)
            return None
        except InputError as error:  # other weights than those that were chosen: nobody is told how good they are
            self._ledger.note("test_failed", {"reason": f"damaged: {error.problems[0].message}"}, trial=best.number)
            return None
        if digest is None:
            self._tell(
                f"testing weights of {best.id} without a SHA-256 in the ledger, which an earlier archsearch wrote"
            )
        self._in_progress = True
        return Test(number=best.number, architecture=best.architecture, weights=weights, precision=precision)

    def passed(self, report: Tested) -> None:
        """Writes down what the test split says of the winner: its predictions are on disk before the ledger has it."""
        number, objective = report.number, self._ledger.objective
        if objective.test not in report.metrics:
            reason = f"the test images do not define its {objective.label}"
            self._ledger.note("test_failed", {"reason": reason}, trial=number)
            return
        if report.predictions is not None:
            weights, sha256 = self._folder.weights(number), self._ledger.weights_digest(number)
            keep(self._folder, self._ledger, report.predictions, weights, sha256, number)
        self._ledger.note("tested", dict(report.metrics), trial=number)

    def failed(self, number: int, failure: Failure) -> bool:
        """Whether it was the test of a trial that has ended, and not the trial, that failed; that is written down.
        Where the worker died, `ask` asks another, as often as a trial would be tried again."""
        if not self._in_progress or not self._ledger.trial(number).state.ended:
            return False
        kind = failure.kind
        deaths = times(self._ledger.events_of(INTERRUPTED), kind)
        retry = kind == "preempted" or (kind in ("crashed", "hung") and deaths + 1 < ATTEMPTS[kind])
        self._in_progress = not retry
        self._ledger.note(INTERRUPTED if retry else "test_failed", {"reason": str(failure)}, trial=number)
        return True
