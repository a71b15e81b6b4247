"""The loss around a trained network's weights (Li et al. 2018, arXiv:1712.09913): in two random directions, a grid.

Each direction is drawn from a normal distribution, and each of its filters scaled to the norm of the weights' filter
(section 4); of norms and biases, which have one dimension, it is zero. Running statistics stay as they are. The loss is
the mean over a fixed sample of images, unaugmented.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from archsearch.anatomy.lesions import Batches
from archsearch.training.losses import Loss

Floats = npt.NDArray[np.float64]
Direction = dict[str, Tensor]
SMALL = 1e-10  # added to the norm of a drawn filter, which could be zero


def direction(network: nn.Module, generator: torch.Generator) -> Direction:
    """A filter-normalised direction, by the names of the parameters; its draws are the CPU's, so the same anywhere."""
    return {
        name: _scaled(torch.randn(parameter.shape, generator=generator), parameter.detach().cpu()).to(parameter.device)
        if parameter.ndim > 1
        else torch.zeros_like(parameter)
        for name, parameter in network.named_parameters()
    }


def _scaled(drawn: Tensor, weights: Tensor) -> Tensor:
    """Each filter (the first dimension) with the norm that the weights' filter has."""
    norms = drawn.flatten(1).norm(dim=1), weights.flatten(1).norm(dim=1)
    factors: Tensor = norms[1] / (norms[0] + SMALL)
    return drawn * factors.view(-1, *[1] * (drawn.ndim - 1))


def directions(network: nn.Module, seed: int) -> tuple[Direction, Direction]:
    """Two of them, from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    return direction(network, generator), direction(network, generator)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the loss is taken: `points` values from -`span` to `span` along each direction, an odd number of them, so
    that the trained weights are one."""

    points: int = 15
    span: float = 1.0

    @property
    def steps(self) -> Floats:
        """The values along a direction."""
        return np.linspace(-self.span, self.span, self.points)


@torch.inference_mode()
def losses(
    network: nn.Module,
    ways: tuple[Direction, Direction],
    grid: Grid,
    batches: Callable[[], Batches],
    loss: Loss,
    *,
    known: Floats | None = None,
) -> Generator[tuple[int, int, float]]:
    """(row, column, loss) for each point that is not `known` (nan where it is not): weights + a first + b second, with
    b the row's step and a the column's. The network's own weights are back when the iterator ends or is closed."""
    weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    try:
        for row, b in enumerate(grid.steps):
            for column, a in enumerate(grid.steps):
                if known is None or np.isnan(known[row, column]):
                    _move(network, weights, ways, (float(a), float(b)))
                    yield row, column, _mean(network, batches(), loss)
    finally:
        _move(network, weights, ways, (0.0, 0.0))


def _move(network: nn.Module, weights: Direction, ways: Sequence[Direction], steps: tuple[float, float]) -> None:
    for name, parameter in network.named_parameters():
        parameter.data.copy_(weights[name])
        for way, step in zip(ways, steps, strict=True):
            if step:
                parameter.data.add_(way[name], alpha=step)


def _mean(network: nn.Module, batches: Batches, loss: Loss) -> float:
    total, count = 0.0, 0
    for images, labels in batches:
        total += loss(network(images), labels).item() * len(labels)
        count += len(labels)
    return total / count


def flat_share(values: Floats, factor: float = 2.0) -> float:
    """The share of the grid whose loss is below so many times the least: how wide the valley is."""
    finite = values[np.isfinite(values)]
    return float((finite < factor * finite.min()).sum() / values.size) if finite.size else 0.0
