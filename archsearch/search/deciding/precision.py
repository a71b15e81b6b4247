"""The precision in which all trials of a search train: the file's, or what the first worker measures on its device.

One for all of them, so that their scores can be compared; kept in the ledger, so that a resumed search goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from archsearch.architecture.spec import Architecture
from archsearch.experiment import Ledger
from archsearch.search.deciding.messages import Choose, PrecisionFailed, PrecisionMeasured
from archsearch.space.settings import Precision
from archsearch.space.space import SearchSpace

if TYPE_CHECKING:
    from archsearch.search.deciding.observer import Observer

KIND = "precision"  # of the ledger's note


class PrecisionChoice:
    """The precision of a search's trials; `value` is None until it is settled, and no trial may begin before that."""

    def __init__(self, space: SearchSpace, ledger: Ledger, observer: Observer) -> None:
        self._ledger, self._observer, self._in_progress = ledger, observer, False
        setting = space.training.precision
        self._open = setting == "auto"
        self.value: Precision | None = None if setting == "auto" else setting
        for event in ledger.events_of(KIND) if setting == "auto" else ():
            self.value = event.data["precision"]

    @property
    def settled(self) -> bool:
        """Whether trials may begin."""
        return self.value is not None

    def ask(self, typical: Callable[[], Architecture | None]) -> Choose | None:
        """What one worker is to find out, of an architecture like those of the search; None while another worker does.
        float32 is settled where there is no such architecture: nothing will be trained."""
        if self._in_progress:
            return None
        if (architecture := typical()) is None:
            self.value = "float32"
            return None
        self._in_progress = True
        return Choose(architecture=architecture.to_dict())

    def settle(self, report: PrecisionMeasured | PrecisionFailed) -> None:
        """Keeps and tells what a worker found out: float32 where it failed."""
        match report:
            case _ if self.settled:  # meanwhile, by a GPU without bfloat16
                pass
            case PrecisionMeasured(result=result):
                self._keep(result)
            case PrecisionFailed(failure=failure):
                self._keep({"precision": "float32", "reason": str(failure)})

    def suits(self, device: str, *, bfloat16: bool) -> bool:
        """Whether the search can train on this device, by its name. One without bfloat16 settles on float32 where
        nothing is settled yet; where trials already train in bfloat16, unless the file says so, it does not suit."""
        if not bfloat16 and not self.settled:
            self._keep({"precision": "float32", "text": f"float32: {device} has no bfloat16"})
        return bfloat16 or not self._open or self.value == "float32"

    def _keep(self, note: Mapping[str, Any]) -> None:
        self._ledger.note(KIND, note)
        self.value = note["precision"]
        self._observer.phase(f"training in {note.get('text', note['precision'])}")

    def lost(self) -> None:
        """The worker that was asked died: the next one is asked."""
        self._in_progress = False
