"""The pools among the primitive ops, which know no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archsearch.architecture.ops import Op
from archsearch.architecture.quantities import Cost, Saved, Shape
from archsearch.reading.errors import refuse

INDEX = 2  # elements of float32 that an index of a max pool (int64) takes


@dataclass(frozen=True, kw_only=True, slots=True)
class StemPool(Op):
    """The ImageNet stem's max pool: 3x3, stride 2, padding 1."""

    def shape(self, x: Shape) -> Shape:
        """Half the resolution, rounded up."""
        return Shape(x.channels, -(-x.height // 2), -(-x.width // 2))

    def saved(self, x: Shape) -> Saved:
        """The input, and the indices of the maxima."""
        return Saved(input=True, extra=INDEX * self.shape(x).elements, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool(Op):
    """Average or maximum over windows of stride x stride that do not overlap; a rest at the edge is left out, or with
    `ceil` a smaller window."""

    stride: int
    kind: Literal["average", "max"] = "average"
    ceil: bool = False

    def shape(self, x: Shape) -> Shape:
        """size / stride, rounded down or up. Raises InputError where nothing would be left."""
        rest = self.stride - 1 if self.ceil else 0
        y = Shape(x.channels, (x.height + rest) // self.stride, (x.width + rest) // self.stride)
        if not y.height or not y.width:
            raise refuse(
                f"a stage cannot pool {x.height}x{x.width} pixels by {self.stride}",
                hint="fewer stages, a smaller stride or larger images",
            )
        return y

    def saved(self, x: Shape) -> Saved:
        """The input, and the indices of the maxima."""
        return Saved(input=True, extra=INDEX * self.shape(x).elements * (self.kind == "max"), next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class GlobalPool(Op):
    """The mean over all positions. `adaptive` takes torch's adaptive pool, which fvcore counts. `flat` gives a
    vector for a linear layer; otherwise one position stays, for convolutions."""

    adaptive: bool = True
    flat: bool = True

    def shape(self, x: Shape) -> Shape:
        """One number a channel."""
        return Shape(x.channels, 1, 1)

    def cost(self, x: Shape) -> Cost:
        """fvcore counts the input elements of adaptive pooling, and nothing for a mean."""
        return Cost(adaptive_avg_pool2d=x.elements if self.adaptive else 0)

    def saved(self, x: Shape) -> Saved:
        """Nothing: the gradient of a mean needs its shape alone."""
        return Saved(next_reads=True)
