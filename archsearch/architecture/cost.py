"""What a network costs: a walk over the plan's ops, one layer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archsearch.architecture.ops import Op
from archsearch.architecture.plan import plan
from archsearch.architecture.quantities import Cost, Shape
from archsearch.architecture.spec import Architecture

__all__ = ["Cost", "Layer", "Shape", "cost", "layers", "total"]


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
    """The cost of all layers inside `op`. Ops that stand more than once, on the same shape, are counted once."""
    return _total(op, x, {})


def _total(op: Op, x: Shape, known: dict[tuple[int, Shape], Cost]) -> Cost:
    """`known` lives as long as the ops do, so an op's id is its own."""
    key = (id(op), x)
    if key not in known:
        parts = op.parts(x)
        known[key] = _sum([_total(part, into, known) for _, part, into in parts]) if parts else op.cost(x)
    return known[key]


def _sum(costs: list[Cost]) -> Cost:
    return Cost(
        params=sum(cost.params for cost in costs),
        conv=sum(cost.conv for cost in costs),
        batch_norm=sum(cost.batch_norm for cost in costs),
        linear=sum(cost.linear for cost in costs),
        adaptive_avg_pool2d=sum(cost.adaptive_avg_pool2d for cost in costs),
        activations=sum(cost.activations for cost in costs),
    )


def cost(architecture: Architecture) -> Cost:
    """The exact cost of a network, without building it. Raises InputError where its image runs out."""
    return total(plan(architecture), Shape(*architecture.input))
