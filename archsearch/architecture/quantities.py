"""The two quantities that every op states: the shape that it emits, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Costs of one image's forward pass in eval mode, one multiply-add = 1.

    The four operator fields have fvcore's names and follow its rules: a convolution or linear layer its
    multiply-adds, an affine batch norm two per element, adaptive pooling one per input element; max and
    average pooling, additions and activations nothing. `activations` counts the elements that
    convolutions and linear layers emit (RegNet, Radosavovic 2020, arXiv:2003.13678).
    """

    params: int = 0
    conv: int = 0
    batch_norm: int = 0
    linear: int = 0
    adaptive_avg_pool2d: int = 0
    activations: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers: the figure that papers quote."""
        return self.conv + self.linear

    @property
    def flops(self) -> int:
        """fvcore's total in eval mode: `macs`, norms and adaptive pooling."""
        return self.conv + self.linear + self.batch_norm + self.adaptive_avg_pool2d

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)})

    def by_operator(self) -> dict[str, int]:
        """FLOPs under fvcore's operator names, without those that are zero."""
        names = ("conv", "batch_norm", "linear", "adaptive_avg_pool2d")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def to_dict(self) -> dict[str, int]:
        """The JSON fields that people script against."""
        return {
            "params": self.params,
            "flops": self.flops,
            "macs": self.macs,
            "activations": self.activations,
        }
