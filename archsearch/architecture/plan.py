"""The grammar: Architecture -> ops. This is the only place where it is written.

    unit:  after( join( shortcut(s), gain * attention(branch(s)) ) ),  s = shared(x)

`plan` lays the stem, the stages and the head out as one Sequence; `_unit` fills the slots of one block.
What a block's branch and shortcut are made of is in slots.py, attention in attention.py. Each part depends on the
others by its input's shape and its `StageContext` alone, so that parts are counted once, and for many networks at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeGuard

from archsearch.architecture.attention import attention
from archsearch.architecture.block import Block
from archsearch.architecture.composites import Draw, Sequence, Unit, named, settled
from archsearch.architecture.heads import head_ops
from archsearch.architecture.ops import Conv, Dropout, Norm, Op, Sigmoid
from archsearch.architecture.pools import Blur, Pool, StemPool
from archsearch.architecture.quantities import Shape, agree, floored
from archsearch.architecture.slots import (
    act,
    attends_inside,
    branch,
    convolution,
    gains,
    gate_bias,
    layered,
    norm_act,
    placed,
    shortcut,
)
from archsearch.architecture.spec import Architecture, Stage, Stem, Survival
from archsearch.reading.errors import refuse

STEM_POOLS: dict[str, tuple[Op, ...]] = {
    "none": (), "max": (StemPool(),), "max_zero_padded": (StemPool(edges="zeros"),), "conv": (),
    "max_unpadded": (StemPool(edges="cut"),), "average": (Pool(stride=2, ceil=True),),
    "blur": (StemPool(stride=1), Blur(stride=2)),
}  # fmt: skip


class StageContext(NamedTuple):
    """What a stage's ops depend on beyond its own words and its input.

    `opens`: its first block's pre-activation feeds both its sides whatever its shape; `preactivated`: the stem's norm
    and ReLU are that block's pre-activation; `ends`: no stage follows that begins with the activation of this one's
    blocks; `following`: the activation of the next stage's blocks, "" behind the last.
    """

    first: bool
    opens: bool
    preactivated: bool
    ends: bool
    following: str


def plan(architecture: Architecture) -> Sequence:
    """The ops of a network, named `stem`, `stage1`, ..., `head`. Raises InputError where its image runs out."""
    stem = stem_ops(architecture.stem, architecture.stages[0].block)
    x = stem.shape(Shape(*architecture.input))
    stages = []
    for stage, context in zip(architecture.stages, stage_contexts(architecture), strict=True):
        stages.append(stage_ops(stage, context, x))
        x = stages[-1].shape(x)
    if architecture.survival.schedule != "none":
        stages = _surviving(stages, architecture.survival)
    head = head_ops(architecture.head, architecture.classes)
    steps: list[tuple[str, Op]] = [("stem", stem)]
    steps += [*((f"stage{number}", stage) for number, stage in enumerate(stages, 1)), ("head", head)]
    planned = Sequence(steps=tuple(steps))
    if architecture.norm_eps != Norm().eps or any(stage.block.norm == "group" for stage in architecture.stages):
        with_norms = settled(planned, Shape(*architecture.input), architecture.norm_eps)
        assert isinstance(with_norms, Sequence)
        return with_norms
    return planned


def stage_contexts(architecture: Architecture) -> list[StageContext]:
    """Each stage's."""
    stem = architecture.stem
    return contexts_of(tuple(stage.block.activation for stage in architecture.stages), stem)


def contexts_of(activations: tuple[str, ...], stem: Stem) -> list[StageContext]:
    """Each stage's context, by the stages' activation placements and the stem."""
    shares = stem.first_shortcut == "activated" and not _ends_in_norm(stem.norm, activations[0])
    opens = stem.preactivates or shares
    return [
        StageContext(
            first=index == 0,
            opens=index == 0 and opens,
            preactivated=index == 0 and stem.preactivates,
            ends=following != "pre" and (own, following) != ("relu_only_pre", "relu_only_pre"),
            following=following,
        )
        for index, (own, following) in enumerate(zip(activations, (*activations[1:], ""), strict=True))
    ]


