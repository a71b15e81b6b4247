"""A network without trained weights, such that its scores are numbers that can be compared."""

from __future__ import annotations

import torch
from torch import nn

from archsearch.export.parity import random_images
from archsearch.guests.either import Described, build
from archsearch.network.layers import LearnedGain

SETTLED_ON = 16  # images
LARGEST = 10.0  # score: as of networks that were trained


def fresh(architecture: Described, *, seed: int = 0) -> nn.Module:
    """All numbers drawn from `seed`, norms' scales and learned gains too, for a branch that starts at 0 would hide its
    own faults; the norms' statistics are those of 16 random images. In eval mode.

    Norms shift upwards: with shifts around 0 each ReLU takes a mean away that the next norm makes up for, and in a
    random network of 100 layers without shortcuts rounding errors grow to the size of the scores (Yang et al. 2019,
    arXiv:1902.08129: by 1.2 a layer). Where the scores of those images are above LARGEST, as behind a thousand layers,
    whose upward shifts add up, the classifier's weights are made smaller. Raises InputError where the image runs out.
    """
    network = build(architecture, seed=seed).eval()
    draws = torch.Generator().manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm))]
    batch_norms = [norm for norm in norms if isinstance(norm, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.5, 1.0, generator=draws)
            norm.bias.normal_(1.5, 0.3, generator=draws)
        for norm in batch_norms:
            norm.train()
            norm.momentum = 1.0
        for module in network.modules():
            if isinstance(module, LearnedGain):
                module.value.uniform_(0.1, 0.5, generator=draws)
        scores = network(random_images(architecture.input, SETTLED_ON, seed + 1))
        for norm in batch_norms:
            norm.momentum = 0.1
        for last in [module for module in network.modules() if isinstance(module, nn.Linear)][-1:]:
            last.weight.mul_(min(1.0, LARGEST / scores.abs().max().item()))
    return network.eval()
