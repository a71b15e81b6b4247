"""Who is told of a search's progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from archsearch.experiment import Ledger, Trial


@runtime_checkable
class Observer(Protocol):
    """Is told of a search's progress, in the thread that drives it, to show it to a person; decides nothing.

    A callback of `archsearch.search` is one. What it raises ends the search, which can then be resumed.
    """

    def phase(self, text: str) -> None:
        """Called before the first and after the last trial, with what the driver does now: `starting Ray`."""

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """Called when a trial has changed: it has begun, paused, been promoted or ended, which `trial.state` tells; or
        it has trained an epoch, whose `metrics` (`epoch`, `train_loss`, `validation_accuracy` and other metrics of the
        validation images, ...) are given."""


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
