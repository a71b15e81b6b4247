"""The precision in which all trials of a search train: the file's, or what the first worker measures on its device.

One for all of them, so that their scores can be compared; kept in the ledger, so that a resumed search goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from archsearch.architecture.spec import Architecture
from archsearch.experiment import Ledger
from archsearch.search.deciding.messages import Choose
from archsearch.space import SearchSpace
from archsearch.space.settings import Precision

if TYPE_CHECKING:
    from archsearch.search.deciding.observer import Observer

KIND = "precision"  # of the ledger's note


class PrecisionChoice:
    """`value` is None until it is `settled`."""

    def __init__(self, space: SearchSpace, ledger: Ledger, observer: Observer) -> None:
        self._ledger, self._observer, self._asked = ledger, observer, False
        word = space.training.precision
        self.value: Precision | None = None if word == "auto" else word
        for event in ledger.events_of(KIND) if word == "auto" else ():
            self.value = event.data["precision"]

    @property
    def settled(self) -> bool:
        """Whether trials may begin."""
        return self.value is not None

    def ask(self, typical: Callable[[], Architecture | None]) -> Choose | None:
        """What one worker is to find out, of a network like those of the search; None while another worker does."""
        if self._asked:
            return None
        if (network := typical()) is None:  # nothing will train
            self.value = "float32"
            return None
        self._asked = True
        return Choose(architecture=network.to_dict())

    def found(self, said: Mapping[str, Any] | None, reason: str | None) -> None:
        """A worker's finding, kept and told; float32 where it failed, for `reason`."""
        note: dict[str, Any] = {"precision": "float32", "reason": reason} if said is None else dict(said)
        self._ledger.note(KIND, note)
        self.value = note["precision"]
        self._observer.phase(f"training in {note.get('text', note['precision'])}")

    def lost(self) -> None:
        """A worker died; if it was asked, the next one is."""
        self._asked = False
