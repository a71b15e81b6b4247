"""One training as a value: its recipe, its seed, and how it is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from archsearch.space.settings import Precision, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """How a model is trained on images; the same run gives the same metrics.

    `seed` decides order, augmentation and all other draws. At each of `rungs` (epochs, rising; those beyond the last do
    nothing) the learning rate has fallen to zero and starts anew, weights and momentum going on: a score taken there is
    that of a whole, shorter training.
    How it is executed: `device` None is the settings'; `threads` are torch's, for the whole process (None: as they
    are); `precision` None is the settings', where that is auto float32 on a CPU and bfloat16 on a GPU that has it;
    `compiled` sends the forward pass through torch.compile.
    """

    settings: TrainingSettings
    seed: int
    rungs: tuple[int, ...] = ()
    device: str | torch.device | None = None
    threads: int | None = None
    precision: Precision | None = None
    compiled: bool = False


@runtime_checkable
class Projected(Protocol):
    """A model that puts weights back into their range after each step of the optimiser."""

    def project(self) -> None:
        """Called after each step."""


@runtime_checkable
class DepthSeeded(Protocol):
    """A model that drops blocks at random while it trains."""

    def seed_stochastic_depth(self, generator: torch.Generator) -> None:
        """Called before each epoch: the CPU generator of that epoch's draws."""


@runtime_checkable
class PointwiseMultiplied(Protocol):
    """A model whose 1x1 convolutions can train as products of matrices, which a CPU carries out sooner."""

    def multiply_pointwise(self) -> None:
        """Called once, before a training on a CPU that is not compiled."""
