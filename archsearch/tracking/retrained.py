"""Trainings after a search, of its longer ones at the end and of a confirmation, as runs of their own in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger, TrainingFolder
from archsearch.experiment.confirmed import check_result
from archsearch.reading.errors import InputError
from archsearch.tracking.translate import Point, milliseconds

METRICS = ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss")
RETRAINED_TAG = "archsearch.retrained"


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A training that has ended: `key` tells it from every other of the experiment."""

    key: str
    name: str
    ended: int
    points: list[Point]
    tags: dict[str, str]


def retrained(folder: ExperimentFolder, ledger: Ledger) -> Iterator[Retrained]:
    """Those whose result is whole."""
    trials = {trial.digest: trial.id for trial in ledger.trials()}
    for purpose, files in (("finish", folder.finish), ("confirm", folder.confirmation)):
        for path in sorted((files.path / "runs").glob("*/result.json")):
            with suppress(InputError, OSError, ValueError, KeyError, TypeError):
                result = folder.read_json(TrainingFolder(path.parent).result)
                check_result(result)
                yield _of(purpose, result, trials.get(result["digest"], path.parent.name), path.stat().st_mtime)


def _of(purpose: str, result: dict[str, Any], name: str, time: float) -> Retrained:
    ended = milliseconds(time)
    points = [
        Point(key=key, value=float(epoch[key]), milliseconds=ended, step=int(epoch["epoch"]))
        for epoch in result["history"]
        for key in METRICS
        if isinstance(epoch.get(key), int | float)
    ]
    points.append(
        Point(key="accuracy", value=float(result["validation"]["accuracy"]), milliseconds=ended, step=result["epochs"])
    )
    return Retrained(
        key=f"{purpose}/{result['weights']['sha256']}",
        name=f"{purpose} {name} seed {result['seed']}",
        ended=ended,
        points=points,
        tags={"archsearch.digest": result["digest"], "archsearch.purpose": purpose},
    )
