"""The layers that torch lacks: shortcut option A, pooling to a vector, and the residual unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.architecture.ops import Unit


class ZeroPadShortcut(nn.Module):
    """Shortcut option A (He 2015): every stride-th pixel, then channels of zeros; (N, C, H, W) -> (N, out, ...)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = out - channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """Where fewer channels are wanted than there are, the last are cut off: padding by a negative number."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


class GlobalMean(nn.Module):
    """(N, C, H, W) -> (N, C), by a mean or by torch's adaptive pool: equal outputs, counted differently."""

    def __init__(self, adaptive: bool) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1) if adaptive else None

    def forward(self, x: Tensor) -> Tensor:
        """One number a channel."""
        return x.mean((2, 3)) if self.pool is None else self.pool(x).flatten(1)


class ResidualUnit(nn.Module):
    """x -> after(join(shortcut(s), gain * branch(s))), s = shared(x): the module of one `Unit`.

    `draws`, a CPU generator, decides which blocks stochastic depth drops (torch's global one where it is None).
    A block dropped for the whole batch does not compute its branch at all.
    """

    def __init__(self, unit: Unit, slots: dict[str, nn.Module], growth: int) -> None:
        super().__init__()
        self.join, self.growth = unit.join, growth
        self.survival, self.per, self.rescale = unit.survival, unit.survival_per, unit.survival_rescale
        self.draws: torch.Generator | None = None
        for name in ("shared", "branch", "shortcut", "after"):
            self.add_module(name, slots.get(name, nn.Identity()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in, (N, C', H', W') out."""
        s = self.shared(x)
        return self.after(self._joined(s, self._gained(s)))

    def _gained(self, s: Tensor) -> Tensor | None:
        """The branch times its gain, or None where it is dropped for the whole batch."""
        if self.survival == 1.0:
            return self.branch(s)
        in_test = self.survival if self.rescale == "test" else 1.0
        in_training = 1.0 if self.rescale == "test" else 1 / self.survival
        if not self.training:
            return self.branch(s) * in_test
        if self.per == "batch":
            kept = torch.rand((), generator=self.draws).item() < self.survival
            return self.branch(s) * in_training if kept else None
        kept = torch.rand(s.shape[0], generator=self.draws) < self.survival
        return self.branch(s) * (kept * in_training).to(s).view(-1, 1, 1, 1)

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        if self.join == "replace":
            assert f is not None, "a block without a shortcut is always kept (see plan.py)"
            return f
        h = self.shortcut(s)
        if self.join == "add":
            return h if f is None else h + f
        return torch.cat([h, h.new_zeros(h.shape[0], self.growth, *h.shape[2:]) if f is None else f], dim=1)
