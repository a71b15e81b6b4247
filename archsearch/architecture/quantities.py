"""The quantities that every op states: the shape that it emits, what it costs, and what training saves of it.

Channels, and whatever follows from them, may be NumPy arrays of integers: one plan then counts many networks at once
(archsearch/space/many/counting.py). The functions at the end are all that the grammar needs for that; NumPy is not
imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """One image's activations: channels, height, width. A vector is (n, 1, 1)."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


class Saved(NamedTuple):
    """What autograd saves of one op for its backward pass.

    `input`, `output`: whether the backward pass reads what goes in, what comes out. `extra`: elements an image of
    further tensors that it reads, a dropout's mask for example. `next_reads`: whether the op that usually follows reads
    the output, for where the follower is not known. Each tensor is counted once, at the op that makes it.
    """

    input: bool = False
    output: bool = False
    extra: int = 0
    next_reads: bool = False

    @property
    def output_presumed(self) -> bool:
        """Whether the output is saved, by the op itself or by what usually follows."""
        return self.output or self.next_reads


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Costs of one image's forward pass in eval mode, one multiply-add = 1.

    The five operator fields have fvcore's names and follow its rules: a convolution or linear layer its
    multiply-adds, an affine batch norm two per element, an affine group norm five, adaptive pooling one per input
    element; max and
    average pooling, additions and activations nothing. `activations` counts the elements that
    convolutions and linear layers emit (RegNet, Radosavovic 2020, arXiv:2003.13678), `layers` these ops themselves.
    `saved` counts the elements that autograd saves for the backward pass and `largest` those of the largest tensor,
    both an image (see `Saved`); `image` are the elements of the image itself, counted with the stem.
    """

    params: int = 0
    conv: int = 0
    batch_norm: int = 0
    group_norm: int = 0
    linear: int = 0
    adaptive_avg_pool2d: int = 0
    activations: int = 0
    layers: int = field(default=0, compare=False)
    saved: int = field(default=0, compare=False)
    image: int = field(default=0, compare=False)
    largest: int = field(default=0, compare=False)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers: the figure that papers quote."""
        return self.conv + self.linear

    @property
    def flops(self) -> int:
        """fvcore's total in eval mode: `macs`, norms and adaptive pooling."""
        return self.conv + self.linear + self.batch_norm + self.group_norm + self.adaptive_avg_pool2d

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            params=self.params + other.params,
            conv=self.conv + other.conv,
            batch_norm=self.batch_norm + other.batch_norm,
            group_norm=self.group_norm + other.group_norm,
            linear=self.linear + other.linear,
            adaptive_avg_pool2d=self.adaptive_avg_pool2d + other.adaptive_avg_pool2d,
            activations=self.activations + other.activations,
            layers=self.layers + other.layers,
            saved=self.saved + other.saved,
            image=self.image + other.image,
            largest=larger(self.largest, other.largest),
        )

    def times(self, count: int) -> Cost:
        """Of so many parts alike, one after another; none where `count` is 0."""
        return Cost(
            params=self.params * count,
            conv=self.conv * count,
            batch_norm=self.batch_norm * count,
            group_norm=self.group_norm * count,
            linear=self.linear * count,
            adaptive_avg_pool2d=self.adaptive_avg_pool2d * count,
            activations=self.activations * count,
            layers=self.layers * count,
            saved=self.saved * count,
            image=self.image * count,
            largest=self.largest * (count > 0),
        )

    def by_operator(self) -> dict[str, int]:
        """FLOPs under fvcore's operator names, without those that are zero."""
        names = ("conv", "batch_norm", "group_norm", "linear", "adaptive_avg_pool2d")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def to_dict(self) -> dict[str, int]:
        """The JSON fields that people script against."""
        return {
            "params": self.params,
            "flops": self.flops,
            "macs": self.macs,
            "activations": self.activations,
        }


class Mixed(ValueError):
    """Networks were planned together of which some change their channels here and some do not."""


def agree(a: int, b: int) -> bool:
    """Whether two counts are equal. Raises Mixed where arrays are equal in some places only."""
    equal: Any = a == b
    if isinstance(equal, bool):
        return equal
    if equal.all():
        return True
    if equal.any():
        raise Mixed
    return False


def floored(value: Any) -> int:
    """The whole number at or below a positive one, at least 1."""
    number: int = value.astype("int64").clip(1) if hasattr(value, "astype") else max(1, int(value))
    return number


def nearest(value: Any) -> int:
    """The nearest whole number (of two the even one), at least 1."""
    number: int = value.round().astype("int64").clip(1) if hasattr(value, "astype") else max(1, round(value))
    return number


def log2_floor(value: int) -> int:
    """floor(log2(value)) for 1 <= value < 2^24."""
    return sum((value >= 2**power) * 1 for power in range(1, 24))


def larger(a: int, b: int) -> int:
    """The larger of two counts, or of each pair where they are arrays."""
    return a + (b - a) * (b > a)


def smaller(a: int, b: int) -> int:
    """The smaller of two counts, or of each pair where they are arrays."""
    return b + (a - b) * (a < b)
