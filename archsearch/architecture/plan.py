"""The grammar: Architecture -> ops. This is the only place where it is written.

    unit:  after( join( shortcut(s), gain * branch(s) ) ),  s = shared(x)

`plan` lays the stem, the stages and the head out as one Sequence; `_unit` fills the slots of one block.
"""

from __future__ import annotations

from collections.abc import Iterator

from archsearch.architecture.cost import Shape
from archsearch.architecture.ops import (
    AvgPool,
    Conv,
    GlobalPool,
    Linear,
    MaxPool,
    Norm,
    Op,
    PadShortcut,
    Relu,
    Sequence,
    Unit,
)
from archsearch.architecture.spec import Architecture, Block, Placement, Stage, Stem, Survival

NORM_ACT = (Norm(), Relu())


def plan(architecture: Architecture) -> Sequence:
    """The ops of a network, named `stem`, `stage1`, ..., `head`. Raises InputError where its image runs out."""
    first = architecture.stages[0].block.activation
    parts: list[tuple[str, Op]] = [("stem", _stem(architecture.stem, first))]
    x = parts[0][1].shape(Shape(*architecture.input))
    survivals = _survivals(architecture)
    for index, stage in enumerate(architecture.stages):
        following = architecture.stages[index + 1].block if index + 1 < len(architecture.stages) else None
        section = _stage(
            stage, x, survivals, index == 0 and not _has_norm(architecture.stem, first), index, following
        )
        x = section.shape(x)
        parts.append((f"stage{index + 1}", section))
    parts.append(
        (
            "head",
            named(
                GlobalPool(adaptive=architecture.head.pool == "adaptive"), Linear(out=architecture.classes)
            ),
        )
    )
    return Sequence(steps=tuple(parts))


def named(*ops: Op) -> Sequence:
    """Ops in order, named by what they are: conv1, norm1, relu1, conv2, ..."""
    counts: dict[str, int] = {}
    steps = []
    for op in ops:
        kind = type(op).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        steps.append((f"{kind}{counts[kind]}", op))
    return Sequence(steps=tuple(steps))


def _has_norm(stem: Stem, first: Placement) -> bool:
    """Pre-activated blocks bring a norm of their own; all others want the stem to end in one."""
    return stem.norm if stem.norm is not None else first != "pre"


def _stem(stem: Stem, first: Placement) -> Sequence:
    norm = NORM_ACT if _has_norm(stem, first) else ()
    pool = (MaxPool(),) if stem.pool == "max" else ()
    return named(Conv(out=stem.width, kernel=stem.kernel, stride=stem.stride), *norm, *pool)


def _survivals(architecture: Architecture) -> Iterator[Survival]:
    """p_l of each block in order (Huang 2016, equation 4). A block without a shortcut is always kept:
    without its branch nothing would be left, so it does not count among the L either."""
    survival = architecture.survival
    can_drop = [stage.block.link != "plain" for stage in architecture.stages for _ in range(stage.depth)]
    blocks, last = sum(can_drop), survival.last
    position = 0
    for drops in can_drop:
        position += drops
        match survival.schedule if drops else "none":
            case "none":
                kept = 1.0
            case "uniform":
                kept = last
            case "linear":
                kept = 1 - position / blocks * (1 - last)
        yield survival.model_copy(update={"last": kept})


def _stage(
    stage: Stage,
    x: Shape,
    survivals: Iterator[Survival],
    splits_first: bool,
    index: int,
    following: Block | None,
) -> Sequence:
    """Entry (a dense stage's transition), blocks, exit (the norm and ReLU that end a run of pre-activation)."""
    block, stride = stage.block, stage.stride
    steps: list[tuple[str, Op]] = []
    if block.link == "dense" and (index > 0 or stride > 1):
        transition = _transition(stage, x)
        steps.append(("transition", transition))
        x, stride = transition.shape(x), 1
    for number in range(stage.depth):
        unit = _unit(block, x, stage.width, stride, next(survivals), splits_first and number == 0)
        steps.append((f"block{number + 1}", unit))
        x, stride = unit.shape(x), 1
    if block.activation == "pre" and (following is None or following.activation != "pre"):
        steps.append(("exit", named(*NORM_ACT)))
    return Sequence(steps=tuple(steps))


