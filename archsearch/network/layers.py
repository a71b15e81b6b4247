"""The layers that torch lacks: shortcut option A, attention's parts, and the residual unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.architecture.composites import Unit

SMALL = 2**23  # multiplications of a forward pass


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution. Where `product` is set it trains on a CPU, in float32 and while it is small, as a product of
    matrices: a call of a convolution costs more than such arithmetic (benchmarks/pointwise.py). In eval mode, and so in
    every exported format, it is nn.Conv2d.
    """

    product = False

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, H, W)."""
        if not (self.product and self.training) or x.numel() * self.out_channels > SMALL:
            return super().forward(x)
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        return functional.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class ZeroPadShortcut(nn.Module):
    """Shortcut option A (He 2015): every stride-th pixel, or their average, then channels of zeros."""

    def __init__(self, channels: int, out: int, stride: int, pooled: bool = False) -> None:
        super().__init__()
        self.missing, self.stride, self.pooled = out - channels, stride, pooled

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, ...). Where fewer channels are wanted, the last are cut off: padding by a
        negative number."""
        if self.pooled:
            x = functional.avg_pool2d(x, self.stride, ceil_mode=True)
        else:
            x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, self.missing))


class GlobalMean(nn.Module):
    """(N, C, H, W) -> (N, C), or (N, C, 1, 1) where not `flat`; by a mean or by torch's adaptive pool."""

    def __init__(self, adaptive: bool, flat: bool = True) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1) if adaptive else None
        self.flat = flat

    def forward(self, x: Tensor) -> Tensor:
        """One number a channel."""
        if self.pool is None:
            return x.mean((2, 3), keepdim=not self.flat)
        y: Tensor = self.pool(x)
        return y.flatten(1) if self.flat else y


class Reweighted(nn.Module):
    """Attention: x times its weights, which broadcast."""

    def __init__(self, weights: nn.Module) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return x * self.weights(x)


class ChannelWeights(nn.Module):
    """CBAM's channel weights (Woo 2018, equation 2): sigmoid(MLP(mean) + MLP(max)); (N, C, H, W) -> (N, C, 1, 1)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """One MLP reads both."""
        return (self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))).sigmoid()[:, :, None, None]


class MaxAndMean(nn.Module):
    """(N, C, H, W) -> (N, 2, H, W): the largest and the mean channel (Woo 2018, equation 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """What CBAM's spatial convolution reads."""
        return torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)


class AcrossChannels(nn.Conv1d):
    """ECA (Wang 2020): a convolution over neighbouring channels of (N, C, 1, 1)."""

    def __init__(self, kernel: int) -> None:
        super().__init__(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(x.flatten(2).transpose(1, 2)).transpose(1, 2).unsqueeze(3)


class LearnedGain(nn.Module):
    """lambda of Shen & Zeng 2016: x -> lambda * x, from 0, kept in (-1, 1) by `project`."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return x * self.value

    def project(self) -> None:
        """To the nearest number inside the open interval."""
        with torch.no_grad():
            self.value.clamp_(-1 + 1e-6, 1 - 1e-6)


def _scaled(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1.0 else x * scale


class ResidualUnit(nn.Module):
    """x -> after(join(shortcut(s), gain * branch(s))), s = shared(x): the module of one `Unit`.

    `draws`, a CPU generator, decides which blocks stochastic depth drops (torch's global one where it is None).
    A block dropped for the whole batch does not compute its branch at all.
    """

    def __init__(self, unit: Unit, slots: dict[str, nn.Module], growth: int) -> None:
        super().__init__()
        self.unit, self.growth = unit, growth
        self.draws: torch.Generator | None = None
        self.shared = slots.get("shared", nn.Identity())
        self.branch = slots.get("branch", nn.Identity())
        self.shortcut = slots.get("shortcut", nn.Identity())
        self.gate = slots.get("gate", nn.Identity())
        self.gain = slots.get("gain", nn.Identity())
        self.after = slots.get("after", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in, (N, C', H', W') out."""
        s = self.shared(x)
        return self.after(self._joined(s, self._gained(s)))

    def _gained(self, s: Tensor) -> Tensor | None:
        """The branch times its gain, or None where it is dropped for the whole batch."""
        unit, scale = self.unit, self.unit.branch_scale
        if unit.survival == 1.0 or not self.training:
            return _scaled(self.gain(self.branch(s)), scale * (unit.survival if unit.survival_rescale == "test" else 1))
        if unit.survival_rescale == "train":
            scale /= unit.survival
        if unit.survival_per == "batch":
            kept = torch.rand((), generator=self.draws).item() < unit.survival
            return _scaled(self.gain(self.branch(s)), scale) if kept else None
        f = self.gain(self.branch(s))
        each = torch.rand(s.shape[0], generator=self.draws) < unit.survival
        return f * (each * scale).to(f).view(-1, 1, 1, 1)

    def _joined(self, s: Tensor, f: Tensor | None) -> Tensor:
        unit = self.unit
        if unit.join == "replace":
            assert f is not None, "a block without a shortcut is always kept (see plan.py)"
            return f
        h = self.shortcut(s)
        if unit.shortcut_scale != 1.0:
            h = h * unit.shortcut_scale
        if unit.gated != "none":
            g = self.gate(s)
            h = (1 - g) * h
            f = f * g if f is not None and unit.gated == "both" else f
        if unit.join == "add":
            return h if f is None else h + f
        return self._concatenated(h, f, unit.residual)

    def _concatenated(self, h: Tensor, f: Tensor | None, r: int) -> Tensor:
        """concat[h[:r] + F[:r], h[r:], F[r:]]; a dropped branch is zeros."""
        if f is None:
            return torch.cat([h, h.new_zeros(h.shape[0], self.growth, *h.shape[2:])], dim=1)
        if r == 0:
            return torch.cat([h, f], dim=1)
        return torch.cat([h[:, :r] + f[:, :r], h[:, r:], f[:, r:]], dim=1)
