"""The recipe: learning rate as one expression of the step, and loss (optimizer.py has the steps)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from archsearch.space.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int, total: int) -> float:
    """The rate of step 0 .. total-1: rising * falling * the highest; it would be zero at step `total`.

    one_cycle falls on a line, cosine on half a cosine, constant not at all.
    """
    warm = settings.warmup * total
    rising = min(1.0, (step + 1) / warm) if warm else 1.0
    gone = max(0.0, (step + 1 - max(warm, 1)) / (total + 1 - max(warm, 1)))
    match settings.schedule:
        case "one_cycle":
            falling = 1 - gone
        case "cosine":
            falling = (1 + math.cos(math.pi * gone)) / 2
        case "constant":
            falling = 1.0
    return settings.learning_rate * rising * falling


def loss(scores: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy, `smoothing` of the mass spread over all classes (Szegedy 2016), in float32."""
    return functional.cross_entropy(scores.float(), labels, label_smoothing=smoothing)
