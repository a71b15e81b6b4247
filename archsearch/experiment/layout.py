"""The files of a trained network and of a confirmation: what lies where. Nothing here touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WEIGHTS = "weights.safetensors"
MODEL = "model.yaml"
BEST = "best.yaml"


@dataclass(frozen=True)
class TrainingFolder:
    """The folder of one training of a network: what `archsearch train` and each run of a confirmation write."""

    path: Path

    @property
    def model_yaml(self) -> Path:
        """The architecture."""
        return self.path / MODEL

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.path / WEIGHTS

    @property
    def result(self) -> Path:
        """The settings and the metrics as JSON, written when the training has ended."""
        return self.path / "result.json"

    @property
    def checkpoint(self) -> Path:
        """A folder that is there while the training is unfinished."""
        return self.path / "checkpoint"


@dataclass(frozen=True)
class ConfirmationFolder:
    """confirm/ in an experiment's folder: what `archsearch confirm` writes."""

    path: Path

    @property
    def document(self) -> Path:
        """Every figure, and how the winner was chosen, as JSON."""
        return self.path / "confirm.json"

    @property
    def best_yaml(self) -> Path:
        """The winner's architecture."""
        return self.path / BEST

    @property
    def weights(self) -> Path:
        """The winner's weights, of its seed with the best validation accuracy."""
        return self.path / WEIGHTS

    def run(self, key: str, seed: int) -> TrainingFolder:
        """The training of one network with one seed; `key` is the network's digest, or its identity."""
        return TrainingFolder(self.path / "runs" / f"{key}-s{seed}")
