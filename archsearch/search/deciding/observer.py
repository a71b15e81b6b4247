"""Who is told of a search's progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from archsearch.experiment import Ledger, Trial


class Observer(Protocol):
    """Is told of a search's progress, to show it to a person; decides nothing."""

    def phase(self, text: str) -> None:
        """What the driver does before the first and after the last trial."""

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """A trial changed; with an epoch's metrics where it has just trained one."""


class AfterCommit:
    """Passes on to an observer what is durable: news of a trial only once the transaction at hand is committed. What
    the observer raises ends the search and undoes nothing."""

    def __init__(self, observer: Observer, ledger: Ledger) -> None:
        self._observer, self._ledger = observer, ledger

    def phase(self, text: str) -> None:
        """Passes the phase on at once."""
        self._observer.phase(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """Passes the trial on after the commit."""
        self._ledger.afterwards(lambda: self._observer.trial(trial, metrics))
