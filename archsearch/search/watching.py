"""Who looks on while a search runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from archsearch.experiment import Trial


class Watcher(Protocol):
    """Somebody who shows a search to a person."""

    def phase(self, text: str) -> None:
        """What the driver does before the first and after the last trial."""

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """A trial changed; with an epoch's metrics if that was it."""
