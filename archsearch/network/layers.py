"""The layers that torch lacks: shortcut option A, a blur, attention's parts, constant and learned factors.

`export.source` repeats these classes as they stand here, so they know torch alone.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 2**23  # multiplications of a forward pass
NARROW = 16  # channels, a vector of float32: with so many oneDNN trains strided 1x1 convolutions rightly


def named(**layers: nn.Module) -> nn.Sequential:
    """Layers one after another, each under its name."""
    return nn.Sequential(OrderedDict(layers))


def starting(layer: nn.Module, **constants: float) -> nn.Module:
    """The layer; `scale_init` or `bias_init` is what its weight or its bias is filled with before training."""
    for name, value in constants.items():
        setattr(layer, name, value)
    return layer


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


class StridedPointwiseConv(nn.Conv2d):
    """A 1x1 convolution with a stride, of fewer than NARROW channels, that trains on a CPU.

    There it reads a slice of its input: with the stride, oneDNN 3.13's gradient of the weights writes beyond its memory
    where the threads do not divide the batch (oneDNN issue 6035), and from images of 56x56 on with a single thread too:
    the process dies. Elsewhere, and so in every exported format, it is nn.Conv2d, bit for bit.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, ceil(H / stride), ceil(W / stride))."""
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(x)
        if not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(x)
        return functional.conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight, self.bias)


class StandardizedConv(nn.Conv2d):
    """A convolution by its weights after standardisation (Qiao 2019, arXiv:1903.10520): each filter's are shifted and
    divided to mean 0 and (biased) variance 1."""

    def standardized(self) -> Tensor:
        """The filters as they are used, of the shape of the weights."""
        filters = self.weight.reshape(1, self.out_channels, -1)
        return functional.batch_norm(filters, None, None, training=True, eps=1e-8).reshape_as(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, H', W'). A 1x1 convolution reads a slice: see StridedPointwiseConv."""
        if self.kernel_size == (1, 1) and self.stride != (1, 1):
            x = x[:, :, :: self.stride[0], :: self.stride[1]]
            return functional.conv2d(x, self.standardized(), self.bias, groups=self.groups)
        return self._conv_forward(x, self.standardized(), self.bias)

    def folded(self) -> nn.Conv2d:
        """A plain convolution that computes the same."""
        conv = nn.Conv2d(
            self.in_channels, self.out_channels, self.kernel_size[0],
            stride=self.stride[0], padding=int(self.padding[0]), groups=self.groups, bias=self.bias is not None,
            dilation=self.dilation[0],
        )  # fmt: skip
        conv.load_state_dict({**self.state_dict(), "weight": self.standardized().detach()})
        return conv.to(self.weight.device)


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


class BlurPool(nn.Module):
    """A 3x3 binomial filter with a stride; beyond the edges the image is mirrored (Zhang 2019, arXiv:1904.11486)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)). The filter is no buffer, so that a network has
        the tensors that are trained alone."""
        row = 0.5 - (torch.arange(3, dtype=x.dtype, device=x.device) - 1).abs() / 4  # 1/4, 1/2, 1/4
        weight = (row[:, None] * row).expand(self.channels, 1, 3, 3)
        mirrored = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(mirrored, weight, stride=self.stride, groups=self.channels)


class GlobalMean(nn.Module):
    """(N, C, H, W) -> (N, C), or (N, C, 1, 1) where not `flat`: the mean over all positions."""

    def __init__(self, flat: bool = True) -> None:
        super().__init__()
        self.flat = flat

    def forward(self, x: Tensor) -> Tensor:
        """One number a channel."""
        return x.mean((2, 3), keepdim=not self.flat)


class Reweighted(nn.Module):
    """Attention: x times its weights, which broadcast; of the channels of `radix` paths, one path after another, the
    sum of these products."""

    def __init__(self, weights: nn.Module, radix: int = 1) -> None:
        super().__init__()
        self.weights, self.radix = weights, radix

    def forward(self, x: Tensor) -> Tensor:
        """(N, radix * C, H, W) -> (N, C, H, W)."""
        y = x * self.weights(x)
        return y if self.radix == 1 else torch.unflatten(y, 1, (self.radix, -1)).sum(1)


class VectorNorm(nn.BatchNorm2d):
    """Batch norm of (N, C, 1, 1). A single image in training, which has no statistics over a batch, is normalised by
    the running ones."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        if not self.training or len(x) > 1:
            return super().forward(x)
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class ParallelPaths(nn.Sequential):
    """Layers side by side: each reads its slice of the channels, or all of them where they are not `sliced`, and
    their outputs are concatenated. With `cascade` each but the first and the last reads its slice plus the output of
    the one before (Gao 2019, arXiv:1904.01169)."""

    def __init__(self, *, sliced: bool, cascade: bool, **paths: nn.Module) -> None:
        super().__init__(OrderedDict(paths))
        self.sliced, self.cascade = sliced, cascade

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        outputs: list[Tensor] = []
        parts = x.tensor_split(len(self), dim=1) if self.sliced else (x,) * len(self)
        for path, part in zip(self, parts, strict=True):
            adds = self.cascade and 0 < len(outputs) < len(self) - 1
            outputs.append(path(part + outputs[-1] if adds else part))
        return torch.cat(outputs, dim=1)


class PathMean(nn.Module):
    """(N, radix * C, H, W) -> (N, C, 1, 1): the mean over all positions of the sum of the paths."""

    def __init__(self, radix: int) -> None:
        super().__init__()
        self.radix = radix

    def forward(self, x: Tensor) -> Tensor:
        """One number a channel."""
        return torch.unflatten(x, 1, (self.radix, -1)).sum(1).mean((2, 3), keepdim=True)


class SoftmaxOverPaths(nn.Module):
    """(N, groups * radix * C, 1, 1), ordered by group, then by path -> (N, radix * groups * C, 1, 1), ordered by path:
    the softmax over the paths (Zhang 2020, arXiv:2004.08955)."""

    def __init__(self, radix: int, groups: int) -> None:
        super().__init__()
        self.radix, self.groups = radix, groups

    def forward(self, x: Tensor) -> Tensor:
        """The weights of each path's channels."""
        return torch.unflatten(x, 1, (self.groups, self.radix, -1)).transpose(1, 2).softmax(1).flatten(1, 3)


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


class ChannelGain(nn.Module):
    """LayerScale (Touvron 2021, arXiv:2103.17239): x times a learned number a channel, from `start`."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.factors, self.start = nn.Parameter(torch.full((channels,), start)), start

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return x * self.factors[:, None, None]


class Scaled(nn.Module):
    """x -> factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return x * self.factor
