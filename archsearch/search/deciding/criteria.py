"""What ends a search: its trials, its epochs, its wall time. Asked before a trial begins and before one goes on.

Trials: no more than `search.trials` begin.

Epochs: with `search.epochs` no trial begins, and none goes on above its rung, unless its epochs until it next pauses or
ends fit into what is left; what a running trial has still to train is spent already. As long as no trial has finished,
as many epochs are held back as the furthest of the paused ones needs to its end. So one is trained in full, if the
budget lasts for that, and for as many epochs as there are, its schedule of that length, if it does not. An epoch that
is trained again after a crash counts once, and what a failed trial has trained stays spent.

Wall time: a trial begins or goes on as long as the best paused one can still be trained to its end after it. Then the
best train on, one a lane, until an epoch that fits (see `Deadline`).

When nothing more may begin and nothing runs, what is paused is stopped, and the search has finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from archsearch.experiment import Ledger, Trial, TrialState
from archsearch.experiment.steady import steady
from archsearch.search.deciding.deadline import Deadline

if TYPE_CHECKING:
    from archsearch.search.deciding.rungs import Rungs
    from archsearch.space.space import SearchSpace

UNDER_WAY = (TrialState.RUNNING, TrialState.WAITING)


class Criteria:
    """Which trials may begin and go on, and the epoch at which each ends: a reading of the ledger, and of the clock."""

    def __init__(self, space: SearchSpace, ledger: Ledger, rungs: Rungs, *, clock: Callable[[], float] = steady):
        self._ledger, self._rungs, self._full = ledger, rungs, space.training.epochs
        self._trials = space.search.trials
        self._epochs = math.inf if space.search.epochs is None else space.search.epochs
        self.deadline = Deadline(space.search.trial_time, self._full, ledger, clock)
        self._ends: dict[int, int] = {}  # of trials that end before the settings' last epoch, or may have to

    # ---- what may begin

    def admits(self, trial: Trial | None, *, pending: int) -> bool:
        """Whether a paused trial may go on to its next pause or its end, or a new one (None) may begin, while so many
        candidates are being measured that may become trials before that."""
        if trial is None and self._ledger.total + pending >= self._trials:
            return False
        return self._fits_epochs(trial, pending) and self.fits_time(trial)

    def can_go_on(self, trial: Trial) -> bool:
        """Whether a paused trial can be trained for at least an epoch more."""
        return self._last_epoch(trial) > trial.rung

    def fits_time(self, trial: Trial | None) -> bool:
        """Whether the best paused trial can still go on to its end after this one's way to its next pause; None is a
        new trial."""
        if not self.deadline.bounded:
            return True
        number, rung = (self._ledger.total + 1, 0) if trial is None else (trial.number, trial.rung)
        best = self._best()
        finalist, finalist_rung = (None, 0) if best is None else (best.number, best.rung)
        epochs = self._next_stop(number, rung) - rung
        return self.deadline.fits(number if trial else None, epochs, finalist=finalist, rung=finalist_rung)

    def finalist(self, promoted: Trial | None) -> Trial | None:
        """Who trains to its end in the time that remains: the best paused trial, once the time lasts no more for
        `promoted` (the trial that would go on, if any) or for a new one. None also where that would be shorter than
        the training of a trial that has finished."""
        if self.fits_time(None) and (promoted is None or self.fits_time(promoted)):
            return None
        best = self._best()
        if best is None or not self.can_go_on(best) or self.planned_end(best) < self._ledger.shortest():
            return None
        return best

    # ---- where a trial ends

    def pause(self, trial: Trial) -> int | None:
        """The rung (epochs) at which the trial pauses next; None where it trains to its end."""
        rung = self._rungs.above(trial.number, trial.rung)
        return rung if rung is None or rung <= self._last_epoch(trial) else None

    def planned_end(self, trial: Trial) -> int:
        """The epoch at which a paused trial would end if it went on to its end now."""
        return self._end(trial, trial.rung)

    def begins(self, trial: Trial, done: int) -> int | None:
        """A running trial that has trained `done` epochs now trains to its end: the epoch of that; None for that of the
        settings."""
        end = self._end(trial, done)
        if end == self._full and not self.deadline.bounded:
            return None
        self._ends[trial.number] = end
        return end

    def end(self, number: int) -> int:
        """The epoch at which the trial ends."""
        return self._ends.get(number, self._full)

    def moved(self, number: int, epoch: int) -> int | None:
        """Another end of a trial that has trained `epoch` epochs, where the time does not last, or lasts for more; else
        None. One that has a single epoch left, its rate next to nothing, is not made longer."""
        if number not in self._ends or not self.deadline.bounded:
            return None
        now, end = self._end(self._ledger.trial(number), epoch), self._ends[number]
        if now == end or (now > end and end - epoch < 2):
            return None
        self._ends[number] = now
        return now

    def _end(self, trial: Trial, epoch: int) -> int:
        return int(min(self.deadline.end(trial.number, epoch), max(epoch + 1, self._last_epoch(trial))))

    # ---- epochs

    def _fits_epochs(self, trial: Trial | None, pending: int) -> bool:
        if math.isinf(self._epochs):
            return True
        first = self._ledger.total + 1
        upcoming = sum(self._next_stop(number, 0) for number in range(first, first + pending))
        remaining = self._epochs - self._committed() - upcoming
        if trial is None and not pending and not self._ledger.has(*UNDER_WAY, TrialState.PAUSED, TrialState.FINISHED):
            return remaining >= 1  # the only hope: it is trained for as many epochs as there are
        number, rung = (first + pending, 0) if trial is None else (trial.number, trial.rung)
        stop = self._next_stop(number, rung)
        return stop - rung + self._held_back(stop) <= remaining

    def _held_back(self, stop: int) -> float:
        """Epochs that must be left after a trial has been trained until `stop`, so that one can be trained in full."""
        if self._ledger.has(TrialState.FINISHED):
            return 0
        furthest = self._rungs.last_promotion()
        return max(0, min(self._full, self._epochs) - max(stop, 0 if furthest is None else furthest.rung))

    def _last_epoch(self, trial: Trial) -> float:
        """The epoch until which a trial may be trained: with it all trials together have had `search.epochs`."""
        if math.isinf(self._epochs):
            return math.inf
        return self._epochs - self._committed() + self._committed_of(trial)

    def _committed(self) -> int:
        """Epochs of all trials, and those to come of the ones that run or wait to run."""
        trained = self._ledger.epochs_trained
        under_way = [trial for state in UNDER_WAY for trial in self._ledger.trials(state)]
        return trained + sum(self._committed_of(trial) - trial.epochs for trial in under_way)

    def _committed_of(self, trial: Trial) -> int:
        if trial.state not in UNDER_WAY:
            return trial.epochs
        end = self._ends.get(trial.number)
        return max(trial.epochs, self._next_stop(trial.number, trial.rung) if end is None else end)

    def _next_stop(self, number: int, rung: int) -> int:
        """The rung above this one of the trial's, or its last epoch."""
        above = self._rungs.above(number, rung)
        return self._full if above is None else above

    def _best(self) -> Trial | None:
        return self._ledger.best(state=TrialState.PAUSED)
