"""LAMB (You 2019, arXiv:1904.00962, algorithm 2), which torch.optim does not have."""

from __future__ import annotations

import torch
from torch import Tensor

BETA2, EPSILON = 0.999, 1e-6


def lamb(
    weights: list[Tensor],
    gradients: list[Tensor],
    mean: list[Tensor],
    square: list[Tensor],
    steps: list[Tensor],
    *,
    rate: float | Tensor,
    beta1: float,
    decay: float,
    adapts: bool,
) -> None:
    """One step of all tensors, in place; `mean`, `square` and `steps` (0-dimensional) are 0 before the first.

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay w
        w = w - rate |w| / |u| u

    The ratio of the norms is 1 where one of them is 0. Where not `adapts` it is 1 too, as timm has it for tensors that
    have no decay, norms and biases. Nothing waits for the device.
    """
    torch._foreach_add_(steps, 1)
    torch._foreach_lerp_(mean, gradients, 1 - beta1)
    torch._foreach_mul_(square, BETA2)
    torch._foreach_addcmul_(square, gradients, gradients, 1 - BETA2)
    denominators = torch._foreach_div(square, [1 - BETA2**step for step in steps])
    torch._foreach_sqrt_(denominators)
    torch._foreach_add_(denominators, EPSILON)
    updates = torch._foreach_div(mean, [1 - beta1**step for step in steps])
    torch._foreach_div_(updates, denominators)
    torch._foreach_add_(updates, weights, alpha=decay)
    if adapts:
        norms = zip(torch._foreach_norm(weights), torch._foreach_norm(updates), strict=True)
        torch._foreach_mul_(updates, [torch.where((w > 0) & (u > 0), w / u, 1.0) for w, u in norms])
    if isinstance(rate, Tensor):
        torch._fused_sgd_(
            weights,
            updates,
            [],
            weight_decay=0.0,
            momentum=0.0,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )
    else:
        torch._foreach_add_(weights, updates, alpha=-rate)
