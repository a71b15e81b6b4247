"""The files of a trained network and of a confirmation: what lies where. Nothing here touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"
MODEL = "model.yaml"
BEST = "best.yaml"
BEST_OF_SEARCH = "best-of-search.yaml"


class Inside:
    """A path inside a folder: `report = Inside("report.html")` in the class of a folder, which has a `path`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: Folder, _: type) -> Path:
        return folder.path / self._name


class Folder(Protocol):
    """What lies at a path."""

    @property
    def path(self) -> Path:
        """Where it lies."""


@dataclass(frozen=True)
class TrainingFolder:
    """The folder of one training of a network: what `archsearch train` and each run of a confirmation write."""

    path: Path
    model_yaml = Inside(MODEL)  # the architecture
    weights = Inside(WEIGHTS)  # the trained weights
    predictions = Inside(PREDICTIONS)  # their outputs, once the test split was evaluated
    result = Inside("result.json")  # the settings and the metrics, written when the training has ended
    checkpoint = Inside("checkpoint")  # a folder that is there while the training is unfinished


@dataclass(frozen=True)
class ParentFolder(TrainingFolder):
    """parents/0 and confirm/pretrained/KEY in an experiment's folder: a trained network whose weights others begin
    with."""

    document = Inside("parent.json")  # where it comes from, and what the search or the confirmation knows of it


@dataclass(frozen=True)
class RetrainedFolder:
    """finish/ in an experiment's folder: networks of a search that were trained anew, and the one that was chosen."""

    path: Path
    best_yaml = Inside(BEST)  # the winner's architecture
    weights = Inside(WEIGHTS)  # the winner's, of its seed with the best validation accuracy

    def run(self, key: str, seed: int) -> TrainingFolder:
        """The training of one network with one seed; `key` is the network's digest, or its identity."""
        return TrainingFolder(self.path / "runs" / f"{key}-s{seed}")


@dataclass(frozen=True)
class ConfirmationFolder(RetrainedFolder):
    """confirm/ in an experiment's folder: what `archsearch confirm` writes."""

    document = Inside("confirm.json")  # every figure, and how the winner was chosen

    def pretrained(self, key: str) -> ParentFolder:
        """A pretrained network that is fine-tuned, with the weights that its trainings begin with."""
        return ParentFolder(self.path / "pretrained" / key)

    def fold_run(self, key: str, seed: int, fold: int, folds: int) -> TrainingFolder:
        """The training of one network with one seed that is validated on one fold (from 1) of several."""
        return TrainingFolder(self.path / "runs" / f"{key}-s{seed}-f{fold}of{folds}")
