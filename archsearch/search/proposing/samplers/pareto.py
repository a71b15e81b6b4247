"""Domination among many: fronts and crowding, as NSGA-II needs them (Deb 2002), in array operations."""

from __future__ import annotations

import numpy as np

from archsearch.space.many.columns import BoolArray, FloatArray, IntArray


def undominated(scores: FloatArray) -> BoolArray:
    """(n,): whether no other row of (n, M) is at least as good everywhere and better somewhere. More is better.

    Equal rows do not dominate each other. Two objectives are one sort; more go through the rows by falling sum,
    each survivor striking out what it dominates.
    """
    n, objectives = scores.shape
    if n == 0:
        return np.zeros(0, bool)
    if objectives == 1:
        return np.asarray(scores[:, 0] == scores[:, 0].max())
    if objectives == 2:
        return _undominated_pairs(scores)
    alive = np.arange(n)[np.argsort(-scores.sum(axis=1), kind="stable")]
    kept = np.zeros(n, bool)
    while len(alive):
        first, rest = alive[0], alive[1:]
        kept[first] = True
        worse = (scores[rest] <= scores[first]).all(axis=1) & (scores[rest] < scores[first]).any(axis=1)
        alive = rest[~worse]
    return kept


def _undominated_pairs(scores: FloatArray) -> BoolArray:
    order = np.lexsort((-scores[:, 1], -scores[:, 0]))
    first, second = scores[order].T
    starts = np.r_[True, first[1:] < first[:-1]]
    # The best second value among strictly higher first values, and the best of one's own.
    group = np.cumsum(starts) - 1
    tops = second[starts]
    before = np.r_[-np.inf, np.maximum.accumulate(tops)[:-1]]
    kept = np.zeros(len(scores), bool)
    kept[order] = (second == tops[group]) & (second > before[group])
    return kept


def fronts(scores: FloatArray, enough: int | None = None) -> IntArray:
    """(n,): 0 for the Pareto front of (n, M), 1 for the front without those, and so on.

    With `enough`, sorting ends once so many rows have a front; the rest share the next number.
    """
    front = np.zeros(len(scores), np.int32)
    left = np.arange(len(scores))
    number = 0
    while len(left):
        if enough is not None and len(scores) - len(left) >= enough:
            front[left] = number
            break
        best = undominated(scores[left])
        front[left[best]] = number
        left, number = left[~best], number + 1
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
