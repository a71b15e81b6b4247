"""He initialisation (He 2015b, arXiv:1502.01852), from one generator."""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import nn

from archsearch.network.layers import AcrossChannels, ChannelGain, LearnedGain


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Fills every parameter and buffer, in the module's order. The generator is a CPU one, so that a
    network has the same weights on every device.

    Convolutions: normal with variance 2 / (kernel^2 * out), which keeps the gradient's scale where there is one group;
    torchvision and the released ResNeXts do not divide by the groups either. Norms: scale 1 (0 where `zero_init` says
    so), shift 0. Linear: uniform within 1 / sqrt(in), as torch does. Biases: 0, or what the grammar says of a gate.
    Learned gains: 0.
    Raises NotImplementedError where a layer has a tensor that `fill` leaves as it was.
    """
    with torch.no_grad():
        for name, module in network.named_modules():
            tensors = {key: x for key, x in (*module._parameters.items(), *module._buffers.items()) if x is not None}
            versions = {key: tensor._version for key, tensor in tensors.items()}
            fill(module, generator)
            unfilled = [key for key, tensor in tensors.items() if tensor._version == versions[key]]
            if unfilled:
                raise NotImplementedError(
                    f"{name}: nothing fills {', '.join(unfilled)} of a {type(module).__name__}; register its initial "
                    "values with `fill` (network/initialise.py)"
                )


@singledispatch
def fill(module: nn.Module, generator: torch.Generator) -> None:
    """Fills the parameters and buffers that are a layer's own, not its children's; a kind of layer that has some is
    registered here. The layers come without values (see `Unfilled`), so nothing may be left out."""


@fill.register
def _convolution(module: nn.Conv2d, generator: torch.Generator) -> None:
    fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
    module.weight.copy_(torch.empty(module.weight.shape).normal_(0, math.sqrt(2 / fan), generator=generator))
    if module.bias is not None:
        module.bias.fill_(getattr(module, "bias_init", 0.0))


@fill.register
def _across_channels(module: AcrossChannels, generator: torch.Generator) -> None:
    _uniform(module.weight, module.kernel_size[0], generator)


@fill.register
def _linear(module: nn.Linear, generator: torch.Generator) -> None:
    _uniform(module.weight, module.in_features, generator)
    module.bias.zero_()


@fill.register(nn.BatchNorm2d)
@fill.register(nn.GroupNorm)
def _norm(module: nn.BatchNorm2d | nn.GroupNorm, generator: torch.Generator) -> None:
    module.reset_parameters()
    module.weight.fill_(getattr(module, "scale_init", 1.0))


@fill.register
def _channel_gain(module: ChannelGain, generator: torch.Generator) -> None:
    module.factors.fill_(module.start)


@fill.register
def _gain(module: LearnedGain, generator: torch.Generator) -> None:
    module.value.zero_()


def _uniform(weight: torch.Tensor, inputs: int, generator: torch.Generator) -> None:
    """Uniform within 1 / sqrt(inputs)."""
    bound = 1 / math.sqrt(inputs)
    weight.copy_(torch.empty(weight.shape).uniform_(-bound, bound, generator=generator))
