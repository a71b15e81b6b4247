"""A search's wall time: what of it is left, and how many epochs of a trial fit into that.

The last part is kept for the finalists: the best of the paused trials, one a lane, each trained to its end in what is
left, with a schedule of that length. So a search that is given 30 minutes hands over a network that was trained in
full within them, on a slow machine for fewer epochs.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable

from archsearch.experiment import Ledger
from archsearch.experiment.steady import steady

FINALISTS_SHARE = 0.75  # of the wall time, at most, is kept for the finalists
TAIL, MOST_TAIL = 0.03, 60.0  # of the wall time, seconds: the test, MLflow's last rows and Ray's end
RECENT = 3  # epochs of a trial, by which the next ones are foretold: a machine's speed comes and goes
MARGIN = 1.03  # epochs are taken to be this much slower than they were: validation and a hand-over come on top


class Deadline:
    """How much of `search.wall_time` remains, over all sessions of the ledger, and how many epochs fit into that.

    Without a wall time everything fits, and nothing is ever shortened.
    """

    def __init__(self, wall_time: float | None, epochs: int, ledger: Ledger, clock: Callable[[], float] = steady):
        self._epochs, self._clock = epochs, clock
        self.wall_time = math.inf if wall_time is None else wall_time
        tail = 0.0 if wall_time is None else min(MOST_TAIL, TAIL * wall_time)
        self._until = clock() + self.wall_time - tail - ledger.driven_seconds()
        self._seconds: dict[int, deque[float]] = {}
        self._means: list[float] = []  # rising
        if wall_time is not None:
            for trial in ledger.trials():
                for epoch in ledger.epochs(trial.number)[-RECENT:]:
                    self.saw(trial.number, epoch.metrics["seconds"])

    @property
    def bounded(self) -> bool:
        """Whether the search has a wall time."""
        return math.isfinite(self.wall_time)

    def saw(self, trial: int, seconds: float | None) -> None:
        """Counts an epoch of this trial, which took so many seconds with its validation."""
        if seconds is None or not math.isfinite(seconds) or not self.bounded:
            return
        last = self._seconds.setdefault(trial, deque(maxlen=RECENT))
        if last:
            del self._means[bisect_left(self._means, statistics.mean(last))]
        last.append(seconds)
        insort(self._means, statistics.mean(last))

    def remaining(self) -> float:
        """Seconds of the wall time that remain; below 0 when it is over."""
        return self._until - self._clock()

    def fits(self, trial: int | None, epochs: int, *, finalist: int | None, rung: int) -> bool:
        """Whether so many epochs of a trial (None: a new one) leave time enough for `finalist` to go on from its
        `rung` to the end, or for as much of that as is kept for it."""
        reserve = min(FINALISTS_SHARE * self.wall_time, MARGIN * self._of(finalist) * (self._epochs - rung))
        return self.remaining() - MARGIN * self._of(trial) * epochs >= reserve

    def end(self, trial: int, epoch: int) -> int:
        """The epoch at which a trial that has trained `epoch` of them has to end: the last, or an earlier one, but
        never before the next."""
        seconds = MARGIN * self._of(trial)
        if not self.bounded or seconds == 0:
            return self._epochs
        return max(epoch + 1, min(self._epochs, epoch + int(self.remaining() / seconds)))

    def _of(self, trial: int | None) -> float:
        """Seconds an epoch: the mean of the trial's own last ones, else the median of the other trials'; 0 before
        anything was seen."""
        if trial in self._seconds:
            return statistics.mean(self._seconds[trial])
        if not self._means:
            return 0.0
        middle = len(self._means) // 2  # of all trials, kept in order: asked at every step
        return self._means[middle] if len(self._means) % 2 else (self._means[middle - 1] + self._means[middle]) / 2
