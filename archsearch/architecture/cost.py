"""What a network costs: a walk over the plan's ops, one layer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

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
    """The cost of all layers inside `op`."""
    sums = dict.fromkeys((f.name for f in fields(Cost)), 0)
    for layer in layers(op, x):
        for name in sums:
            sums[name] += getattr(layer.cost, name)
    return Cost(**sums)


def cost(architecture: Architecture) -> Cost:
    """The exact cost of a network, without building it. Raises InputError where its image runs out."""
    return total(plan(architecture), Shape(*architecture.input))
