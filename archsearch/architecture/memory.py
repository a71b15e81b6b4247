"""What training a network keeps in memory: counted from the plan, checked against torch (benchmarks/memory.py).

Autograd keeps a tensor where the backward pass reads it: a convolution, norm, pool or product its input; a ReLU, a
sigmoid or a pool's indices their output. Each tensor is counted once, at the op that makes it. An op does not know what
follows, so `kept` presumes the usual, and `unit_kept` puts right what the slots of a unit tell otherwise.

Counts are elements of the activations' dtype, for one image. Dropped blocks (stochastic depth) are counted as kept:
a step that drops none is what must fit. Channels may be arrays (see quantities.py).
"""

from __future__ import annotations

from typing import Literal

from archsearch.architecture.ops import (
    ChannelConv,
    ChannelMlp,
    ChannelStatistics,
    Conv,
    Dropout,
    Flatten,
    Gain,
    Linear,
    Norm,
    Op,
    PadShortcut,
    Pool,
    Relu,
    Reweight,
    Sequence,
    Sigmoid,
    StemPool,
    Unit,
)
from archsearch.architecture.quantities import Shape, larger

INDEX = 2  # a max pool's indices are int64: two elements of float32 each
# The backward pass of these reads what went in; that of these what came out.
READS_INPUT = (ChannelConv, ChannelMlp, ChannelStatistics, Conv, Gain, Linear, Norm, Pool, Reweight, StemPool)
READS_OUTPUT = (Relu, Sigmoid)


def kept(op: Op, x: Shape) -> int:
    """Elements of new tensors that are kept because this primitive op stands at `x`, its output among them where that
    is usual: a convolution's, unless it has a bias, goes into a norm; pools, dropout and the head into a layer with
    weights; a norm's own is overwritten by its ReLU."""
    return _beside(op, x) + _presumed(op) * op.shape(x).elements


def largest(op: Op, x: Shape) -> int:
    """Elements of the largest tensor that a primitive op makes."""
    return op.shape(x).elements


def training_bytes(
    *,
    params: int,
    saved: int,
    largest: int,
    batch: int,
    image: int = 0,
    optimizer: Literal["sgd", "adamw"] = "sgd",
    precision: Literal["float32", "bfloat16"] = "float32",
    average: bool = False,
) -> int:
    """Bytes that a training step needs at its peak, on the device: weights, their moving `average` where there is one,
    moments (SGD's momentum; AdamW's two), and what autograd keeps, which falls in the backward pass while gradients
    grow: the larger of both and half the other.

    `saved` and `largest` are a Cost's, `image` the elements of one image, which the first convolution keeps. One tensor
    of the largest size comes and goes beside those that are kept. In bfloat16 (autocast) activations have two bytes,
    weights a copy of two bytes for each step. Not counted: the data set, torch's own code, a library's scratch space.
    """
    number, copy = (4, 0) if precision == "float32" else (2, 2)
    moments = 1 if optimizer == "sgd" else 2
    forward = batch * (number * (saved + largest) + (4 + copy) * image) + copy * params
    gradients = 4 * params
    return 4 * (1 + moments + average) * params + (forward + gradients + larger(forward, gradients)) // 2


def _beside(op: Op, x: Shape) -> int:
    """What an op keeps besides its input and its output."""
    match op:
        case Dropout():  # the mask; on a CPU of the input's dtype, on a GPU a byte each
            return x.elements
        case StemPool() | Pool(kind="max"):
            return INDEX * op.shape(x).elements
        case ChannelMlp():  # mean and maximum, the two hidden vectors behind their ReLU
            return 2 * x.channels + 2 * op.hidden
        case ChannelStatistics():  # the maximum, apart from the pair that is made of it
            return x.height * x.width
    return 0


def _presumed(op: Op) -> bool:
    """Whether an op's output is kept, as far as the op itself can tell."""
    match op:
        case Conv():
            return not op.bias
        case Norm() | Gain() | PadShortcut() | Flatten() | Reweight():
            return False
    return True


def unit_kept(unit: Unit, x: Shape) -> int:
    """Elements that a unit keeps beyond those that `kept` counts for the ops inside it (fewer: negative): the join's
    result, what gates and scales make, and outputs that are kept, or are not, against what `kept` presumes.

    Whoever reads the unit's output is taken to be a unit alike.
    """
    s = unit.shared.shape(x)
    f, h, joined = unit.branch.shape(s), unit.shortcut.shape(s), unit.joined(x)
    again = _keeps_its_input(unit)
    result = _first_reads(unit.after) if unit.after.steps else again
    gated, scaled, residual = unit.gated != "none", _scales(unit), unit.join != "replace"
    product = unit.gated == "both" or (not residual and result)  # whether the branch's last tensor is kept
    beyond = scaled * product * f.elements
    beyond += gated * (1 + (unit.shortcut_scale != 1.0)) * h.elements  # 1 - g, and the scaled shortcut
    beyond += residual * result * joined.elements
    last = product and not scaled  # where nothing scales it, that is the gain's, or the branch's own
    beyond += _otherwise(unit.shared, x, True)
    beyond += _otherwise(unit.branch, s, bool(unit.gain.steps) or last)
    beyond += _otherwise(unit.gain, f, last)
    beyond += _otherwise(unit.shortcut, s, gated and unit.shortcut_scale == 1.0)
    beyond += _otherwise(unit.gate, s, True)
    return beyond + _otherwise(unit.after, joined, again)


def _otherwise(sequence: Sequence, x: Shape, read: bool) -> int:
    """Elements of the outputs in a sequence that are kept, less those that `kept` presumes to be. `read`: whether
    whoever takes the sequence's output keeps it."""
    beyond, ops = 0, [op for _, op in sequence.steps]
    for number, op in enumerate(ops, start=1):
        x = op.shape(x)
        keeps = isinstance(op, READS_OUTPUT) or (isinstance(ops[number], READS_INPUT) if number < len(ops) else read)
        beyond += (keeps - _presumed(op)) * x.elements
    return beyond


def _keeps_its_input(unit: Unit) -> bool:
    """Whether some slot that reads the unit's input keeps it."""
    if unit.shared.steps:
        return _first_reads(unit.shared)
    return _first_reads(unit.branch) or _first_reads(unit.shortcut) or _first_reads(unit.gate)


def _first_reads(sequence: Sequence) -> bool:
    return bool(sequence.steps) and isinstance(sequence.steps[0][1], READS_INPUT)


def _scales(unit: Unit) -> bool:
    """Whether the branch is multiplied by a number, or by one a sample."""
    drops = unit.survival != 1.0 and (unit.survival_per == "sample" or unit.survival_rescale == "train")
    return unit.branch_scale != 1.0 or drops
