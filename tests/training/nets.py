"""A small network written by hand, so that training is tested apart from what builds networks."""

from __future__ import annotations

import torch
from torch import nn


class Residual(nn.Module):
    """Two 3x3 convolutions with a projected shortcut."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(into, out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Conv2d(into, out, 1, stride=2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


def tiny(seed: int = 0, channels: int = 1, *, dropout: float = 0.0, classes: int = 10) -> nn.Sequential:
    """Images of any size from 4x4 -> scores, initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            Residual(8, 16),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64, classes),
        )
