"""The pools among the primitive ops, which know no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archsearch.architecture.ops import Op
from archsearch.architecture.quantities import Cost, Saved, Shape
from archsearch.reading.errors import refuse

INDEX = 2  # elements of float32 that an index of a max pool (int64) takes
HINT = "fewer stages, a smaller stride or larger images"


@dataclass(frozen=True, kw_only=True, slots=True)
class StemPool(Op):
    """The ImageNet stem's 3x3 max pool. Beyond the edges nothing counts, or with `edges` zeros count (BiT); "cut" is
    Caffe's pool, which begins at the first pixel and ends in windows that are cut off."""

    stride: int = 2
    edges: Literal["ignored", "zeros", "cut"] = "ignored"

    def shape(self, x: Shape) -> Shape:
        """size / stride, rounded up, or down where the edges are cut. Raises InputError where nothing would be left."""
        rest = 0 if self.edges == "cut" else self.stride - 1
        return _left(x, rest, self.stride, "stem")

    def saved(self, x: Shape) -> Saved:
        """The input, with its zeros where it has them, and the indices of the maxima."""
        zeros = self.edges == "zeros"
        extra = INDEX * self.shape(x).elements + zeros * _padded(x).elements
        return Saved(input=not zeros, extra=extra, next_reads=True)


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
        return _left(x, rest, self.stride, "stage")

    def saved(self, x: Shape) -> Saved:
        """The input, and the indices of the maxima."""
        return Saved(input=True, extra=INDEX * self.shape(x).elements * (self.kind == "max"), next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class OverlapPool(Op):
    """The mean over windows of 3x3 that are `stride` apart; zeros around the image count (Res2Net, ResNeSt)."""

    stride: int

    def shape(self, x: Shape) -> Shape:
        """ceil(size / stride), as a padded convolution has it."""
        return Shape(x.channels, -(-x.height // self.stride), -(-x.width // self.stride))

    def saved(self, x: Shape) -> Saved:
        """The input."""
        return Saved(input=True, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Blur(Op):
    """The 3x3 binomial filter, at every stride-th pixel; beyond the edges the image is mirrored (Zhang 2019,
    arXiv:1904.11486)."""

    stride: int

    def shape(self, x: Shape) -> Shape:
        """size / stride, rounded up. Raises InputError for a single row or column, which cannot be mirrored."""
        if min(x.height, x.width) < 2:
            raise refuse(f"a blur needs 2x2 pixels or more, and its input has {x.height}x{x.width}", hint=HINT)
        return Shape(x.channels, -(-x.height // self.stride), -(-x.width // self.stride))

    def cost(self, x: Shape) -> Cost:
        """Nine multiply-adds an element of the output, which fvcore counts as a convolution's."""
        emitted = self.shape(x).elements
        return Cost(conv=9 * emitted, activations=emitted)

    def saved(self, x: Shape) -> Saved:
        """The input, and the same with its mirrored edges."""
        return Saved(input=True, extra=_padded(x).elements, next_reads=True)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPool(Op):
    """Averages over size x size windows, which overlap or repeat pixels where `size` does not divide the map's."""

    size: int

    def shape(self, x: Shape) -> Shape:
        """size x size positions."""
        return Shape(x.channels, self.size, self.size)

    def cost(self, x: Shape) -> Cost:
        """fvcore counts the input elements."""
        return Cost(adaptive_avg_pool2d=x.elements)

    def saved(self, x: Shape) -> Saved:
        """The input, of which torch's backward pass needs no more than the shape. The output is flattened."""
        return Saved(input=True)


def _left(x: Shape, rest: int, stride: int, part: str) -> Shape:
    """floor((size + rest) / stride). Raises InputError where nothing would be left; `part` of the network pools."""
    y = Shape(x.channels, (x.height + rest) // stride, (x.width + rest) // stride)
    if not y.height or not y.width:
        raise refuse(f"a {part} cannot pool {x.height}x{x.width} pixels by {stride}", hint=HINT)
    return y


def _padded(x: Shape) -> Shape:
    """With one pixel more at each edge."""
    return Shape(x.channels, x.height + 2, x.width + 2)