def _transition(stage: Stage, x: Shape) -> Sequence:
    """DenseNet's: 1x1 convolution to floor(compression * channels), average pool (Huang 2017, section 3)."""
    conv = Conv(out=max(1, int(stage.compression * x.channels)))
    pool = (AvgPool(stride=stage.stride),) if stage.stride > 1 else ()
    return named(*NORM_ACT, conv, *pool) if stage.block.activation == "pre" else named(conv, *NORM_ACT, *pool)


def _convs(block: Block, width: int, stride: int) -> tuple[Conv, ...]:
    """The branch's convolutions, without what stands between them."""
    match block.link, block.kind:
        case "dense", "basic":
            return (Conv(out=block.growth_rate, kernel=3, stride=stride),)
        case "dense", "bottleneck":
            inner = block.dense_bottleneck * block.growth_rate
            return Conv(out=inner, stride=stride), Conv(out=block.growth_rate, kernel=3)
        case _, "basic":
            return Conv(out=width, kernel=3, stride=stride), Conv(out=width, kernel=3)
        case _:
            groups = block.cardinality
            inner = groups * max(1, round(width * block.bottleneck_ratio / groups))
            first, second = (stride, 1) if block.stride_at == "conv1x1" else (1, stride)
            return (
                Conv(out=inner, stride=first),
                Conv(out=inner, kernel=3, stride=second, groups=groups),
                Conv(out=width),
            )


def _placed(
    convs: tuple[Conv, ...], placement: Placement
) -> tuple[tuple[Op, ...], tuple[Op, ...], tuple[Op, ...]]:
    """(before the first convolution, the rest of the branch, after the join): He 2016, figure 4."""
    match placement:
        case "post":
            return (), (*_between(convs, NORM_ACT), Norm()), (Relu(),)
        case "norm_after_addition":
            return (), _between(convs, NORM_ACT), NORM_ACT
        case "relu_before_addition":
            return (), (*_between(convs, NORM_ACT), *NORM_ACT), ()
        case "relu_only_pre":
            return (Relu(),), (*_between(convs, NORM_ACT), Norm()), ()
        case "pre":
            return NORM_ACT, _between(convs, NORM_ACT), ()


def _between(convs: tuple[Conv, ...], ops: tuple[Op, ...]) -> tuple[Op, ...]:
    first, *rest = convs
    return (first, *(op for conv in rest for op in (*ops, conv)))


def _unit(block: Block, x: Shape, width: int, stride: int, survival: Survival, splits_first: bool) -> Unit:
    """One block. Where the shapes change, or behind a stem without a norm, the pre-activation feeds both
    sides (He 2016, appendix); elsewhere, and in dense blocks, the branch alone."""
    before, rest, after = _placed(_convs(block, width, stride), block.activation)
    changes = block.link != "dense" and (stride > 1 or x.channels != width)
    both = bool(before) and block.link == "residual" and (changes or splits_first)
    shortcut = _shortcut(block, width, stride, changes) if block.link == "residual" else ()
    return Unit(
        shared=named(*before) if both else Sequence(),
        branch=named(*rest) if both else named(*before, *rest),
        shortcut=named(*shortcut),
        after=named(*after) if block.link != "dense" else Sequence(),
        join={"plain": "replace", "residual": "add", "dense": "concat"}[block.link],  # type: ignore[arg-type]
        survival=survival.last,
        survival_per=survival.per if survival.last < 1 else "batch",
        survival_rescale=survival.rescale if survival.last < 1 else "test",
    )


def _shortcut(block: Block, width: int, stride: int, changes: bool) -> tuple[Op, ...]:
    """Options A, B, C (He 2015, section 3.3). Projections have a norm, but for pre-activated blocks."""
    match block.shortcut:
        case "A" if changes:
            return (PadShortcut(out=width, stride=stride),)
        case "A" | "B" if not changes:
            return ()
        case _:
            norm = () if block.activation in ("pre", "relu_only_pre") else (Norm(),)
            return Conv(out=width, stride=stride), *norm
