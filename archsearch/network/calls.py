"""Ops -> calls: what makes an op's layer, and with which arguments, as data.

`network.build` carries a call out, `export.source` writes it as Python: both have the same layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

from torch import nn

from archsearch.architecture.composites import Reweight, Sequence, Unit
from archsearch.architecture.mixing import Paths, RadixSoftmax, SplitPool
from archsearch.architecture.ops import (
    Activation,
    ChannelConv,
    ChannelMlp,
    ChannelStatistics,
    Conv,
    Dropout,
    Flatten,
    Gain,
    LayerScale,
    Linear,
    Norm,
    Op,
    PadShortcut,
    Relu,
    Sigmoid,
)
from archsearch.architecture.pools import Blur, GlobalPool, GridPool, OverlapPool, Pool, StemPool
from archsearch.architecture.quantities import Shape
from archsearch.network.layers import (
    NARROW,
    AcrossChannels,
    BlurPool,
    ChannelGain,
    ChannelWeights,
    GlobalMean,
    LearnedGain,
    MaxAndMean,
    ParallelPaths,
    PathMean,
    PointwiseConv,
    Reweighted,
    Scaled,
    SoftmaxOverPaths,
    StandardizedConv,
    StridedPointwiseConv,
    VectorNorm,
    ZeroPadShortcut,
    named,
    starting,
)
from archsearch.network.units import (
    CountedDepth,
    DenseUnit,
    DualPathUnit,
    GatedUnit,
    PlainUnit,
    ResidualUnit,
    StochasticDepth,
)


@dataclass(frozen=True)
class Call:
    """`function(*arguments, **keywords)`, which gives a module; arguments may be calls themselves."""

    function: Callable[..., nn.Module]
    arguments: tuple[Argument, ...] = ()
    keywords: tuple[tuple[str, Argument], ...] = ()

    def module(self) -> nn.Module:
        """A new module."""
        arguments = [_value(argument) for argument in self.arguments]
        return self.function(*arguments, **{name: _value(argument) for name, argument in self.keywords})


FUNCTIONS = {"silu": nn.SiLU, "gelu": nn.GELU, "hard_swish": nn.Hardswish, "relu6": nn.ReLU6}
Argument = Call | bool | int | float


def _value(argument: Argument) -> nn.Module | bool | int | float:
    return argument.module() if isinstance(argument, Call) else argument


def _call(function: Callable[..., nn.Module], *arguments: Argument, **keywords: Argument) -> Call:
    return Call(function, arguments, tuple(keywords.items()))


@singledispatch
def call(op: Op, x: Shape, *, overwrites: bool = False) -> Call:
    """What makes the module of an op that reads `x`; `overwrites` where nobody else reads it and ReLU may reuse its
    memory. An op that is defined elsewhere is registered (`call.register`). Raises NotImplementedError for any other.
    """
    match op:
        case Conv():
            function: type[nn.Conv2d] = nn.Conv2d
            if op.standardized and x.channels // op.groups * op.kernel**2 > 1:
                function = StandardizedConv
            elif op.kernel == op.groups == 1 and (op.stride == 1 or x.channels < NARROW):
                function = PointwiseConv if op.stride == 1 else StridedPointwiseConv
            padding = op.dilation * (op.kernel // 2) if op.padded else 0
            dilation = {"dilation": op.dilation} if op.dilation > 1 else {}
            conv = _call(
                function, x.channels, op.out, op.kernel,
                stride=op.stride, padding=padding, groups=op.groups, bias=op.bias, **dilation,
            )  # fmt: skip
            return _call(starting, conv, bias_init=op.bias_init) if op.bias_init else conv
        case Norm():
            norm = _call(VectorNorm if x.height == x.width == 1 else nn.BatchNorm2d, x.channels, eps=op.eps)
            if op.groups:
                norm = _call(nn.GroupNorm, op.groups, x.channels, eps=op.eps)
            return _call(starting, norm, scale_init=op.scale_init) if op.scale_init != 1 else norm
        case Relu():
            return _call(nn.ReLU, inplace=overwrites)
        case Activation():
            return _call(FUNCTIONS[op.function])
        case Sigmoid():
            return _call(nn.Sigmoid)
        case Dropout():
            return _call(nn.Dropout, op.p)
        case StemPool():
            if op.edges == "ignored":
                return _call(nn.MaxPool2d, 3, stride=op.stride, padding=1)
            if op.edges == "cut":
                return _call(nn.MaxPool2d, 3, stride=op.stride, ceil_mode=True)
            return _call(nn.Sequential, _call(nn.ZeroPad2d, 1), _call(nn.MaxPool2d, 3, stride=op.stride))
        case Blur():
            return _call(BlurPool, x.channels, op.stride)
        case Pool():
            keywords: dict[str, Argument] = {"ceil_mode": True} if op.ceil else {}
            return _call(nn.MaxPool2d if op.kind == "max" else nn.AvgPool2d, op.stride, **keywords)
        case GlobalPool(adaptive=True):
            pool = _call(nn.AdaptiveAvgPool2d, 1)
            return _call(nn.Sequential, pool, _call(nn.Flatten)) if op.flat else pool
        case GlobalPool():
            return _call(GlobalMean, flat=op.flat)
        case GridPool():
            return _call(nn.AdaptiveAvgPool2d, op.size)
        case Flatten():
            return _call(nn.Flatten)
        case Linear():
            return _call(nn.Linear, x.elements, op.out)
        case PadShortcut():
            return _call(ZeroPadShortcut, x.channels, op.out, op.stride, pooled=op.pooled)
        case LayerScale():
            return _call(ChannelGain, x.channels, op.start)
        case Gain():
            return _call(LearnedGain)
        case ChannelMlp():
            return _call(ChannelWeights, x.channels, op.hidden)
        case ChannelStatistics():
            return _call(MaxAndMean)
        case ChannelConv():
            return _call(AcrossChannels, op.kernel)
        case Reweight():
            return _call(Reweighted, call(op.weights, x), **({"radix": op.radix} if op.radix > 1 else {}))
        case Paths():
            paths = {name: call(path, into) for (name, path), into in zip(op.paths.steps, op.slices(x), strict=True)}
            return _call(ParallelPaths, sliced=op.sliced, cascade=op.cascade, **paths)
        case SplitPool():
            return _call(PathMean, op.radix)
        case RadixSoftmax():
            return _call(SoftmaxOverPaths, op.radix, op.groups)
        case OverlapPool():
            return _call(nn.AvgPool2d, 3, stride=op.stride, padding=1)
        case Sequence():
            layers, before = {}, None
            for name, part, into in op.parts(x):
                # A norm's output is its own: its backward keeps its input. A unit's input is also its shortcut's.
                layers[name] = call(part, into, overwrites=isinstance(before, Norm))
                before = part
            return _call(named, **layers)
        case Unit():
            return _unit(op, x)
        case _:
            raise NotImplementedError(f"no module for {type(op).__name__}")


def _unit(op: Unit, x: Shape) -> Call:
    """A residual unit's class, by what joins its branch to its shortcut, with its slots."""
    slots = {name: call(part, into) for name, part, into in op.parts(x)}
    for slot, factor in (("shortcut", op.shortcut_scale), ("gain", op.branch_scale)):
        if factor != 1:
            layers = slots[slot].keywords if slot in slots else ()
            slots[slot] = Call(named, (), (*layers, ("scaled1", _call(Scaled, factor))))
    if op.survival != 1:
        per_image, divides = op.survival_per == "sample", op.survival_rescale == "train"
        keywords = (("per_image", per_image), ("divides", divides), *slots["branch"].keywords)
        draw = op.survival_draw
        kind, arguments = (StochasticDepth, (op.survival,)) if draw is None else (CountedDepth, tuple(draw))
        slots["branch"] = Call(kind, arguments, keywords)
    growth = op.branch.shape(op.shared.shape(x)).channels - op.residual
    match op:
        case Unit(join="replace"):
            return _call(PlainUnit, **slots)
        case Unit(join="concat", residual=0):
            return _call(DenseUnit, growth=growth, **slots)
        case Unit(join="concat"):
            return _call(DualPathUnit, residual=op.residual, growth=growth, **slots)
        case Unit(gated="none"):
            return _call(ResidualUnit, **slots)
        case _:
            return _call(GatedUnit, both=op.gated == "both", **slots)
