"""What fills a unit's slots: the branch's convolutions, where norms, ReLUs and attention stand, the shortcut."""

from __future__ import annotations

from dataclasses import replace

from archsearch.architecture.attention import MIXING, attention, recombined
from archsearch.architecture.block import Block
from archsearch.architecture.composites import Sequence, named
from archsearch.architecture.mixing import Paths
from archsearch.architecture.ops import (
    Activation,
    Conv,
    Dropout,
    Gain,
    LayerScale,
    Norm,
    Op,
    PadShortcut,
    Relu,
)
from archsearch.architecture.pools import Blur, OverlapPool, Pool
from archsearch.architecture.quantities import floored, nearest, smaller

Ops = tuple[Op, ...]


def norm(block: Block) -> Ops:
    """A norm, unless the block has none."""
    return () if block.norm == "none" else (Norm(groups=block.norm_groups if block.norm == "group" else 0),)


def act(block: Block) -> Op:
    """The activation function."""
    return Relu() if block.nonlinearity == "relu" else Activation(function=block.nonlinearity)


def norm_act(block: Block) -> Ops:
    """A norm and the activation function, or that alone."""
    return (*norm(block), act(block))


def convolution(block: Block, *, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Conv:
    """A convolution of a block, the stem or a stage's entry. Its bias stands in for a norm, or beside it."""
    bias, standardized = block.bias or block.norm == "none", block.weight_standardization
    return Conv(out=out, kernel=kernel, stride=stride, groups=groups, bias=bias, standardized=standardized)


def branch(block: Block, width: int, stride: int) -> tuple[Conv, ...]:
    """The branch's convolutions, without what stands between them. A dual path's last one emits the residual
    channels and those it adds."""
    kernels, out, groups = _kernels(block), emitted(block, width), 1
    first = inner = block.growth_rate if block.link == "dense" else width
    if block.kind == "bottleneck" and block.link == "dense":
        first = block.dense_bottleneck * block.growth_rate
    elif block.kind == "bottleneck":
        first, inner, groups = bottleneck_channels(block, width)
    channels = [first, *[inner] * (len(kernels) - 2), out][-len(kernels) :]
    strided = 0 if block.stride_at == "conv1x1" else next(i for i, kernel in enumerate(kernels) if kernel > 1)
    strides = [stride if index == strided else 1 for index in range(len(kernels))]
    return tuple(
        convolution(block, out=out, kernel=kernel, stride=stride, groups=groups if kernel > 1 else 1)
        for out, kernel, stride in zip(channels, kernels, strides, strict=True)
    )


def _kernels(block: Block) -> list[int]:
    """The sizes of the branch's kernels, in order."""
    layers = block.layers or (2 if block.kind == "basic" and block.link != "dense" else 1)
    pattern = layers.split("-") if isinstance(layers, str) else ["3"] * layers
    sizes = [block.kernel if size == "3" else 1 for size in pattern]
    if block.kind != "bottleneck":
        return sizes
    return [1, *sizes] if block.link == "dense" else [1, *sizes, 1]


def emitted(block: Block, width: int) -> int:
    """Channels that a branch emits."""
    if block.link == "dense":
        return block.growth_rate
    return width + block.growth_rate if block.link == "dual_path" else width


def bottleneck_channels(block: Block, width: int) -> tuple[int, int, int]:
    """Channels of a bottleneck's first 1x1 and of its 3x3, and the groups of that: the nearest multiples of the
    groups, or of the group width, in each path or part."""
    mixes = block.attention in MIXING
    parts = block.scales if not mixes else 1 if block.attention == "selective" else block.radix
    inner, groups = width * block.bottleneck_ratio / parts, block.cardinality
    group = nearest(inner / groups)
    if block.group_width is not None:
        group = smaller(block.group_width, floored(inner))
        groups = nearest(inner / group)
    ratio = block.first_ratio if mixes or parts == 1 else 1.0
    return parts * groups * nearest(group * ratio), parts * groups * group, groups


def layered(block: Block, convs: tuple[Conv, ...], into: int, changes: bool) -> tuple[Ops, ...]:
    """The branch's layers, between which stand norms and ReLUs: each convolution, or the paths in its place, with the
    attention that stands directly behind or before it. `into`: the block's input channels."""
    layers: list[Ops] = [(conv,) for conv in convs]
    first, pre = next(index for index, conv in enumerate(convs) if conv.kernel > 1), block.activation == "pre"
    if mixed := _mixed(block, convs[first], into, changes):
        if not pre:  # norm and ReLU are the paths' own
            layers[first : first + 2] = [(*mixed, *convs[first + 1 : first + 2])]
        elif block.attention in MIXING:
            layers[first] = mixed
        else:
            layers[first - 1 : first + 1] = [(convs[first - 1], *mixed)]
    if attends_inside(block, convs):
        weights, (*others, last) = attention(block, convs[-2].out, into), layers[-1]
        if pre:
            layers[-2] = (*layers[-2], *weights)
        else:
            layers[-1] = (*others, *weights, last)
    return tuple(layers)


def _mixed(block: Block, conv: Conv, into: int, changes: bool) -> Ops:
    """What stands for a branch's first 3x3 where it has several paths, with norms and ReLUs between its ops and, unless
    a block is pre-activated, behind its convolutions; nothing where it has one."""
    radix, own = block.radix, () if block.activation == "pre" else norm_act(block)
    bottleneck = block.kind == "bottleneck" and block.link != "dense"
    match block.attention:
        case "split":
            wide = replace(conv, out=radix * conv.out, groups=radix * conv.groups if bottleneck else 1)
            return (wide, *own, recombined(block, conv, into, (Norm(),) if norm(block) else ()))
        case "selective" | "selective_sliced":
            paths = (named(replace(conv, dilation=number + 1), *own) for number in range(radix))
            sliced = block.attention == "selective_sliced"
            return Paths(paths=_numbered(*paths), sliced=sliced), recombined(
                block, conv, into, (Norm(),) if norm(block) else ()
            )
    if block.scales == 1 or not bottleneck:
        return ()
    part = replace(conv, out=conv.out // block.scales)
    path = named(part, *own) if own else named(*norm_act(block), part)
    apart = changes or conv.stride > 1
    last = named(OverlapPool(stride=conv.stride)) if apart else Sequence()
    return (Paths(paths=_numbered(*[path] * (block.scales - 1), last), cascade=not apart),)


def _numbered(*paths: Sequence) -> Sequence:
    return Sequence(steps=tuple((f"path{number}", path) for number, path in enumerate(paths, 1)))


def attends_inside(block: Block, convs: tuple[Conv, ...]) -> bool:
    """Whether attention that is no path's stands between the branch's convolutions."""
    return block.attention_at == "inside" and block.attention not in MIXING and len(convs) > 1


def placed(block: Block, layers: tuple[Ops, ...]) -> tuple[Ops, Ops, Ops]:
    """(before the first convolution, the middle of the branch, after the join): He 2016, figure 4.

    What a dense block emits stays as it is for all later ones, so what stands after a join ends its branch.
    """
    before, middle, after = _placed(block, layers)
    middle = _without_strides(block, middle) if block.downsample != "stride" else middle
    return (before, (*middle, *after), ()) if block.link == "dense" else (before, middle, after)


def _placed(block: Block, layers: tuple[Ops, ...]) -> tuple[Ops, Ops, Ops]:
    between, middle = norm_act(block), _between(block, layers)
    match block.activation:
        case "post":
            return (), (*middle, *_last_norm(block)), (act(block),)
        case "linear":
            between_convolutions = len(layers) > 1 and block.link != "dense"
            return (), (*middle, *_last_norm(block)), () if between_convolutions else (act(block),)
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


def _between(block: Block, layers: tuple[Ops, ...]) -> Ops:
    """The layers with norm and ReLU between them, and dropout before the last convolution (Wide ResNet), or behind it
    in a dense block (Huang 2017)."""
    *others, last = layers
    if block.dropout and block.link == "dense":
        last = (*last, Dropout(p=block.dropout))
    elif block.dropout and isinstance(last[-1], Conv) and (others or last[1:]) and block.kind != "single":
        last = (*last[:-1], Dropout(p=block.dropout), last[-1])
    return (*(op for layer in others for op in (*layer, *norm_act(block))), *last)


def _without_strides(block: Block, middle: Ops) -> Ops:
    """The branch with a pool in place of a convolution's stride: before the next one or at the end, or before it."""
    ops: list[Op] = []
    pool: Ops = ()
    for op in middle:
        if isinstance(op, Conv | Dropout):
            ops, pool = [*ops, *pool], ()
        if isinstance(op, Conv) and (stride := op.stride) > 1:
            pools = {"blur": Blur(stride=stride), "average": Pool(stride=stride, ceil=True)}
            pool = (pools.get(block.downsample, OverlapPool(stride=stride)),)
            ops, pool = ([*ops, *pool], ()) if block.downsample == "average_before" else (ops, pool)
            ops.append(replace(op, stride=1))
        else:
            ops.append(op)
    return (*ops, *pool)


def shortcut(block: Block, width: int, stride: int, changes: bool) -> Ops:
    """Options A, B, C (He 2015, section 3.3). Projections have a norm, but for pre-activated blocks, and with B_pool an
    average pool for the stride. A dual path's, in the first block of a stage, has a norm and ReLU of its own before it
    (Chen 2017)."""
    if block.link in ("plain", "dense"):
        return ()
    dropout = (Dropout(p=block.shortcut_dropout),) if block.shortcut_dropout else ()
    if block.link == "dual_path":
        projection = convolution(block, out=width + 2 * block.growth_rate, stride=stride)
        before = norm_act(block) if block.activation in ("pre", "relu_only_pre") else ()
        after = norm(block) if not before else ()
        return (*before, projection, *after, *dropout) if changes else dropout
    option = block.shortcut
    if option in ("A", "A_pool") and changes:
        return (PadShortcut(out=width, stride=stride, pooled=option == "A_pool" and stride > 1), *dropout)
    if option != "C" and not changes:
        return dropout
    pool = (Pool(stride=stride, ceil=True),) if option == "B_pool" and stride > 1 else ()
    stride = 1 if pool else stride
    kernel = block.shortcut_kernel if stride > 1 else 1
    projection = convolution(block, out=width, kernel=kernel, stride=stride)
    after = () if block.activation in ("pre", "relu_only_pre") else norm(block)
    return (*pool, projection, *after, *dropout)


def gains(block: Block) -> Ops:
    """The learned factors of a branch: one a channel, and one for all."""
    if block.link == "plain":
        return ()
    scale = (LayerScale(start=block.layer_scale),) if block.layer_scale else ()
    return (*scale, *((Gain(),) if block.learned_gain else ()))


def gate_bias(block: Block) -> float:
    """Where the gate starts: below zero, so that a network begins near its shortcuts."""
    return block.gate_bias if block.gate_bias is not None else -2.0 if block.link == "highway" else -6.0
