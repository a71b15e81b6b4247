"""Fronts one behind another (Deb 2002), in array operations."""

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
