"""The ops that networks are made of: each with its shape and its cost, as data.

Primitive ops are what torch calls layers. Two ops hold others: `Sequence`, one after another, and `Unit`,
the slots of a residual unit. All readings (cost, module, digest, drawing, source) walk the same ops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archsearch.architecture.quantities import Cost, Shape
from archsearch.reading.errors import refuse

Parts = tuple[tuple[str, "Op", Shape], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Op:
    """Base of all ops. A primitive one says its shape and its cost; one that holds others says its parts."""

    def shape(self, x: Shape) -> Shape:
        """What comes out where `x` goes in; unchanged unless an op says otherwise."""
        return x

    def cost(self, x: Shape) -> Cost:
        """What a primitive op costs on `x`, by fvcore's rules; nothing unless an op says otherwise."""
        return Cost()

    def parts(self, x: Shape) -> Parts:
        """Name, op and input of each op inside; empty for a primitive one."""
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Conv(Op):
    """A square convolution. Padded by kernel // 2 it keeps the resolution but for its stride."""

    out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    bias_init: float = 0.0
    padded: bool = True

    def shape(self, x: Shape) -> Shape:
        """ceil(size / stride) where padded, for odd kernels. Raises InputError where the kernel does not fit."""
        lost = 0 if self.padded else self.kernel - 1
        if min(x.height, x.width) <= lost:
            raise refuse(f"a {self.kernel}x{self.kernel} convolution does not fit {x.height}x{x.width} pixels")
        return Shape(self.out, -(-(x.height - lost) // self.stride), -(-(x.width - lost) // self.stride))

    def cost(self, x: Shape) -> Cost:
        """out * (in / groups) * kernel^2 weights, each used once a position."""
        y = self.shape(x)
        weights = self.out * (x.channels // self.groups) * self.kernel**2
        return Cost(
            params=weights + self.out * self.bias, conv=weights * y.height * y.width, activations=y.elements, layers=1
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Norm(Op):
    """Batch norm with a scale and a shift a channel."""

    eps: float = 1e-5
    scale_init: float = 1.0

    def cost(self, x: Shape) -> Cost:
        """Two multiply-adds an element: fvcore's count of an affine batch norm in eval mode."""
        return Cost(params=2 * x.channels, batch_norm=2 * x.elements)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relu(Op):
    """max(x, 0)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid(Op):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropout(Op):
    """Each number is 0 with probability `p` while training, the others divided by 1 - p."""

    p: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StemPool(Op):
    """The ImageNet stem's max pool: 3x3, stride 2, padding 1."""

    def shape(self, x: Shape) -> Shape:
        """Half the resolution, rounded up."""
        return Shape(x.channels, -(-x.height // 2), -(-x.width // 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool(Op):
    """Average or maximum over windows of stride x stride that do not overlap; a rest at the edge is left out."""

    stride: int
    kind: Literal["average", "max"] = "average"

    def shape(self, x: Shape) -> Shape:
        """floor(size / stride). Raises InputError where nothing would be left."""
        y = Shape(x.channels, x.height // self.stride, x.width // self.stride)
        if not y.height or not y.width:
            raise refuse(
                f"a stage has {x.height}x{x.width} pixels left to pool by {self.stride}",
                hint="fewer stages, a smaller stride or larger images",
            )
        return y


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Flatten(Op):
    """All numbers as one vector."""

    def shape(self, x: Shape) -> Shape:
        """(n, 1, 1)."""
        return Shape(x.elements, 1, 1)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain(Op):
    """One learned number that starts at 0 and is kept in (-1, 1) by projection (Shen & Zeng 2016)."""

    def cost(self, x: Shape) -> Cost:
        """One parameter."""
        return Cost(params=1)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelStatistics(Op):
    """The largest and the mean channel at each position: (C, H, W) -> (2, H, W)."""

    def shape(self, x: Shape) -> Shape:
        """Two channels."""
        return x._replace(channels=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelConv(Op):
    """ECA's convolution over neighbouring channels of a (C, 1, 1) vector (Wang 2020), without bias."""

    kernel: int

    def cost(self, x: Shape) -> Cost:
        """`kernel` weights, each used once a channel."""
        return Cost(params=self.kernel, conv=self.kernel * x.channels, activations=x.channels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequence(Op):
    """Ops one after another, each with a name that is unique in its sequence."""

    steps: tuple[tuple[str, Op], ...] = ()

    def shape(self, x: Shape) -> Shape:
        """The last op's output."""
        for _, op in self.steps:
            x = op.shape(x)
        return x

    def parts(self, x: Shape) -> Parts:
        """Each op with what the one before it emits."""
        parts = []
        for name, op in self.steps:
            parts.append((name, op, x))
            x = op.shape(x)
        return tuple(parts)


def named(*ops: Op) -> Sequence:
    """Ops in order, named by what they are: conv1, norm1, relu1, conv2, ..."""
    counts: dict[str, int] = {}
    steps = []
    for op in ops:
        kind = type(op).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        steps.append((f"{kind}{counts[kind]}", op))
    return Sequence(steps=tuple(steps))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reweight(Op):
    """Attention: x times what `weights` makes of it, broadcast over the positions or the channels."""

    weights: Sequence

    def parts(self, x: Shape) -> Parts:
        """The weights' ops."""
        return (("weights", self.weights, x),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit(Op):
    """A residual unit: x -> after(join(shortcut(s), gain * branch(s))), with s = shared(x).

    With h the shortcut and F the branch, the join is `replace`: F (plain); `add`: h + F (residual); `concat`:
    concat[h[:r] + F[:r], h[r:], F[r:]] with r = `residual` channels (dense: r = 0; dual path: r > 0).
    A gate g = sigmoid(gate(s)) makes `add` g * F + (1 - g) * h where `gated` is both, F + (1 - g) * h where it is
    shortcut. Where `shared` is empty both sides read x itself. While training, the branch is kept with
    probability `survival`, drawn once a batch or once a sample; to make up for it, it is scaled by `survival` at
    test, or divided by it in training.
    """

    branch: Sequence
    shared: Sequence = Sequence()
    shortcut: Sequence = Sequence()
    gate: Sequence = Sequence()
    gain: Sequence = Sequence()
    after: Sequence = Sequence()
    join: Literal["replace", "add", "concat"] = "add"
    residual: int = 0
    gated: Literal["none", "both", "shortcut"] = "none"
    shortcut_scale: float = 1.0
    branch_scale: float = 1.0
    survival: float = 1.0
    survival_per: Literal["batch", "sample"] = "batch"
    survival_rescale: Literal["test", "train"] = "test"

    def joined(self, x: Shape) -> Shape:
        """What the join emits."""
        s = self.shared.shape(x)
        y = self.branch.shape(s)
        if self.join != "concat":
            return y
        return y._replace(channels=self.shortcut.shape(s).channels + y.channels - self.residual)

    def shape(self, x: Shape) -> Shape:
        """What `after` makes of the join."""
        return self.after.shape(self.joined(x))

    def parts(self, x: Shape) -> Parts:
        """The slots that are filled."""
        s = self.shared.shape(x)
        slots: Parts = (
            ("shared", self.shared, x),
            ("branch", self.branch, s),
            ("shortcut", self.shortcut, s),
            ("gate", self.gate, s),
            ("gain", self.gain, self.branch.shape(s)),
            ("after", self.after, self.joined(x)),
        )
        return tuple(slot for slot in slots if slot[1] != Sequence())
