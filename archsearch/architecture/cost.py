"""What a network costs: a walk over the plan's ops, one layer at a time, each part of a network counted once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from operator import attrgetter
from typing import Any

from archsearch.architecture.block import Block
from archsearch.architecture.heads import head_ops
from archsearch.architecture.ops import Op
from archsearch.architecture.plan import STEM_READS, StageContext, grows, stage_contexts, stage_ops, stem_ops
from archsearch.architecture.quantities import Cost, Shape
from archsearch.architecture.spec import Architecture, Head, Stage, Stem

__all__ = ["Cost", "Layer", "Shape", "cost", "head_cost", "layers", "stage_cost", "stem_cost", "total"]

MANY = 200_000  # parts that are remembered


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A primitive op where it stands: its dotted path, what goes in, what comes out, what it costs."""

    path: str
    op: Op
    input: Shape
    output: Shape
    cost: Cost


def layers(op: Op, x: Shape, path: str = "") -> Iterator[Layer]:
    """Every primitive op inside `op`, in the order in which a forward pass meets them."""
    parts = op.parts(x)
    if not parts:
        yield Layer(path=path, op=op, input=x, output=op.shape(x), cost=op.cost(x))
    for name, part, into in parts:
        yield from layers(part, into, f"{path}.{name}" if path else name)


def total(op: Op, x: Shape) -> Cost:
    """The cost of all layers inside `op`, and what autograd saves of them. Channels may be arrays."""
    parts, saved = op.parts(x), op.saved(x)
    if not parts:
        emitted = op.shape(x).elements
        return op.cost(x) + Cost(saved=saved.extra + saved.output_presumed * emitted, largest=emitted)
    result = Cost(saved=saved.extra)
    for _, part, into in parts:
        result += total(part, into)
    return result


def stem_cost(stem: Stem, first: Block, x: Shape) -> tuple[Cost, Shape]:
    """The cost of a stem before a stage whose block is `first`, for an image of the shape `x`, and what it emits."""
    ops = stem_ops(stem, first)
    return total(ops, x) + Cost(image=x.elements), ops.shape(x)


def head_cost(head: Head, classes: int, x: Shape) -> tuple[Cost, Shape]:
    """A head's cost and what it emits."""
    ops = head_ops(head, classes)
    return total(ops, x), ops.shape(x)


def stage_cost(stage: Stage, context: StageContext, x: Shape) -> tuple[Cost, Shape]:
    """A stage's cost and what it emits. All blocks but the first are alike, unless they grow: counted once.

    The stage's and its block's numbers, and the channels of `x`, may be arrays.
    """
    if grows(stage.block):
        return _growing_cost(stage, context, x)
    ops = stage_ops(stage.model_copy(update={"depth": 2}), context, x)
    first, second = Cost(), Cost()
    for name, op, into in ops.parts(x):
        if name == "block2":
            second = total(op, into)
        else:
            first += total(op, into)
    return first + second.times(stage.depth - 1), ops.shape(x)


def _growing_cost(stage: Stage, context: StageContext, x: Shape) -> tuple[Cost, Shape]:
    """Each block's input has more channels than the one before: they are counted one by one, up to the deepest."""
    depth: Any = stage.depth
    ops = stage_ops(stage.model_copy(update={"depth": int(getattr(depth, "max", lambda: depth)())}), context, x)
    counted, blocks, after = Cost(), 0, x
    for name, op, into in ops.parts(x):
        if name == "exit":
            counted += total(op, after)
        elif name == "entry":
            counted, after = total(op, into), op.shape(into)
        else:
            blocks += 1
            counted += total(op, into).times((depth >= blocks) * 1)
            y = op.shape(into)
            added = (y.channels - after.channels) * (depth >= blocks)
            after = y._replace(channels=after.channels + added)
    return counted, after


Part = tuple[tuple[int, ...], Shape]  # a part's counts, in the order of Cost's fields, and what it emits
_stem_reads = attrgetter(*STEM_READS)
_parts: dict[Any, Part] = {}


def cost(architecture: Architecture) -> Cost:
    """The exact cost of a network, without building it. Raises InputError where its image runs out.

    Parts that were counted before, in whatever network, are remembered; their counts are added.
    """
    stem, stages, head = architecture.stem, architecture.stages, architecture.head
    first, shape = stages[0].block, Shape(*architecture.input)
    key: Any = ("stem", *stem.__dict__.values(), *_stem_reads(first), shape)
    counts, x = _parts.get(key) or _remember(key, *stem_cost(stem, first, shape))
    sums = [counts]
    for stage, context in zip(stages, stage_contexts(architecture), strict=True):
        # A model's __dict__ holds its fields in the order of their definition; the block is among them.
        fields, block = (*stage.__dict__.values(),), (*stage.block.__dict__.values(),)
        key = (fields[:-1], block, context, x)
        counts, x = _parts.get(key) or _remember(key, *stage_cost(stage, context, x))
        sums.append(counts)
    key = ("head", *head.__dict__.values(), architecture.classes, x)
    counts, _ = _parts.get(key) or _remember(key, *head_cost(head, architecture.classes, x))
    sums.append(counts)
    columns = list(zip(*sums, strict=True))
    params, conv, norms, group_norms, linear, pooled, activations, depth, saved, image, _ = map(sum, columns)
    return Cost(params=params, conv=conv, batch_norm=norms, group_norm=group_norms, linear=linear,
                adaptive_avg_pool2d=pooled, activations=activations, layers=depth, saved=saved, image=image,
                largest=max(columns[-1]))  # fmt: skip


def _remember(key: Any, cost: Cost, shape: Shape) -> Part:
    if len(_parts) >= MANY:
        _parts.clear()
    _parts[key] = part = (astuple(cost), shape)
    return part
