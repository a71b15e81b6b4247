"""Fronts one behind another, and crowding, as NSGA-II needs them (Deb 2002), in array operations."""

from __future__ import annotations

import numpy as np

from archsearch.experiment.pareto import undominated
from archsearch.space.many.columns import FloatArray, IntArray


def fronts(scores: FloatArray, enough: int | None = None) -> IntArray:
    """(n,): 0 for the Pareto front of (n, M), 1 for the front without those, and so on.

    With `enough`, sorting ends once so many rows have a front; the rest share the next number.
    """
    front = np.zeros(len(scores), np.int32)
    remaining = np.arange(len(scores))
    number = 0
    while len(remaining):
        if enough is not None and len(scores) - len(remaining) >= enough:
            front[remaining] = number
            break
        best = undominated(scores[remaining])
        front[remaining[best]] = number
        remaining, number = remaining[~best], number + 1
    return front


def crowding(scores: FloatArray) -> FloatArray:
    """(n,): crowding distances within one front (n, M); inf at the ends (Deb 2002, section III-B)."""
    n, objectives = scores.shape
    distance = np.zeros(n)
    for column in range(objectives):
        order = np.argsort(scores[:, column], kind="stable")
        sorted_ = scores[order, column]
        extent = sorted_[-1] - sorted_[0] if n else 0.0
        distance[order[:1]] = distance[order[-1:]] = np.inf
        if n > 2 and extent > 0:
            distance[order[1:-1]] += (sorted_[2:] - sorted_[:-2]) / extent
    return distance
