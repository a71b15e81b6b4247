"""The network that an experiment hands over. Everything that shows, exports or registers it reads this one answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.ledger import Ledger
from archsearch.experiment.records import Event, Trial

Source = Literal["search", "confirm"]
CONFIRMED = "confirmed"  # of the ledger's notes: a confirmation's verdict


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The winner of an experiment, and whose choice (`of`) it is.

    `trial` is the search's trial of this network. `value` is the validation accuracy, `test_accuracy` that on the test
    split (None: not looked at); both are means over so many `seeds`. `weights` is the file of the weights handed over,
    `sha256` its digest, hex
    (None: the ledger does not hold it).
    """

    of: Source
    trial: Trial
    value: float
    test_accuracy: float | None
    weights: Path
    sha256: str | None
    seeds: int = 1

    @property
    def scored(self) -> Trial:
        """The trial with the winner's validation accuracy for its own."""
        return replace(self.trial, value=self.value)


def winner_of(folder: ExperimentFolder, ledger: Ledger) -> Winner | None:
    """The confirmed winner, where `archsearch confirm` chose one and its weights are there; else the search's best
    trial. None until a trial has finished."""
    return _confirmed(folder, ledger) or searched(folder, ledger)


def searched(folder: ExperimentFolder, ledger: Ledger) -> Winner | None:
    """The best finished trial of the search itself; None until one has finished."""
    best = ledger.best()
    if best is None or best.value is None:
        return None
    return Winner(
        of="search",
        trial=best,
        value=best.value,
        test_accuracy=tested(ledger, best.number),
        weights=folder.weights(best.number),
        sha256=ledger.weights_digest(best.number),
    )


def tested(ledger: Ledger, number: int) -> float | None:
    """The test accuracy of the weights that the search kept of a trial; None where it was not looked at."""
    looks = ledger.events_of("tested", trial=number)
    return looks[-1].data["test_accuracy"] if looks else None


def _confirmed(folder: ExperimentFolder, ledger: Ledger) -> Winner | None:
    files = folder.confirmation
    verdict = _last(ledger, CONFIRMED)
    if verdict is None or verdict.trial is None or not files.weights.is_file():
        return None
    data: dict[str, Any] = dict(verdict.data)
    value = data.get("validation_accuracy")
    if value is None:
        return None
    return Winner(
        of="confirm",
        trial=ledger.trial(verdict.trial),
        value=value,
        test_accuracy=data.get("test_accuracy"),
        weights=files.weights,
        sha256=data.get("weights"),
        seeds=data.get("seeds") or 1,
    )


def _last(ledger: Ledger, kind: str) -> Event | None:
    events = ledger.events_of(kind)
    return events[-1] if events else None
