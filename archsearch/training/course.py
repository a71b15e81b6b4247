"""How far a training is along its schedule, and where it ends: at rungs, at its last epoch, or before that."""

from __future__ import annotations

from archsearch.training.recipe import checked_rungs, segment


class Course:
    """Epochs (counted from 0) and steps -> a place in the schedule. Each rung below the end ends a whole schedule.

    An end that is moved while the training goes on bends the course: from there the rest of the schedule is passed
    through in the epochs that are left, so that the rate still falls to zero at the end, without a jump.
    """

    def __init__(self, epochs: int, rungs: tuple[int, ...] = ()) -> None:
        self.rungs = checked_rungs(rungs)
        self.epochs = epochs
        self._bends: list[tuple[int, int]] = []  # (from this epoch on, it ended there before)

    def end_at(self, end: int, *, epoch: int) -> None:
        """After `epoch` epochs of it the training is to end after `end`. Raises ValueError where that is over."""
        if end <= epoch:
            raise ValueError(f"a training of {epoch} epochs cannot end after {end}")
        if end != self.epochs:
            self._bends.append((epoch, self.epochs))
            self.epochs = end

    def place(self, epoch: int, step: int, steps: int) -> tuple[float, int]:
        """(step, steps) of the schedule that holds this step of an epoch of `steps`: as `learning_rate` takes them."""
        first, end = segment(epoch, self.epochs, self.rungs)
        bends = [bend for bend in self._bends if bend[0] >= first] if end == self.epochs else []
        total = (end - first) * steps
        if not bends:
            return (epoch - first) * steps + step, total
        gone, since = 0.0, first
        for at, before in bends:
            gone += (1 - gone) * (at - since) / (before - since)
            since = at
        now = epoch + step / steps
        gone += (1 - gone) * (now - since) / (end - since)
        return gone * total, total

    def state(self) -> list[list[int]]:
        """The bends and the end, as plain values."""
        return [list(bend) for bend in self._bends] + [[self.epochs]]

    def restore(self, state: list[list[int]]) -> None:
        """The inverse of `state`."""
        *bends, (self.epochs,) = state
        self._bends = [(at, before) for at, before in bends]
