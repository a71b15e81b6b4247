"""Primitive ops -> the expressions that make their layers: the closed table of what source can hold.

Layers that torch lacks are those of `archsearch.network.layers`, whose classes the source repeats as they stand there.
"""

from __future__ import annotations

from archsearch.architecture.composites import Reweight, Sequence
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
from archsearch.architecture.quantities import Shape
from archsearch.export.code import Call, Expression, Hole, Word, named

Layers = tuple[tuple[str, Expression], ...]
WITHOUT_PARAMETERS = (Relu, Sigmoid, Dropout, StemPool, Pool, GlobalPool, Flatten, PadShortcut, ChannelStatistics)


def sequence(op: Sequence, x: Shape) -> Call:
    """`named(conv1=..., norm1=..., ...)`."""
    return named(layers(op, x))


def layers(op: Sequence, x: Shape) -> Layers:
    """Name and expression of each layer. A ReLU behind a norm may work in place: see `network.build`."""
    found: list[tuple[str, Expression]] = []
    before: Op | None = None
    for name, part, into in op.parts(x):
        if isinstance(part, GlobalPool) and part.flat:
            # By a mean or by torch's adaptive pool, the figures are the same.
            found += [(name, _pool()), ("flatten1", Call("nn.Flatten"))]
        else:
            found.append((name, layer(part, into, overwrites=isinstance(before, Norm))))
        before = part
    return tuple(found)


def layer(op: Op, x: Shape, *, overwrites: bool = False) -> Expression:
    """The expression that makes the layer of an op that reads `x`. Raises NotImplementedError for other ops."""
    match op:
        case Conv():
            return _conv(op, x)
        case Norm():
            return Call("nn.BatchNorm2d", (_width(x.channels),), (Word("eps", op.eps, 1e-5),))
        case Relu():
            return Call("nn.ReLU", (), (Word("inplace", overwrites, False),))
        case Sigmoid():
            return Call("nn.Sigmoid")
        case Dropout():
            return Call("nn.Dropout", (Hole("rate", "dropout", op.p),))
        case StemPool():
            return Call("nn.MaxPool2d", (3,), (Word("stride", 2), Word("padding", 1)))
        case Pool():
            return Call("nn.MaxPool2d" if op.kind == "max" else "nn.AvgPool2d", (op.stride,))
        case GlobalPool():
            return _pool()
        case Flatten():
            return Call("nn.Flatten")
        case Linear():
            return Call("nn.Linear", (x.elements, op.out))
        case PadShortcut():
            return _padded(op, x)
        case Gain():
            return Call("LearnedGain")
        case ChannelMlp():
            return Call("ChannelWeights", (_width(x.channels), _width(op.hidden, "hidden")))
        case ChannelStatistics():
            return Call("MaxAndMean")
        case ChannelConv():
            return Call("AcrossChannels", (Hole("kernel", "kernel", op.kernel),))
        case Reweight():
            return Call("Reweighted", (sequence(op.weights, x),))
        case _:
            raise NotImplementedError(f"no source for {type(op).__name__}")


def _conv(op: Conv, x: Shape) -> Call:
    words = (
        Word("stride", Hole("stride", "stride", op.stride), 1),
        Word("padding", op.kernel // 2 if op.padded else 0, 0),
        Word("groups", Hole("groups", "groups", op.groups), 1),
        Word("bias", op.bias, True),
    )
    return Call("nn.Conv2d", (_width(x.channels), _width(op.out), op.kernel), words)


def _padded(op: PadShortcut, x: Shape) -> Call:
    stride = Hole("stride", "stride", op.stride)
    pooled = (Word("pooled", op.pooled, False),)
    return Call("ZeroPadShortcut", (_width(x.channels), _width(op.out), stride), pooled)


def _pool() -> Call:
    return Call("nn.AdaptiveAvgPool2d", (1,))


def _width(channels: int, role: str = "inner") -> Hole:
    return Hole("width", role, channels)


def without_parameters(op: Sequence) -> bool:
    """Whether no layer of it has weights, so that no name matters."""
    return all(isinstance(step, WITHOUT_PARAMETERS) for _, step in op.steps)


def is_relu(op: Sequence) -> bool:
    """A ReLU alone."""
    return len(op.steps) == 1 and isinstance(op.steps[0][1], Relu)


def single(expression: Call, op: Sequence) -> Expression:
    """A single layer without weights stands for itself, without a name."""
    (*_, last) = expression.words
    alone = len(expression.words) == 1 and isinstance(last, Word) and without_parameters(op)
    return last.value if alone and isinstance(last, Word) else expression
