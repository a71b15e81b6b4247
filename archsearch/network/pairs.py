"""Two networks of one plan but for their sizes, a trained one and a smaller one, walked op by op side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from archsearch.architecture.composites import Reweight
from archsearch.architecture.ops import ChannelMlp, Conv, Dropout, LayerScale, Linear, Norm, Op, PadShortcut
from archsearch.architecture.quantities import Shape
from archsearch.network.slicing import mixes
from archsearch.reading.errors import InputError, refuse

# Fields in which an op may differ from its parent's: sizes, and what has an effect in training alone.
FREE: dict[type[Op], tuple[str, ...]] = {
    Conv: ("out", "groups", "bias_init"),
    Linear: ("out",),
    ChannelMlp: ("hidden",),
    LayerScale: ("start",),
    Norm: ("scale_init", "groups"),
    PadShortcut: ("out",),
}


@dataclass(frozen=True)
class Pair:
    """An op of the parent and the child's in its place: dotted paths, and the shapes that they read."""

    path: str
    op: Op
    x: Shape
    child_path: str
    child: Op
    child_x: Shape

    def part(self, op: tuple[str, Op, Shape], child: tuple[str, Op, Shape]) -> Pair:
        """Ops inside, by name, op and input."""
        return Pair(f"{self.path}.{op[0]}", *op[1:], f"{self.child_path}.{child[0]}", *child[1:])

    def parts(self) -> Iterator[Pair]:
        """The ops inside, in order. Shortcuts that pad and dropouts have no weights, and are left out."""
        larger, smaller = (
            [part for part in op.parts(x) if not isinstance(part[1], Dropout | PadShortcut)]
            for op, x in ((self.op, self.x), (self.child, self.child_x))
        )
        if [name for name, *_ in larger] != [name for name, *_ in smaller]:
            raise self.differs()
        yield from map(self.part, larger, smaller)

    def differs(self) -> InputError:
        """For an op that is of another kind than the parent's."""
        problem = f"{self.child_path} differs from the trained network's {self.path} by more than its size"
        return refuse(problem, allowed="the same words, but for smaller depths, widths and bottlenecks")

    def agree(self) -> None:
        """Raises InputError where the ops differ by more than their sizes."""
        op, child = self.op, self.child
        if type(op) is not type(child):
            raise self.differs()
        if isinstance(op, Reweight) or mixes(op):  # what is inside is compared later
            return
        free = {name: getattr(child, name) for name in FREE.get(type(op), ())}
        grouped = isinstance(op, Norm) and isinstance(child, Norm) and bool(op.groups) != bool(child.groups)
        if grouped or replace(op, **free) != child:
            raise self.differs()
