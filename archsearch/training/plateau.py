"""When the learning rate of the schedule plateau falls: as soon as the validation error has stopped falling."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Plateau:
    """Counts `falls` of the rate: one whenever `patience` epochs in a row had no lower error than the lowest before
    them (He 2015, arXiv:1512.03385, section 3.4).

    It goes by the errors alone, not by how long a training is to be, so that a rung, where other schedules end, changes
    nothing. `waited` epochs have passed since the lowest error or the last fall.
    """

    patience: int
    lowest: float | None = None
    waited: int = 0
    falls: int = 0

    def update(self, error: float) -> None:
        """Takes in an epoch's validation error; called once after each epoch."""
        if self.lowest is None or error < self.lowest:
            self.lowest, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.falls, self.waited = self.falls + 1, 0

    def state(self) -> dict[str, Any]:
        """Its fields as JSON values, which make it again."""
        return asdict(self)
