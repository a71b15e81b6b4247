"""Batch norms' statistics, measured anew: a network whose channels or blocks were cut has those of another one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces the running means and variances of all batch norms by their averages over these batches of images
    (N, C, H, W), N > 1, on the model's device. Nothing else is changed: dropout and stochastic depth are off, and the
    mode of each module is as it was. A model without batch norms reads no batch."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    model.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None  # the average over all batches
        for images in batches if norms else ():
            model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
