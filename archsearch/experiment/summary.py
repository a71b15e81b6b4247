"""A search in the JSON fields that people script against (`run`, `status`, `resume`)."""

from __future__ import annotations

from typing import Any

from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.ledger import Ledger
from archsearch.experiment.records import SearchState, Trial


def summarise(folder: ExperimentFolder) -> dict[str, Any]:
    """What the ledger says, in plain JSON values. Raises InputError where there is no ledger.

    `seconds` counts the drivers' sessions; `best` is null until a trial has finished; `test_accuracy` is
    null until the winner was tested.
    """
    with Ledger.read(folder.ledger) as ledger:
        counts, best = ledger.counts(), ledger.best()
        return {
            "experiment": ledger.meta.get("name", folder.name),
            "folder": str(folder.path),
            "state": _state(folder, ledger.state),
            "trials": {
                "finished": counts.finished,
                "stopped": counts.stopped,
                "failed": counts.failed,
                "running": counts.running,
                "waiting": counts.waiting,
                "total": counts.total,
                "planned": ledger.meta.get("trials"),
            },
            "rejected_before_start": counts.rejected,
            "best": None if best is None else _best(best, ledger),
            "seconds": round(_seconds(ledger), 1),
        }


def _state(folder: ExperimentFolder, recorded: SearchState) -> SearchState:
    """A driver that was killed leaves `running` behind."""
    return "interrupted" if recorded == "running" and not folder.is_driven() else recorded


def _best(best: Trial, ledger: Ledger) -> dict[str, Any]:
    tested = [event.data for event in ledger.events() if event.kind == "tested" and event.trial == best.number]
    return {
        "trial": best.id,
        "value": best.value,
        "test_accuracy": tested[-1]["test_accuracy"] if tested else None,
        "digest": best.digest,
        **best.cost,
        "architecture": dict(best.architecture),
    }


def _seconds(ledger: Ledger) -> float:
    """From each session's beginning to its end, or to the last thing that its driver wrote."""
    spent, began, last = 0.0, None, 0.0
    for event in ledger.events():
        if event.kind == "began":
            spent += last - began if began is not None else 0.0
            began = event.time
        last = event.time
        if event.kind == "ended" and began is not None:
            spent, began = spent + event.time - began, None
    return spent + (last - began if began is not None else 0.0)
