"""The primitive ops, what torch calls layers, as data: each states its shape, its cost and what training saves of it.

Pools are in pools.py, ops that hold others in composites.py. All readings (cost, module, digest, drawing, source) walk
the same ops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from archsearch.architecture.quantities import Cost, Saved, Shape
from archsearch.reading.errors import refuse

Parts = tuple[tuple[str, "Op", Shape], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Op:
    """Base of all ops: a primitive one has no parts, a composite one (composites.py) has no cost of its own."""

    def shape(self, x: Shape) -> Shape:
        """What comes out where `x` goes in; unchanged unless an op says otherwise."""
        return x

    def cost(self, x: Shape) -> Cost:
        """What a primitive op costs on `x`, by fvcore's rules; nothing unless an op says otherwise."""
        return Cost()

    def saved(self, x: Shape) -> Saved:
        """What autograd saves of the op on `x`. Every op states it: there is no default that would be right."""
        raise NotImplementedError(f"{type(self).__name__} does not state what training saves of it: define `saved`")

    def parts(self, x: Shape) -> Parts:
        """Name, op and input of each op inside; empty for a primitive one."""
        return ()

    def with_parts(self, parts: dict[str, Op]) -> Op:
        """The op with other ops inside, by the names of `parts`."""
        return replace(self, **parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conv(Op):
    """A square convolution. Padded by half of its extent it keeps the resolution but for its stride. `standardized`:
    each filter of more than one weight is shifted and scaled to mean 0 and variance 1 (Qiao 2019, arXiv:1903.10520)."""

    out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    bias_init: float = 0.0
    padded: bool = True
    dilation: int = 1
    standardized: bool = False

    def shape(self, x: Shape) -> Shape:
        """ceil(size / stride) where padded, for odd kernels. Raises InputError where the kernel does not fit."""
        lost = 0 if self.padded else self.dilation * (self.kernel - 1)
        if min(x.height, x.width) <= lost:
            raise refuse(
                f"a {self.kernel}x{self.kernel} convolution is larger than its input of {x.height}x{x.width} pixels"
            )
        return Shape(self.out, -(-(x.height - lost) // self.stride), -(-(x.width - lost) // self.stride))

    def cost(self, x: Shape) -> Cost:
        """out * (in / groups) * kernel^2 weights, each used once a position. fvcore counts 4 for a weight that is
        standardised: a batch norm without scale and shift."""
        y = self.shape(x)
        inputs = x.channels // self.groups * self.kernel**2
        weights = self.out * inputs
        return Cost(
            params=weights + self.out * self.bias,
            conv=weights * y.height * y.width,
            batch_norm=4 * weights * (inputs > 1) * self.standardized,
            activations=y.elements,
            layers=1,
        )

    def saved(self, x: Shape) -> Saved:
        """The input. Without a bias a norm follows, which reads the output."""
        return Saved(input=True, next_reads=not self.bias)


@dataclass(frozen=True, kw_only=True, slots=True)
class Norm(Op):
    """Batch norm, or group norm of so many `groups` (Wu & He 2018), with a scale and a shift a channel."""

    eps: float = 1e-5
    scale_init: float = 1.0
    groups: int = 0

    def cost(self, x: Shape) -> Cost:
        """fvcore's count in eval mode: two an element for an affine batch norm, five for a group norm."""
        if self.groups:
            return Cost(params=2 * x.channels, group_norm=5 * x.elements)
        return Cost(params=2 * x.channels, batch_norm=2 * x.elements)

    def saved(self, x: Shape) -> Saved:
        """The input. Its ReLU overwrites the output."""
        return Saved(input=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relu(Op):
    """max(x, 0)."""

    def saved(self, x: Shape) -> Saved:
        """The output."""
        return Saved(output=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation(Op):
    """An activation function other than ReLU and sigmoid: x * sigmoid(x), x * Phi(x), x * relu6(x + 3) / 6 or
    min(max(x, 0), 6)."""

    function: Literal["silu", "gelu", "hard_swish", "relu6"]

    def saved(self, x: Shape) -> Saved:
        """The input, so that what computed it may not be overwritten."""
        return Saved(input=True, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid(Op):
    """1 / (1 + exp(-x))."""

    def saved(self, x: Shape) -> Saved:
        """The output."""
        return Saved(output=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropout(Op):
    """Each number is 0 with probability `p` while training, the others divided by 1 - p."""

    p: float

    def saved(self, x: Shape) -> Saved:
        """The mask: on a CPU of the input's dtype, on a GPU a byte an element."""
        return Saved(extra=x.elements, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flatten(Op):
    """All numbers as one vector."""

    def shape(self, x: Shape) -> Shape:
        """(n, 1, 1)."""
        return Shape(x.elements, 1, 1)

    def saved(self, x: Shape) -> Saved:
        """Nothing: a view."""
        return Saved()


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear(Op):
    """A linear layer with bias, on a vector."""

    out: int

    def shape(self, x: Shape) -> Shape:
        """A vector of `out` numbers."""
        return Shape(self.out, 1, 1)

    def cost(self, x: Shape) -> Cost:
        """in * out weights; the bias costs no multiply-add."""
        weights = x.elements * self.out
        return Cost(params=weights + self.out, linear=weights, activations=self.out, layers=1)

    def saved(self, x: Shape) -> Saved:
        """The input."""
        return Saved(input=True, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PadShortcut(Op):
    """Shortcut option A (He 2015): every stride-th pixel, then channels of zeros behind (or cut off).

    With `pooled`, the average of stride x stride pixels (fewer at an odd edge), as Huang 2016's code has it.
    """

    out: int
    stride: int = 1
    pooled: bool = False

    def shape(self, x: Shape) -> Shape:
        """ceil(size / stride): the same pixels as a strided 1x1 convolution sees."""
        return Shape(self.out, -(-x.height // self.stride), -(-x.width // self.stride))

    def saved(self, x: Shape) -> Saved:
        """Nothing: neither slices nor averages nor zeros need a value. The output goes into a sum."""
        return Saved()


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain(Op):
    """One learned number that starts at 0 and is kept in (-1, 1) by projection (Shen & Zeng 2016)."""

    def cost(self, x: Shape) -> Cost:
        """One parameter."""
        return Cost(params=1)

    def saved(self, x: Shape) -> Saved:
        """The input, a factor of the product."""
        return Saved(input=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerScale(Op):
    """x times a learned number a channel, which starts at `start` (Touvron 2021, arXiv:2103.17239)."""

    start: float

    def cost(self, x: Shape) -> Cost:
        """A number a channel; fvcore counts no products."""
        return Cost(params=x.channels)

    def saved(self, x: Shape) -> Saved:
        """The input, a factor of the product."""
        return Saved(input=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelMlp(Op):
    """CBAM's channel weights (Woo 2018, equation 2): sigmoid(MLP(mean) + MLP(max)), one MLP for both."""

    hidden: int

    def shape(self, x: Shape) -> Shape:
        """One weight a channel."""
        return Shape(x.channels, 1, 1)

    def cost(self, x: Shape) -> Cost:
        """The MLP's parameters once, its work twice."""
        weights = 2 * x.channels * self.hidden
        return Cost(
            params=weights + self.hidden + x.channels,
            linear=2 * weights,
            activations=2 * (self.hidden + x.channels),
        )

    def saved(self, x: Shape) -> Saved:
        """The input; mean and maximum of it, and the two hidden vectors behind their ReLU."""
        return Saved(input=True, extra=2 * x.channels + 2 * self.hidden, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelStatistics(Op):
    """The largest and the mean channel at each position: (C, H, W) -> (2, H, W)."""

    def shape(self, x: Shape) -> Shape:
        """Two channels."""
        return x._replace(channels=2)

    def saved(self, x: Shape) -> Saved:
        """The input, and the maximum apart from the pair that is made of it."""
        return Saved(input=True, extra=x.height * x.width, next_reads=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelConv(Op):
    """ECA's convolution over neighbouring channels of a (C, 1, 1) vector (Wang 2020), without bias."""

    kernel: int

    def cost(self, x: Shape) -> Cost:
        """`kernel` weights, each used once a channel."""
        return Cost(params=self.kernel, conv=self.kernel * x.channels, activations=x.channels)

    def saved(self, x: Shape) -> Saved:
        """The input."""
        return Saved(input=True, next_reads=True)
