"""Trainings after a search, of its longer ones at the end and of a confirmation, as runs of their own in MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger, TrainingFolder, Trial
from archsearch.experiment.confirmed import check_result, read_confirmation
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.winner import FINISHED
from archsearch.guests.either import Described, cost, read
from archsearch.reading.errors import InputError
from archsearch.tracking.translate import STATE_TAG, Point, curve, milliseconds, params_of, points_of


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A training that has ended, with what its result.json holds, of a search with this `objective`. `key` tells it
    from every other of the experiment: its purpose (finish or confirm) and the SHA-256 of its weights. `trial` is the
    search's trial of this network (None: the network is none of the search's); `ended` is in milliseconds."""

    key: str
    name: str
    result: Mapping[str, Any]
    architecture: Described
    trial: Trial | None
    ended: int
    objective: Objective = BY_ACCURACY

    @property
    def value(self) -> float:
        """The objective's metric on validation."""
        return self.objective.of_result(self.result["validation"])

    @property
    def took(self) -> int:
        """Milliseconds that it trained."""
        return round(1000 * self.result["seconds"])

    def points(self, ended: int) -> list[Point]:
        """Its curves, its scores and its cost, all at this time, in milliseconds."""
        result, test, time = self.result, self.result.get("test") or {}, ended / 1000
        name, counted = self.objective.name, cost(self.architecture)
        single = {f"final_{name}": self.value, **{f"test_{key}": value for key, value in test.items()}}
        single |= {"params": counted.params, "flops": counted.flops, "macs": counted.macs}
        return [
            *(point for epoch in result["history"] for point in curve(epoch, epoch["epoch"], time)),
            *points_of({name: self.value}, time, step=result["epochs"]),
            *points_of(single, time, step=0),
        ]

    @property
    def params(self) -> dict[str, str]:
        """Those of its trial, with the seed of this training."""
        chosen = params_of(self.trial) if self.trial is not None else {}
        return {**chosen, "digest": self.result["digest"], "seed": str(self.result["seed"])}

    @property
    def tags(self) -> dict[str, str]:
        """What tells it from a trial."""
        purpose = self.key.partition("/")[0]
        return {"archsearch.digest": self.result["digest"], "archsearch.purpose": purpose, STATE_TAG: "finished"}


def retrained(folder: ExperimentFolder, ledger: Ledger) -> Iterator[Retrained]:
    """Those whose result is whole."""
    trials, names = ledger.trials(), _names(folder, ledger)
    for purpose, files in (("finish", folder.finish), ("confirm", folder.confirmation)):
        for path in sorted((files.path / "runs").glob("*/result.json")):
            with suppress(InputError, OSError, ValueError, KeyError, TypeError):
                training = TrainingFolder(path.parent)
                result = folder.read_json(training.result)
                check_result(result, ledger.objective)
                trial = _trial_of(trials, result)
                name = names.get(_begun(result), path.parent.name) if trial is None else trial.id
                yield Retrained(
                    key=f"{purpose}/{result['weights']['sha256']}",
                    name=f"{purpose} {name} seed {result['seed']}{_fold(path.parent.name)}",
                    result=result,
                    architecture=read(folder.read_text(training.model_yaml)),
                    trial=trial,
                    ended=milliseconds(path.stat().st_mtime),
                    objective=ledger.objective,
                )


def _fold(folder: str) -> str:
    """Which fold a training was validated on, by the name of its folder; nothing outside a cross-validation."""
    named = re.search(r"-f(\d+)of(\d+)$", folder)
    return f" fold {named[1]} of {named[2]}" if named else ""


def _trial_of(trials: Sequence[Trial], result: Mapping[str, Any]) -> Trial | None:
    """The trial of this network with this training; trials may differ by settings of the training alone. A network that
    began with pretrained weights is no trial's."""
    same = [trial for trial in trials if _begun(result) == (trial.digest, None)]
    settings = result.get("training", {})
    exact = [trial for trial in same if all(settings.get(name) == value for name, value in trial.training.items())]
    return next(iter([*exact, *same]), None)


def _begun(result: Mapping[str, Any]) -> tuple[str, str | None]:
    """The digest of a training's network, and the SHA-256 of the weights that it began with (None: from scratch)."""
    return result["digest"], (result.get("start") or {}).get("sha256")


def _names(folder: ExperimentFolder, ledger: Ledger) -> dict[tuple[str, str | None], str]:
    """The names of the networks that the search's were compared with, by what `_begun` gives of their trainings."""
    rows = [row for event in ledger.events_of(FINISHED) for row in event.data.get("beside", [])]
    with suppress(InputError):
        rows += (read_confirmation(folder) or {}).get("rows", [])
    return {(row["digest"], (row.get("initial") or {}).get("sha256")): row["name"] for row in rows}
