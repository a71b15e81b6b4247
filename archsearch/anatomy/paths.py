"""Paths through a network (Veit et al. 2016, arXiv:1605.06431): how many there are, how long, with how much gradient.

Unravelled, a network of n blocks with shortcuts is 2^n paths, each of which passes the branch or the shortcut of every
block; its length is the number of branches. A block without shortcut lengthens every path. Concatenated outputs are
read by all later blocks, so dense and dual-path blocks double the paths too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from archsearch.anatomy.steps import Row, Step
from archsearch.network.units import ResidualUnit, joined

EFFECTIVE = 0.95  # share of the gradient that the effective paths hold

LossOf = Callable[[Tensor, Tensor], Tensor]  # (scores, labels) -> their mean loss
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lengths:
    """How many paths have which length: `counts[k]` of length k, exact."""

    counts: tuple[int, ...]

    @classmethod
    def of(cls, row: Row) -> Lengths:
        """Those of a network: n blocks with a shortcut and m without give C(n, k - m) paths of length k."""
        shortcuts = sum(row.steps[number].has_shortcut for number in row.blocks)
        return cls.binomial(shortcuts, len(row.blocks) - shortcuts)

    @classmethod
    def binomial(cls, shortcuts: int, plain: int = 0) -> Lengths:
        """Of so many blocks with and without shortcut."""
        return cls((0,) * plain + tuple(comb(shortcuts, k) for k in range(shortcuts + 1)))

    @property
    def total(self) -> int:
        """The number of paths."""
        return sum(self.counts)

    def share(self, shortest: int, longest: int) -> float:
        """The share of the paths whose length is from `shortest` to `longest`."""
        return sum(self.counts[max(0, shortest) : longest + 1]) / self.total


def smallest_interval(weights: Sequence[float] | Floats, share: float = EFFECTIVE) -> tuple[int, int]:
    """The shortest run of positions (first, last) that holds this share of the weights or more; of equally short ones
    that which holds most."""
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(weights, float))])
    needed = share * sums[-1]
    best = (0, len(sums) - 2)
    for first in range(len(sums) - 1):
        last = int(np.searchsorted(sums, sums[first] + needed - 1e-12 * sums[-1])) - 1
        if last > len(sums) - 2:
            break
        shorter = last - first - (best[1] - best[0])
        heavier = sums[last + 1] - sums[first] > sums[best[1] + 1] - sums[best[0]]
        if shorter < 0 or (shorter == 0 and heavier):
            best = (first, last)
    return best


def gradient_at_input(row: Row, images: Tensor, labels: Tensor, loss: LossOf, through: frozenset[int]) -> Tensor:
    """The gradient (N, C, H, W) of each image's loss at the image, as it comes by one path alone: forward everything is
    computed; backward it passes the branches of the blocks `through` (numbers of steps), and of the others the
    shortcut. Blocks without a shortcut are always passed. What a gate learns of its input is left out."""
    x = images.clone().requires_grad_()
    y = x
    for number, step in enumerate(row.steps):
        y = _by_one_side(step, y, number in through) if step.has_shortcut else step(y)
    return torch.autograd.grad(loss(y, labels) * len(x), x)[0]


def _by_one_side(step: Step, x: Tensor, branch: bool) -> Tensor:
    unit = step.module
    assert isinstance(unit, ResidualUnit)
    s = unit.shared(x)
    f = unit.gain(unit.branch(s))
    return unit.after(joined(unit, s.detach(), f) if branch else joined(unit, s, f.detach()))  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """The gradient's norm at the input by paths' length: `norms[k]` has a value for each path of length k that was
    drawn."""

    lengths: Lengths
    norms: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> Floats:
        """Of each length, nan where no path is so long."""
        return np.array([np.mean(norms) if norms else np.nan for norms in self.norms])

    @property
    def contributions(self) -> Floats:
        """The share of the gradient that comes by all paths of a length: their share times their mean norm."""
        shares = np.array([count / self.lengths.total for count in self.lengths.counts])
        weights: Floats = shares * np.nan_to_num(self.means)
        return weights / (float(weights.sum()) or 1.0)

    @property
    def effective(self) -> tuple[int, int]:
        """The shortest interval of lengths that holds 95 % of the gradient."""
        return smallest_interval(self.contributions)

    def decay(self) -> tuple[float, float]:
        """(factor, R squared): by how much a path's gradient shrinks with each branch more, from a line through the
        logarithms of the mean norms, and how much of their variance it explains."""
        chosen = [(length, np.log(mean)) for length, mean in enumerate(self.means) if np.isfinite(mean) and mean > 0]
        if len(chosen) < 3:
            return float("nan"), float("nan")
        x, y = np.array(chosen).T
        slope, start = np.polyfit(x, y, 1)
        residual, spread = ((y - slope * x - start) ** 2).sum(), ((y - y.mean()) ** 2).sum()
        return float(np.exp(slope)), float(1 - residual / spread) if spread else 1.0


def gradients(
    row: Row,
    images: Tensor,
    labels: Tensor,
    loss: LossOf,
    *,
    draws: int,
    seed: int,
    on_length: Callable[[int, int], None] | None = None,
) -> Gradients:
    """The gradient by `draws` random paths of each length, on these images. `on_length(done, of)` is called after each
    length."""
    generator = np.random.default_rng(seed)
    with_shortcut = [number for number in row.blocks if row.steps[number].has_shortcut]
    plain = len(row.blocks) - len(with_shortcut)
    norms: list[tuple[float, ...]] = [()] * plain
    for count in range(len(with_shortcut) + 1):
        chosen = {frozenset(generator.permutation(with_shortcut)[:count].tolist()) for _ in range(draws)}
        norms.append(
            tuple(
                gradient_at_input(row, images, labels, loss, through).flatten(1).norm(dim=1).mean().item()
                for through in sorted(chosen, key=sorted)
            )
        )
        if on_length is not None:
            on_length(count + 1, len(with_shortcut) + 1)
    return Gradients(lengths=Lengths.of(row), norms=tuple(norms))
