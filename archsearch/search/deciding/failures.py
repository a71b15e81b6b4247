"""What becomes of a trial that failed, or whose worker died: it is tried again, or has failed; and when a search in
which nothing succeeds gives up.

A reason begins with its kind and a colon. All is counted from the ledger, so that a new driver counts on.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from archsearch.experiment import Ledger, Trial, TrialState

if TYPE_CHECKING:
    from archsearch.space import SearchSpace

# Attempts in all, by the kind of failure. Others (nan, data, an error of the program) would end the same way again;
# a preempted worker uses up none. A hung one has wasted its whole limit: once more is enough.
ATTEMPTS = {"crashed": 3, "hung": 2, "oom": 4}
GIVE_UP = 5  # trials that failed before any succeeded


class Failures:
    """Asked after every failure."""

    def __init__(self, space: SearchSpace, ledger: Ledger) -> None:
        self._space, self._ledger = space, ledger
        self._limit = space.search.trial_limit
        self._give_up_after = min(GIVE_UP, space.search.trials)

    def again(self, number: int, reason: str) -> str | None:
        """In words, that the trial is tried again, for the ledger; None where it has failed."""
        kind = kind_of(reason)
        if kind == "preempted":
            return reason
        attempt = self._times(number, kind) + 2
        if attempt > ATTEMPTS.get(kind, 1):
            return None
        if kind != "oom":
            return reason
        size = self._size(number) >> (attempt - 1)
        return f"{reason}; again with {size} images at once" if size else None

    def is_late(self, number: int) -> str | None:
        """That the epochs of this trial took longer than a trial may."""
        if self._limit is None:
            return None
        spent = sum(epoch.metrics["seconds"] or 0.0 for epoch in self._ledger.epochs(number))
        if spent <= self._limit:
            return None
        return f"late: {spent:.0f} s of training; search.trial_limit is {self._limit:.0f} s"

    def micro_batch(self, number: int) -> int | None:
        """How many images a trial that ran out of memory now takes at once: half as many after each time. None: as
        the settings say."""
        times = self._times(number, "oom")
        return self._size(number) >> times if times else None

    def hopeless(self) -> str | None:
        """Why the search gives up: its first trials have all failed."""
        # Asked at every step of a search: in a healthy one it costs a look-up.
        if self._ledger.has(TrialState.FINISHED, TrialState.STOPPED, TrialState.PAUSED):
            return None
        counts = self._ledger.counts()
        if counts.failed < self._give_up_after:
            return None
        return f"the first {counts.failed} trials failed; {commonest(self._ledger.trials(TrialState.FAILED))}"

    def _size(self, number: int) -> int:
        """Images at once, as the trial's own settings say."""
        settings = self._space.training.with_overrides(
            self._space.trainings.overrides(self._ledger.trial(number).choices)
        )
        return settings.micro_batch or settings.batch_size

    def _times(self, number: int, kind: str) -> int:
        requeued = self._ledger.events_of("requeued", trial=number)
        return sum(kind_of(event.data["reason"]) == kind for event in requeued)


def kind_of(reason: str) -> str:
    """`oom: no memory` -> oom."""
    return reason.partition(":")[0]


def commonest(failed: list[Trial]) -> str:
    """The reason that most of them share, one line: `4 of them: nan: ...`."""
    kind = statistics.mode(kind_of(trial.reason or "failed") for trial in failed)
    alike = [trial for trial in failed if kind_of(trial.reason or "failed") == kind]
    first = (alike[0].reason or "failed").splitlines()[0]
    return f"{len(alike)} of them such as {alike[0].id}: {first}"
