"""He initialisation (He 2015b, arXiv:1502.01852), from one generator."""

from __future__ import annotations

import math

import torch
from torch import nn

from archsearch.network.layers import LearnedGain


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Fills every parameter and buffer, in the module's order. The generator is a CPU one, so that a
    network has the same weights on every device.

    Convolutions: normal with variance 2 / (kernel^2 * out / groups), which keeps the gradient's scale
    (torchvision's choice for ResNets). Norms: scale 1 (0 where `zero_init` says so), shift 0. Linear: uniform
    within 1 / sqrt(in), as torch does. Biases: 0, or what the grammar says of a gate. Learned gains: 0.
    """
    with torch.no_grad():
        for module in network.modules():
            match module:
                case nn.Conv2d():
                    fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                    drawn = torch.empty(module.weight.shape).normal_(0, math.sqrt(2 / fan), generator=generator)
                    module.weight.copy_(drawn)
                    if module.bias is not None:
                        module.bias.fill_(getattr(module, "bias_init", 0.0))
                case nn.Conv1d():
                    bound = 1 / math.sqrt(module.kernel_size[0])
                    module.weight.copy_(torch.empty(module.weight.shape).uniform_(-bound, bound, generator=generator))
                case LearnedGain():
                    module.value.zero_()
                case nn.BatchNorm2d():
                    module.reset_parameters()
                    module.weight.fill_(getattr(module, "scale_init", 1.0))
                case nn.Linear():
                    bound = 1 / math.sqrt(module.in_features)
                    module.weight.copy_(torch.empty(module.weight.shape).uniform_(-bound, bound, generator=generator))
                    module.bias.zero_()
