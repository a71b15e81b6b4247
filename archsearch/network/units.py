"""Residual units: what joins a branch to its shortcut, and stochastic depth.

`export.source` repeats these classes as they stand here, so they know torch alone.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class ResidualUnit(nn.Module):
    """x -> after(shortcut(s) + gain(branch(s))), s = shared(x) (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, **slots: nn.Module | None) -> None:
        super().__init__()
        modules = (slots.get(key) or nn.Identity() for key in ("shared", "branch", "shortcut", "gate", "gain", "after"))
        self.shared, self.branch, self.shortcut, self.gate, self.gain, self.after = modules

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        s = self.shared(x)
        f = self.branch(s)
        return self.after(self._joined(s, f if f is None else self.gain(f)))

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        h = self.shortcut(s)
        return h if f is None else h + f


class PlainUnit(ResidualUnit):
    """Its branch alone, without a shortcut."""

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        assert f is not None, "without a shortcut the branch is never dropped"
        return f


class GatedUnit(ResidualUnit):
    """With g = gate(s), f = gain(branch(s)): f + (1 - g) * shortcut(s); `both`: g * f + (1 - g) * shortcut(s)
    (Srivastava et al. 2015, arXiv:1505.00387; He et al. 2016, arXiv:1603.05027)."""

    def __init__(self, *, both: bool, **slots: nn.Module | None) -> None:
        super().__init__(**slots)
        self.both = both

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        h, g = self.shortcut(s), self.gate(s)
        h = (1 - g) * h
        if f is None:
            return h
        return h + (f * g if self.both else f)


class DenseUnit(ResidualUnit):
    """Appends the `growth` channels of its branch to its shortcut's (Huang et al. 2017, arXiv:1608.06993)."""

    def __init__(self, *, growth: int, **slots: nn.Module | None) -> None:
        super().__init__(**slots)
        self.growth = growth

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        h = self.shortcut(s)
        f = h.new_zeros(len(h), self.growth, *h.shape[2:]) if f is None else f
        return torch.cat([h, f], dim=1)


class DualPathUnit(ResidualUnit):
    """Adds the first `residual` channels of its branch to its shortcut's, and appends the other `growth` channels
    (Chen et al. 2017, arXiv:1707.01629)."""

    def __init__(self, *, residual: int, growth: int, **slots: nn.Module | None) -> None:
        super().__init__(**slots)
        self.residual, self.growth = residual, growth

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        h, r = self.shortcut(s), self.residual
        if f is None:
            return torch.cat([h, h.new_zeros(len(h), self.growth, *h.shape[2:])], dim=1)
        return torch.cat([h[:, :r] + f[:, :r], h[:, r:], f[:, r:]], dim=1)


class StochasticDepth(nn.Sequential):
    """A branch's layers, left out at random while training (Huang et al. 2016, arXiv:1603.09382).

    They are kept with probability `survival`, drawn once a batch, or for each image where `per_image` is set. To make
    up for it, what they compute is multiplied by `survival` in eval mode, or divided by it in training where `divides`
    is set. `draws`, a CPU generator, decides; torch's global one where it is None. A forward pass that is `decided`
    draws nothing: True or False, or with `per_image` the factor of each image, (N,).
    """

    def __init__(self, survival: float, *, per_image: bool, divides: bool, **layers: nn.Module) -> None:
        super().__init__(OrderedDict(layers))
        self.survival, self.per_image, self.divides = survival, per_image, divides
        self.draws: torch.Generator | None = None
        self.decided: Tensor | bool | None = None

    @property
    def factor(self) -> float:
        """What the kept layers' output is multiplied by in training."""
        return 1 / self.survival if self.divides else 1.0

    def kept(self, images: int) -> Tensor:
        """Draws whether the layers are kept, (images,): of each image, or with 1 of the whole batch."""
        return torch.rand(images, generator=self.draws) < self.survival

    def forward(self, s: Tensor) -> Tensor | None:
        """None where the layers are left out for the whole batch: then nothing is computed."""
        kept = self.decided
        if self.training and not self.per_image and not (self.kept(1).item() if kept is None else kept):
            return None
        f = s
        for layer in self:
            f = layer(f)
        if not self.training:
            return f if self.divides else f * self.survival
        if self.per_image:
            factors = kept if isinstance(kept, Tensor) else self.kept(len(s)) * self.factor
            return f * factors.to(f).view(-1, 1, 1, 1)
        return f if self.factor == 1 else f * self.factor


class CountedDepth(StochasticDepth):
    """A branch's layers, kept while training where its `block` (from 1) is among the `count` that are drawn of all
    `blocks` of a network (Veit et al. 2016, arXiv:1605.06431, section 5).

    Each block makes the whole draw, by a generator of its own. All of these are in the same state, so that the blocks
    agree: `draws`, or where it is None one with torch's global seed.
    """

    def __init__(
        self, block: int, blocks: int, count: int, *, per_image: bool, divides: bool, **layers: nn.Module
    ) -> None:
        super().__init__(count / blocks, per_image=per_image, divides=divides, **layers)
        self.block, self.blocks, self.count = block, blocks, count

    def kept(self, images: int) -> Tensor:
        """Draws whether the block is among those that are kept, (images,)."""
        if self.draws is None:
            self.draws = torch.Generator().manual_seed(torch.initial_seed())
        order = torch.rand(images, self.blocks, generator=self.draws).argsort(1)
        return (order[:, : self.count] == self.block - 1).any(1)


def joined(unit: ResidualUnit, s: Tensor, f: Tensor | None) -> Tensor:
    """A branch's output f joined with the shortcut of s, as the unit does it; None where the branch is left out."""
    return unit._joined(s, f)
