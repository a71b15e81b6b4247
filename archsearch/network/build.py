"""Ops -> nn.Module: the module has the plan's names, so `stage1.block2.branch.conv1` is both."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archsearch.architecture.composites import Reweight, Sequence, Unit
from archsearch.architecture.cost import Shape
from archsearch.architecture.ops import (
    ChannelConv,
    ChannelMlp,
    ChannelStatistics,
    Conv,
    Dropout,
    Flatten,
    Gain,
    GlobalPool,
    Linear,
    Norm,
    Op,
    PadShortcut,
    Pool,
    Relu,
    Sigmoid,
    StemPool,
)
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.network.initialise import initialise
from archsearch.network.layers import (
    AcrossChannels,
    ChannelWeights,
    GlobalMean,
    LearnedGain,
    MaxAndMean,
    PointwiseConv,
    ResidualUnit,
    Reweighted,
    ZeroPadShortcut,
)


class Network(nn.Sequential):
    """A built architecture: images (N, C, H, W), float -> scores (N, classes)."""

    architecture: Architecture

    def seed_stochastic_depth(self, generator: torch.Generator | None) -> None:
        """From now on this CPU generator decides which blocks are dropped while training."""
        for module in self.modules():
            if isinstance(module, ResidualUnit):
                module.draws = generator

    def multiply_pointwise(self) -> None:
        """From now on small 1x1 convolutions train as products of matrices: sooner done on a CPU, rounded otherwise."""
        for module in self.modules():
            if isinstance(module, PointwiseConv):
                module.product = True

    @torch.inference_mode()
    def scores(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Of normalised images (N, C, H, W), in eval mode: (N, classes). The mode is left as it was."""
        training = self.training
        try:
            return self.eval()(torch.from_numpy(images)).numpy()
        finally:
            self.train(training)

    def project(self) -> None:
        """After each optimiser step: learned gains back into (-1, 1)."""
        for module in self.modules():
            if isinstance(module, LearnedGain):
                module.project()


def build(architecture: Architecture | str, *, seed: int = 0, device: str | torch.device = "cpu") -> Network:
    """The network of an architecture, or of a name from the zoo, initialised from `seed`.

    Filled once, so that no global random state is read or changed.
    Raises InputError for an unknown name, or where the image runs out.
    """
    if isinstance(architecture, str):
        from archsearch.zoo import get

        architecture = get(architecture)
    network = skeleton(architecture, device=device)
    initialise(network, torch.Generator().manual_seed(seed))
    return network


def skeleton(architecture: Architecture, *, device: str | torch.device = "meta") -> Network:
    """The network without values: names and shapes, and no memory on the meta device. Raises InputError where the image
    runs out."""
    with Unfilled(device):
        network = Network()
        for name, op, into in plan(architecture).parts(Shape(*architecture.input)):
            network.add_module(name, module(op, into))
    network.architecture = architecture
    return network


class Unfilled(TorchFunctionMode):
    """Inside, torch's modules take memory on `device` and draw nothing: a quarter of the time that a small network
    takes to be made is torch's initial values, of which none would stay."""

    def __init__(self, device: str | torch.device) -> None:
        super().__init__()
        self.device = torch.device(device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.kaiming_uniform_, nn.init.uniform_):
            return kwargs["tensor"] if kwargs else args[0]
        words = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones, torch.tensor):
            words["device"] = self.device
        return func(*args, **words)


def module(op: Op, x: Shape, *, overwrites: bool = False) -> nn.Module:
    """The module of one op that reads `x`; `overwrites` where nobody else reads it and ReLU may reuse its memory."""
    match op:
        case Conv():
            kind = PointwiseConv if op.kernel == op.stride == op.groups == 1 else nn.Conv2d
            conv = kind(
                x.channels,
                op.out,
                op.kernel,
                stride=op.stride,
                padding=op.kernel // 2 if op.padded else 0,
                groups=op.groups,
                bias=op.bias,
            )
            conv.bias_init = op.bias_init  # type: ignore[assignment]
            return conv
        case Norm():
            norm = nn.BatchNorm2d(x.channels, eps=op.eps)
            norm.scale_init = op.scale_init  # type: ignore[assignment]
            return norm
        case Relu():
            return nn.ReLU(inplace=overwrites)
        case Sigmoid():
            return nn.Sigmoid()
        case Dropout():
            return nn.Dropout(op.p)
        case StemPool():
            return nn.MaxPool2d(3, stride=2, padding=1)
        case Pool(kind="max"):
            return nn.MaxPool2d(op.stride)
        case Pool():
            return nn.AvgPool2d(op.stride)
        case GlobalPool():
            return GlobalMean(op.adaptive, op.flat)
        case Flatten():
            return nn.Flatten()
        case Linear():
            return nn.Linear(x.elements, op.out)
        case PadShortcut():
            return ZeroPadShortcut(x.channels, op.out, op.stride, op.pooled)
        case Gain():
            return LearnedGain()
        case ChannelMlp():
            return ChannelWeights(x.channels, op.hidden)
        case ChannelStatistics():
            return MaxAndMean()
        case ChannelConv():
            return AcrossChannels(op.kernel)
        case Reweight():
            return Reweighted(module(op.weights, x))
        case Sequence():
            sequence, before = nn.Sequential(), None
            for name, part, into in op.parts(x):
                # A norm's output is its own: its backward keeps its input. A unit's input is also its shortcut's.
                sequence.add_module(name, module(part, into, overwrites=isinstance(before, Norm)))
                before = part
            return sequence
        case Unit():
            slots = {name: module(part, into) for name, part, into in op.parts(x)}
            grown = op.branch.shape(op.shared.shape(x)).channels - op.residual
            return ResidualUnit(op, slots, growth=grown)
        case _:
            raise NotImplementedError(f"no module for {type(op).__name__}")
