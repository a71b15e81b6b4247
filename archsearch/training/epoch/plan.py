"""What the steps of an epoch differ by, decided before the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from archsearch.training.mixing import Mixer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An epoch's images, one batch after another, by their numbers; the generator of their augmentation; how batches
    are mixed; the rate of each step."""

    order: Tensor
    augmentation: torch.Generator
    mixer: Mixer
    rates: Sequence[float]


def batched(order: Tensor, steps: int, batch_size: int, repeats: int) -> Tensor:
    """The images of an epoch's whole batches, one batch after another. With repeated augmentation a batch has the
    first of its images, then the same again: so mixing pairs different ones."""
    different = -(-batch_size // repeats)
    batches = order[: steps * different].view(steps, different).repeat(1, repeats)
    return batches[:, :batch_size].flatten()
