"""Ranks with ties, and rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Values = Sequence[float] | npt.NDArray[Any]


def levels(values: Values) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp]]:
    """The distinct values of (n,) in ascending order, the rank of each (from 1, equal values sharing their mean rank),
    and for each of the n values the index of its level.

    In arrays throughout: with thousands of trials this is most of what the decision at a rung costs.
    """
    distinct, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return distinct, np.cumsum(counts) - (counts - 1) / 2, index


def ascending(values: FloatArray) -> npt.NDArray[np.intp]:
    """The indices that put (n,) finite values in ascending order, of equal ones the earlier first: what a stable
    argsort gives, in a quarter of its time."""
    order = np.argsort(values)
    values = values[order]
    group = np.zeros(len(values), np.int64)
    np.cumsum(values[1:] != values[:-1], out=group[1:])
    if len(group) and group[-1] < len(values) - 1:  # some are equal
        order = np.sort(group * len(values) + order) - group * len(values)
    return order


def ranks(values: Values) -> FloatArray:
    """(n,): from 1, equal values sharing their mean rank."""
    _, rank, index = levels(values)
    return rank[index]


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation: Pearson's of the ranks.

    None for fewer than two pairs, or where one side is all equal: then it is not defined.
    """
    if len(first) < 2 or min(first) == max(first) or min(second) == max(second):
        return None
    x, y = (ranks(values) - (len(first) + 1) / 2 for values in (first, second))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def corrected(value: float, scores: Sequence[float], chosen: Sequence[float]) -> float:
    """A rank correlation over the `chosen` of all `scores` of a rung, as it would be over all of them.

    Thorndike's correction for a choice by the variable itself (1949, case 2; Pearson 1903), on ranks: with u the
    spread of all ranks over that of the chosen ones', r u / sqrt(1 - r^2 + r^2 u^2).
    """
    distinct, rank, index = levels(scores)
    u = float(np.std(rank[index]) / np.std(rank[np.searchsorted(distinct, chosen)]))
    return value * u / math.sqrt(1 - value**2 + (value * u) ** 2)
