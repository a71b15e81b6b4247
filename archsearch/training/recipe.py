"""The recipe: the learning rate as one expression of the step, and the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor
from torch.nn import functional

from archsearch.space.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: float, total: int, falls: int = 0) -> float:
    """The rate of step 0 .. total-1: rising * falling * the highest. `step` may lie between two.

    one_cycle and linear fall on a line, cosine on half a cosine, so that the rate would be zero at step `total`; step
    falls by `step_factor` from the steps on that are each of `milestones` of the total; plateau has fallen by that
    factor `falls` times (see Plateau); constant does not fall.
    """
    warm = settings.warmup * total
    rising = min(1.0, (step + 1) / warm) if warm else 1.0
    fraction = max(0.0, (step + 1 - max(warm, 1)) / (total + 1 - max(warm, 1)))
    match settings.schedule:
        case "one_cycle" | "linear":
            falling = 1 - fraction
        case "cosine":
            falling = (1 + math.cos(math.pi * fraction)) / 2
        case "step":
            falling = settings.step_factor ** sum(step / total >= milestone for milestone in settings.milestones)
        case "plateau":
            falling = settings.step_factor**falls
        case "constant":
            falling = 1.0
    return settings.learning_rate * rising * falling


def checked_rungs(rungs: Sequence[int]) -> tuple[int, ...]:
    """The epochs at which a schedule ends and starts anew. Raises ValueError unless they rise from 1 or more."""
    if any(later <= sooner for sooner, later in pairwise((0, *rungs))):
        raise ValueError(f"rungs are epochs that rise from 1 or more, not {tuple(rungs)}")
    return tuple(rungs)


def segment(epoch: int, epochs: int, rungs: Sequence[int]) -> tuple[int, int]:
    """(first, end) of the epochs, counted from 0, that share a schedule with `epoch`; the end is not among them.

    Each rung below `epochs` ends a whole schedule, as does the last epoch: warm restarts (Loshchilov & Hutter
    2017, arXiv:1608.03983, section 3), so that a network as it is at a rung was trained to the end.
    """
    ends = [rung for rung in rungs if rung < epochs]
    first = max((end for end in ends if end <= epoch), default=0)
    return first, min((end for end in ends if end > epoch), default=epochs)


def loss(
    scores: Tensor, labels: Tensor, smoothing: float = 0.0, partners: Tensor | None = None, share: float | Tensor = 1.0
) -> Tensor:
    """Mean cross-entropy, `smoothing` of the mass spread over all classes (Szegedy 2016), in float32.

    Of mixed images (see mixing.py): `share` of it is to `labels`, 1 - share to `partners`.
    """
    scores = scores.float()
    first = functional.cross_entropy(scores, labels, label_smoothing=smoothing)
    if partners is None:
        return first
    return blended(share, first, functional.cross_entropy(scores, partners, label_smoothing=smoothing))


def blended(share: float | Tensor, first: Tensor, second: Tensor) -> Tensor:
    """share * first + (1 - share) * second. A share that is a tensor is float64, so that both factors are rounded as
    numbers are."""
    if isinstance(share, Tensor):
        return share.to(first.dtype) * first + (1 - share).to(first.dtype) * second
    return share * first + (1 - share) * second