def _ends_in_norm(norm: bool | None, activation: str) -> bool:
    """Pre-activated blocks bring a norm of their own; all others want the stem to end in one."""
    return norm if norm is not None else activation != "pre"


STEM_READS = (
    "norm",
    "norm_groups",
    "weight_standardization",
    "bias",
    "nonlinearity",
    "activation",
)  # what the stem depends on of the first stage's block


def stem_ops(stem: Stem, block: Block) -> Sequence:
    """The stem before a first stage of such blocks: one convolution or three, with norm and ReLU between them."""
    conv = replace(convolution(block, out=stem.width, kernel=stem.kernel, stride=stem.stride), padded=stem.padded)
    inner = replace(conv, kernel=3, stride=1, padded=True)
    convs = [conv]
    if stem.deep != "none":
        half = floored(stem.width / 2)
        first = half if stem.deep == "half" else 3 * floored(stem.width / 8)
        convs = [replace(conv, out=first, kernel=3), replace(inner, out=half), inner]
    if stem.pool == "conv":
        convs.append(replace(inner, stride=2))
    ops = [op for conv in convs for op in (conv, *norm_act(block))]
    if not _ends_in_norm(stem.norm, block.activation):
        ops = ops[: -len(norm_act(block))]
    return named(*ops, *STEM_POOLS[stem.pool])


def _surviving(stages: list[Sequence], survival: Survival) -> list[Sequence]:
    """The stages with p_l of each block (Huang 2016, equation 4). A block without a shortcut is always kept:
    without its branch nothing would be left, so it does not count among the L either."""
    blocks = sum(_can_drop(op) for stage in stages for _, op in stage.steps)
    last = survival.last
    count = min(blocks, survival.blocks or max(1, round(last * blocks)))
    numbers = iter(range(1, blocks + 1))

    def surviving(op: Op) -> Op:
        if not _can_drop(op):
            return op
        number, draw = next(numbers), None
        match survival.schedule:
            case "uniform":
                probability = last
            case "count":
                probability, draw = count / blocks, Draw(number, blocks, count)
            case _:
                probability = 1 - number / blocks * (1 - last)
        if probability == 1:
            return op
        return replace(
            op, survival=probability, survival_per=survival.per, survival_rescale=survival.rescale, survival_draw=draw
        )

    return [Sequence(steps=tuple((name, surviving(op)) for name, op in stage.steps)) for stage in stages]


def _can_drop(op: Op) -> TypeGuard[Unit]:
    return isinstance(op, Unit) and op.join != "replace"


def stage_ops(stage: Stage, context: StageContext, x: Shape) -> Sequence:
    """Entry (a dense stage's transition, or a convolution or pool of its own), blocks, and exit: the extra activation
    that ends a run of pre-activated blocks (He 2016, appendix), a norm and ReLU or the ReLU alone. Raises InputError
    for blocks whose branch would never train."""
    block, stride = stage.block, stage.stride
    # A block of a space's words, put together without its model's own checks.
    if problem := block.never_trains(context.following):
        message, _, allowed = problem.partition("; allowed: ")
        raise refuse(message, allowed=allowed)
    steps: list[tuple[str, Op]] = []
    if entry := _entry(stage, x, first=context.first):
        section = named(*entry)
        steps.append(("entry", section))
        x, stride = section.shape(x), 1
    units: dict[tuple[object, ...], Unit] = {}
    each = grows(block) and block.attention_from == "input"
    for number in range(stage.depth):
        first = number == 0
        opens = context.opens and first
        form = (first, _changes(stage, x, stride), each and number)  # blocks that agree in these are equal: made once
        if form not in units:
            units[form] = _unit(stage, x, stride, first=first, opens=opens)
        # After a stem that ends in norm and ReLU (fb.resnet.torch's preresnet) the first block begins with none.
        unit = replace(units[form], shared=Sequence()) if opens and context.preactivated else units[form]
        steps.append((f"block{number + 1}", unit))
        x, stride = unit.shape(x), 1
    if context.ends and block.activation in ("pre", "relu_only_pre"):
        steps.append(("exit", named(*(norm_act(block) if block.activation == "pre" else (act(block),)))))
    return Sequence(steps=tuple(steps))


