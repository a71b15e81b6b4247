"""Who looks on while a search runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from archsearch.experiment import Ledger, Trial


class Watcher(Protocol):
    """Somebody who shows a search to a person."""

    def phase(self, text: str) -> None:
        """What the driver does before the first and after the last trial."""

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """A trial changed; with an epoch's metrics if that was it."""


class Afterwards:
    """Tells a watcher of what is durable: of a trial only once the transaction at hand is. What the watcher raises ends
    the search, and takes nothing back."""

    def __init__(self, inner: Watcher, ledger: Ledger) -> None:
        self._inner, self._ledger = inner, ledger

    def phase(self, text: str) -> None:
        """See Watcher; at once."""
        self._inner.phase(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """See Watcher."""
        self._ledger.afterwards(lambda: self._inner.trial(trial, metrics))
