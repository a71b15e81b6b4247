"""The network that an experiment hands over. Everything that shows, exports or registers it reads this one answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.ledger import Ledger
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import Event, Trial, TrialState

Source = Literal["search", "finish", "confirm"]
# Of the ledger's notes: a confirmation's verdict, that of the longer trainings at a search's end, with its test, and a
# network that was tried before all others.
CONFIRMED, FINISHED, FINISH_TESTED, FIRST = "confirmed", "finished_training", "finish_tested", "first"


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The winner of an experiment, and whose choice (`of`) it is.

    `trial` is the search's trial of this network. `value` is its value of the search's `objective` on the validation
    images, `test` that on the test split (None: not looked at); both are means over so many `seeds`, on validation over
    so many `folds` of a cross-validation too (None: there was none). `weights` is the file of the weights handed over,
    `sha256` its digest, hex (None: the ledger does not hold it); `epochs` are those of the longer training (None: there
    was none).
    """

    of: Source
    trial: Trial
    value: float
    test: float | None
    weights: Path
    sha256: str | None
    seeds: int = 1
    epochs: int | None = None
    folds: int | None = None
    objective: Objective = BY_ACCURACY

    @property
    def scored(self) -> Trial:
        """The trial with the winner's value for its own."""
        return replace(self.trial, value=self.value)


def winner_of(folder: ExperimentFolder, ledger: Ledger) -> Winner | None:
    """The confirmed winner, where `archsearch confirm` chose one and its weights are there; else the search's best
    trial, or one that was trained longer at the search's end and is better. None until a trial has finished."""
    best = searched(folder, ledger)
    return None if best is None else _confirmed(folder, ledger) or _finished(folder, ledger, best.value) or best


def searched(folder: ExperimentFolder, ledger: Ledger) -> Winner | None:
    """The best finished trial of the search itself; None until one has finished."""
    best = ledger.best()
    if best is None or best.value is None:
        return None
    return Winner(
        of="search",
        trial=best,
        value=best.value,
        test=tested(ledger, best.number),
        weights=folder.weights(best.number),
        sha256=ledger.weights_digest(best.number),
        objective=ledger.objective,
    )


def tested(ledger: Ledger, number: int) -> float | None:
    """The objective's value on the test split of the weights that the search kept of a trial; None where it was not
    looked at."""
    looks = ledger.events_of("tested", trial=number)
    return looks[-1].data[ledger.objective.test] if looks else None


def hand_over(folder: ExperimentFolder, described: str) -> None:
    """Writes best.yaml of a winner that was trained after the search, whose own best.yaml is kept beside it."""
    if not folder.best_of_search.is_file() and folder.best_yaml.is_file():
        folder.write(folder.best_of_search, folder.read_text(folder.best_yaml))
    folder.write(folder.best_yaml, described)


def _confirmed(folder: ExperimentFolder, ledger: Ledger) -> Winner | None:
    files = folder.confirmation
    verdict = _last(ledger, CONFIRMED)
    if verdict is None or verdict.trial is None or not files.weights.is_file():
        return None
    data: dict[str, Any] = dict(verdict.data)
    value = data.get(ledger.objective.validation)
    if value is None:
        return None
    return Winner(
        of="confirm",
        trial=ledger.trial(verdict.trial),
        value=value,
        test=data.get(ledger.objective.test),
        weights=files.weights,
        sha256=data.get("weights"),
        seeds=data.get("seeds") or 1,
        folds=data.get("folds"),
        objective=ledger.objective,
    )


def _finished(folder: ExperimentFolder, ledger: Ledger, value: float) -> Winner | None:
    """The winner of the longer trainings, where it is better than the search's best."""
    verdict, weights, objective = _last(ledger, FINISHED), folder.finish.weights, ledger.objective
    if verdict is None or verdict.trial is None or verdict.data["of"] != "finish" or not weights.is_file():
        return None
    if not objective.better(verdict.data[objective.validation], value):
        return None
    looks = [event for event in ledger.events_of(FINISH_TESTED, trial=verdict.trial) if event.id > verdict.id]
    return Winner(
        of="finish",
        trial=ledger.trial(verdict.trial),
        value=verdict.data[objective.validation],
        test=looks[-1].data[objective.test] if looks else None,
        weights=weights,
        sha256=verdict.data.get("weights"),
        epochs=verdict.data["epochs"],
        objective=objective,
    )


def reference_of(ledger: Ledger) -> dict[str, Any] | None:
    """The plain residual network that was trained beside the longer trainings, or else as the search's first trial: its
    `name`, its value of the objective's metric on validation under that metric's name, `flops`, `params`, `epochs`, and
    whether the search `stopped` it early; None where there was none."""
    verdict, objective = _last(ledger, FINISHED), ledger.objective
    if verdict is not None and (row := verdict.data.get("reference")) is not None:
        figures = {key: row[key] for key in ("name", "flops", "params", "epochs")}
        return {objective.name: row[objective.validation], **figures, "stopped": False}
    plain = {event.data["digest"]: event.data["name"] for event in ledger.events_of(FIRST) if event.data["plain"]}
    for trial in ledger.trials() if plain else ():
        stopped = trial.state is TrialState.STOPPED
        if trial.digest in plain and trial.value is not None and (stopped or trial.state is TrialState.FINISHED):
            figures = {"flops": trial.cost["flops"], "params": trial.cost["params"], "epochs": trial.epochs}
            return {objective.name: trial.value, "name": plain[trial.digest], **figures, "stopped": stopped}
    return None


def _last(ledger: Ledger, kind: str) -> Event | None:
    events = ledger.events_of(kind)
    return events[-1] if events else None