def grows(block: Block) -> bool:
    """Whether each block adds channels, so that no two of a stage cost the same."""
    return block.link == "dense" or (block.link == "dual_path" and not agree(block.growth_rate, 0))


def _changes(stage: Stage, x: Shape, stride: int) -> bool:
    """Whether a block whose shortcut carries the stage's width changes the shape."""
    return stage.block.link not in ("plain", "dense") and (stride > 1 or not agree(x.channels, stage.width))


def _entry(stage: Stage, x: Shape, *, first: bool) -> tuple[Op, ...]:
    """What stands before a stage's first block; nothing where that block itself changes the shape."""
    block, stride = stage.block, stage.stride
    pool = Pool(stride=stride, kind="max")
    dropout = (Dropout(p=block.dropout),) if block.dropout and block.kind == "single" else ()
    if block.link == "dense":
        return _transition(stage, x) if not first or stride > 1 else ()
    if stage.entry == "block" or (stride == 1 and (stage.entry == "pool" or agree(x.channels, stage.width))):
        return ()
    match stage.entry:
        case "pool":
            return pool, *dropout
        case "conv":
            return convolution(block, out=stage.width, kernel=3, stride=stride), *norm_act(block)
        case _:
            convs = convolution(block, out=stage.width, kernel=3), *norm_act(block)
            return *((pool,) if stride > 1 else ()), *dropout, *convs


def _transition(stage: Stage, x: Shape) -> tuple[Op, ...]:
    """DenseNet's: 1x1 convolution to floor(compression * channels), average pool (Huang 2017, section 3)."""
    block = stage.block
    narrowing = convolution(block, out=floored(stage.compression * x.channels))
    pool = (Pool(stride=stage.stride),) if stage.stride > 1 else ()
    return (*norm_act(block), narrowing, *pool) if block.activation == "pre" else (narrowing, *norm_act(block), *pool)


def _unit(stage: Stage, x: Shape, stride: int, *, first: bool, opens: bool) -> Unit:
    """One block. Where the shapes change, or behind a stem without a norm (`opens`), the pre-activation feeds
    both sides of a residual block (He 2016, appendix); elsewhere, and in other links, the branch alone."""
    block, width = stage.block, stage.width
    if block.link == "dual_path" and agree(block.growth_rate, 0):
        block = block.model_copy(update={"link": "residual"})
    changes = _changes(stage, x, stride)
    if block.shortcut == "none" and changes and block.link != "dual_path":
        block = block.model_copy(update={"link": "plain"})
    link, adds = block.link, block.link in ("residual", "highway")
    convs = branch(block, width, stride)
    projects = changes if link != "dual_path" else first
    before, middle, after = placed(block, layered(block, convs, x.channels, projects))
    weights = () if attends_inside(block, convs) else attention(block, convs[-1].out, x.channels)
    shares = bool(before) and adds and (changes or opens)
    h = shortcut(block, width, stride, projects)
    gated = "both" if link == "highway" or (adds and block.gate == "exclusive") else "none"
    gated = "shortcut" if link == "residual" and block.gate == "shortcut" else gated
    return Unit(
        shared=named(*before) if shares else Sequence(),
        branch=named(*(() if shares else before), *middle, *weights),
        shortcut=named(*h),
        gate=_gate(block, width, stride) if gated != "none" else Sequence(),
        gain=named(*gains(block)),
        after=named(*after),
        join="replace" if link == "plain" else "add" if adds else "concat",
        residual=width if link == "dual_path" else 0,
        gated=gated,  # type: ignore[arg-type]
        shortcut_scale=block.shortcut_scale if link != "plain" else 1.0,
        branch_scale=block.branch_scale if link != "plain" else 1.0,
    )


def _gate(block: Block, width: int, stride: int) -> Sequence:
    """A highway's gate has its branch's kernel (Srivastava 2015), those of He 2016 are 1x1."""
    highway = block.link == "highway"
    conv = Conv(out=width, kernel=block.kernel if highway else 1, stride=stride, bias=True, bias_init=gate_bias(block))
    return named(conv, Sigmoid())
