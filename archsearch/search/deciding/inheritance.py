"""Which trials begin with the weights of a parent, and what they score before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from archsearch.architecture.spec import Architecture
from archsearch.experiment import Epoch, Ledger
from archsearch.shrinking.kept import KeptParent, parent_of

UNTRAINED = "untrained"  # of the ledger's notes: the metrics of a trial before its first epoch


class Inheritance:
    """The parents of a search, and which of them each trial has."""

    def __init__(self, parents: tuple[KeptParent, ...], ledger: Ledger) -> None:
        self._parents, self._ledger = parents, ledger
        self._indices: dict[int, int | None] = {}

    def parent(self, number: int) -> int | None:
        """The index of the parent with whose weights a trial begins; None for initial values."""
        if self._parents and number not in self._indices:
            architecture = Architecture.from_dict(dict(self._ledger.trial(number).architecture))
            self._indices[number] = parent_of(self._parents, architecture)
        return self._indices.get(number)

    @property
    def scored_untrained(self) -> Callable[[int], bool] | None:
        """Tells by a trial's number whether it is scored before its first epoch, since all of its weights are trained
        ones; False for one that was not proposed yet. None where no trial is."""
        return self._is_scored if any(parent.scored for parent in self._parents) else None

    def _is_scored(self, number: int) -> bool:
        index = None if number > self._ledger.total else self.parent(number)
        return index is not None and self._parents[index].scored


def note_untrained(ledger: Ledger, number: int, metrics: Mapping[str, float]) -> dict[str, float]:
    """Writes the metrics of a trial before its first epoch, and returns them; one that is no finite number as null."""
    stored = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    ledger.note(UNTRAINED, {"metrics": stored}, trial=number)
    return dict(metrics)


def untrained(ledger: Ledger, number: int | None = None) -> list[Epoch]:
    """What trials scored before any training, as epochs 0: of one trial, or of all."""
    events = ledger.events_of(UNTRAINED, trial=number)
    return [Epoch(trial=e.trial or 0, epoch=0, metrics=e.data["metrics"], time=e.time) for e in events]
