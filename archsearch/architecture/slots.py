"""What fills a unit's slots: the branch's convolutions, where norms and ReLUs stand, shortcut, attention."""

from __future__ import annotations

from dataclasses import replace

from archsearch.architecture.block import Block
from archsearch.architecture.composites import Reweight, named
from archsearch.architecture.ops import (
    Activation,
    ChannelConv,
    ChannelMlp,
    ChannelStatistics,
    Conv,
    Dropout,
    Norm,
    Op,
    PadShortcut,
    Relu,
    Sigmoid,
)
from archsearch.architecture.pools import GlobalPool, Pool
from archsearch.architecture.quantities import floored, log2_floor, nearest, smaller

Ops = tuple[Op, ...]


def norm(block: Block) -> Ops:
    """A norm, unless the block has none."""
    return (Norm(),) if block.norm == "batch" else ()


def act(block: Block) -> Op:
    """The activation function."""
    return Relu() if block.nonlinearity == "relu" else Activation(function=block.nonlinearity)


def norm_act(block: Block) -> Ops:
    """A norm and the activation function, or that alone."""
    return (*norm(block), act(block))


def branch(block: Block, width: int, stride: int) -> tuple[Conv, ...]:
    """The branch's convolutions, without what stands between them. A dual path's last one emits the residual
    channels and those it adds."""
    bias, growth = block.norm == "none", block.growth_rate
    out = width + growth if block.link == "dual_path" else width
    match block.link, block.kind:
        case "dense", "bottleneck":
            inner = block.dense_bottleneck * growth
            return Conv(out=inner, stride=stride, bias=bias), Conv(out=growth, kernel=3, bias=bias)
        case "dense", _:
            return (Conv(out=growth, kernel=3, stride=stride, bias=bias),)
        case _, "single":
            return (Conv(out=out, kernel=3, stride=stride, bias=bias),)
        case _, "basic":
            return Conv(out=width, kernel=3, stride=stride, bias=bias), Conv(out=out, kernel=3, bias=bias)
        case _:
            inner, groups = _inner(block, width)
            first, second = (stride, 1) if block.stride_at == "conv1x1" else (1, stride)
            return (
                Conv(out=inner, stride=first, bias=bias),
                Conv(out=inner, kernel=3, stride=second, groups=groups, bias=bias),
                Conv(out=out, bias=bias),
            )


def _inner(block: Block, width: int) -> tuple[int, int]:
    """Channels and groups of a bottleneck's 3x3: the nearest multiple of the groups, or of the group width."""
    inner = width * block.bottleneck_ratio
    if block.group_width is None:
        return block.cardinality * nearest(inner / block.cardinality), block.cardinality
    group = smaller(block.group_width, floored(inner))
    groups = nearest(inner / group)
    return groups * group, groups


def placed(block: Block, convs: tuple[Conv, ...]) -> tuple[Ops, Ops, Ops]:
    """(before the first convolution, the middle of the branch, after the join): He 2016, figure 4.

    What a dense block emits stays as it is for all later ones, so what stands after a join ends its branch.
    """
    before, middle, after = _placed(block, convs)
    return (before, (*middle, *after), ()) if block.link == "dense" else (before, middle, after)


def _placed(block: Block, convs: tuple[Conv, ...]) -> tuple[Ops, Ops, Ops]:
    between, middle = norm_act(block), _between(block, convs)
    match block.activation:
        case "post":
            return (), (*middle, *_last_norm(block)), (act(block),)
        case "norm_after_addition":
            return (), middle, between
        case "relu_before_addition":
            return (), (*middle, *between), ()
        case "relu_only_pre":
            return (act(block),), (*middle, *_last_norm(block)), ()
        case "pre":
            return between, middle, ()


def _last_norm(block: Block) -> Ops:
    """The norm that ends a branch. Behind a ReLU a scale of 0 would pass no gradient, so others never start there."""
    zero = block.zero_init and block.link not in ("plain", "dense")
    return tuple(replace(op, scale_init=0.0) if zero and isinstance(op, Norm) else op for op in norm(block))


def _between(block: Block, convs: tuple[Conv, ...]) -> Ops:
    """The convolutions with norm and ReLU between them, and dropout before the last (Wide ResNet), or behind it
    in a dense block (Huang 2017)."""
    ops: list[Op] = [convs[0]]
    dropout = (Dropout(p=block.dropout),) if block.dropout else ()
    for number, conv in enumerate(convs[1:], start=2):
        last = number == len(convs) and block.link != "dense"
        ops += (*norm_act(block), *(dropout if last else ()), conv)
    return (*ops, *dropout) if block.link == "dense" else tuple(ops)


def shortcut(block: Block, width: int, stride: int, changes: bool) -> Ops:
    """Options A, B, C (He 2015, section 3.3). Projections have a norm, but for pre-activated blocks, and with B_pool an
    average pool for the stride. A dual path's, in the first block of a stage, has a norm and ReLU of its own before it
    (Chen 2017)."""
    if block.link in ("plain", "dense"):
        return ()
    dropout = (Dropout(p=block.shortcut_dropout),) if block.shortcut_dropout else ()
    if block.link == "dual_path":
        projection = Conv(out=width + 2 * block.growth_rate, stride=stride, bias=block.norm == "none")
        before = norm_act(block) if block.activation in ("pre", "relu_only_pre") else ()
        after = norm(block) if not before else ()
        return (*before, projection, *after, *dropout) if changes else dropout
    option = block.shortcut
    if option in ("A", "A_pool") and changes:
        return (PadShortcut(out=width, stride=stride, pooled=option == "A_pool" and stride > 1), *dropout)
    if option != "C" and not changes:
        return dropout
    pool = (Pool(stride=stride, ceil=True),) if option == "B_pool" and stride > 1 else ()
    projection = Conv(out=width, stride=1 if pool else stride, bias=block.norm == "none")
    after = () if block.activation in ("pre", "relu_only_pre") else norm(block)
    return (*pool, projection, *after, *dropout)


def attention(block: Block, channels: int) -> Ops:
    """Squeeze-and-excitation (Hu 2018), CBAM (Woo 2018) or ECA (Wang 2020), on the branch's output."""
    hidden = floored(channels // block.attention_reduction)
    pool = GlobalPool(adaptive=False, flat=False)
    match block.attention:
        case "none":
            return ()
        case "se":
            squeezed = Conv(out=hidden, bias=True), Relu(), Conv(out=channels, bias=True)
            return (Reweight(weights=named(pool, *squeezed, Sigmoid())),)
        case "cbam":
            positions = ChannelStatistics(), Conv(out=1, kernel=7), Norm(), Sigmoid()
            return Reweight(weights=named(ChannelMlp(hidden=hidden))), Reweight(weights=named(*positions))
        case "eca":
            # Equation 12 of the paper: the nearest odd number to log2(C) / 2 + 1 / 2, rounded as its code does.
            kernel = (log2_floor(channels) + 1) // 2
            kernel += 1 - kernel % 2
            return (Reweight(weights=named(pool, ChannelConv(kernel=kernel), Sigmoid())),)


def gate_bias(block: Block) -> float:
    """Where the gate starts: below zero, so that a network begins near its shortcuts."""
    return block.gate_bias if block.gate_bias is not None else -2.0 if block.link == "highway" else -6.0
