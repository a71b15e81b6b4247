"""How far a training is along its schedule, which ends at rungs and at the last epoch, also where that is moved."""

from __future__ import annotations

from archsearch.training.recipe import checked_rungs, segment


class Course:
    """Epochs (counted from 0) and steps -> the step of the schedule. Each rung below the end ends a whole schedule.

    An end that is moved while the training goes on bends the course: from there the rest of the schedule is passed
    through in the epochs that are left, so that the rate still falls to zero at the end, without a jump.
    """

    def __init__(self, epochs: int, rungs: tuple[int, ...] = ()) -> None:
        self.rungs = checked_rungs(rungs)
        self.epochs = epochs
        self._bends: list[tuple[int, int]] = []  # (epoch of the move, former end)

    def end_at(self, end: int, *, epoch: int) -> None:
        """Moves the end to `end` epochs, `epoch` of which are trained. Raises ValueError for an end that is over."""
        if end <= epoch:
            raise ValueError(f"a training of {epoch} epochs cannot end after {end}")
        if end != self.epochs:
            self._bends.append((epoch, self.epochs))
            self.epochs = end

    def schedule_step(self, epoch: int, step: int, steps: int) -> tuple[float, int]:
        """(step, total) of the schedule at this step of an epoch of `steps` steps, as `learning_rate` takes them."""
        first, end = segment(epoch, self.epochs, self.rungs)
        bends = [bend for bend in self._bends if bend[0] >= first] if end == self.epochs else []
        total = (end - first) * steps
        if not bends:
            return (epoch - first) * steps + step, total
        fraction, start = 0.0, float(first)  # of the schedule that was passed through at `start`
        for bend, former_end in bends:
            fraction += (1 - fraction) * (bend - start) / (former_end - start)
            start = bend
        fraction += (1 - fraction) * (epoch + step / steps - start) / (end - start)
        return fraction * total, total

    def state(self) -> list[list[int]]:
        """The moves of the end, then the end itself, as JSON values."""
        return [list(bend) for bend in self._bends] + [[self.epochs]]

    def restore(self, state: list[list[int]]) -> None:
        """The inverse of `state`."""
        *bends, (self.epochs,) = state
        self._bends = [(bend, former_end) for bend, former_end in bends]
