"""Ops of branches with several paths: `Paths`, side by side, and what weights and adds them (`SplitPool`,
`RadixSoftmax`; the product and the sum are a `Reweight`).

Channels of several paths are ordered by path: all channels of the first, then all of the second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from archsearch.architecture.composites import Sequence, correction
from archsearch.architecture.ops import Op, Parts
from archsearch.architecture.quantities import Saved, Shape, agree, smaller
from archsearch.reading.errors import refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths(Op):
    """Each path reads its slice of the channels, as equal as they divide, or all of them where they are not `sliced`;
    their outputs are concatenated.

    With `cascade` each path but the first and the last reads its slice plus the output of the path before (Res2Net).
    """

    paths: Sequence
    sliced: bool = True
    cascade: bool = False

    @property
    def each(self) -> tuple[Sequence, ...]:
        """The paths without their names."""
        return tuple(path for _, path in self.paths.steps if isinstance(path, Sequence))

    def slices(self, x: Shape) -> list[Shape]:
        """What each path reads of `x`. Raises InputError where there are more paths than channels."""
        count = len(self.paths.steps)
        if not self.sliced:
            return [x] * count
        if not agree(smaller(x.channels, count), count):
            raise refuse(f"{count} paths cannot share {x.channels} channels", hint="wider stages or a smaller radix")
        return [x._replace(channels=(x.channels + count - 1 - index) // count) for index in range(count)]

    def shape(self, x: Shape) -> Shape:
        """The channels of all paths."""
        first, *others = (path.shape(part) for (_, path), part in zip(self.paths.steps, self.slices(x), strict=True))
        return first._replace(channels=sum((y.channels for y in others), first.channels))

    def parts(self, x: Shape) -> Parts:
        """The paths that have ops."""
        slices = zip(self.paths.steps, self.slices(x), strict=True)
        return tuple((name, path, part) for (name, path), part in slices if path.parts(part))

    def with_parts(self, parts: dict[str, Op]) -> Paths:
        """Other paths of the same names."""
        return replace(self, paths=self.paths.with_parts(parts))

    def saved(self, x: Shape) -> Saved:
        """The input; the sums that a cascade makes; of the paths' outputs what they save, for no one reads these."""
        slices = self.slices(x)
        sums = sum(part.elements for part in slices[1:-1]) if self.cascade else 0
        extra = sum(correction(path, part, False) for path, part in zip(self.each, slices, strict=True))
        return Saved(input=True, extra=sums + extra)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitPool(Op):
    """The mean over all positions of the sum of `radix` paths: (radix * C, H, W) -> (C, 1, 1)."""

    radix: int

    def shape(self, x: Shape) -> Shape:
        """One number a channel of a path."""
        return Shape(x.channels // self.radix, 1, 1)

    def saved(self, x: Shape) -> Saved:
        """Nothing: the gradient of a sum needs its shape alone."""
        return Saved(next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RadixSoftmax(Op):
    """Softmax over the `radix` paths of each channel, for (radix * C, 1, 1). What it reads is ordered by group first,
    then by path (ResNeSt); what it emits by path."""

    radix: int
    groups: int = 1

    def saved(self, x: Shape) -> Saved:
        """The output."""
        return Saved(output=True)
