"""The tree-structured Parzen estimator over columns of codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.search.proposing.samplers.pareto import fronts
from archsearch.search.proposing.samplers.pool import pool, random_candidate
from archsearch.search.proposing.samplers.ranking import comparable
from archsearch.space.many.columns import Column, FloatArray, IntArray

BATCH = 32  # draws whose costs are counted at once


@dataclass(frozen=True, kw_only=True)
class Tpe:
    """Takes the candidate with the largest good(x) / others(x) (Bergstra 2011, equation 3 and section 4).

    Both densities are products over the columns; an inactive choice is a category of its own. Counts are smoothed
    towards what the feasible candidates have in common, so that a value which the budget favours does not pass for a
    good one, and along ordered columns. Running and failed trials say nothing.
    """

    startup: int = 10  # random trials before there is a model
    good_share: float = 0.2  # of the trials are good ones,
    good_limit: int = 25  # yet never more than these (Optuna's bound)
    weight: float = 1.0  # pseudo-observations behind the prior of a column
    smoothing: float = 0.5  # standard deviation, in values, of the smoothing along ordered columns: this, or
    smoothing_share: float = 0.05  # this share of all values if that is more
    uniform: int = 512  # candidates to score: uniform ones,
    sampled: int = 256  # draws from good(x),
    parents: int = 4  # and of the best trials
    neighbours: int = 16  # so many each

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The best of some hundreds of candidates: uniform ones, draws from good(x), neighbours of the best."""
        chosen, scores = comparable(history, self.startup)
        if len(chosen) < self.startup:
            return random_candidate(feasible, rng)
        good_codes, other_codes = self._split(history.codes[chosen], scores)
        candidates = pool(good_codes[: self.parents], feasible, rng, uniform=self.uniform, neighbours=self.neighbours)
        if not len(candidates):
            return None
        columns = feasible.columns
        prior = frequencies(candidates[: self.uniform], columns)
        good_density, other_density = (self._density(rows, prior, columns) for rows in (good_codes, other_codes))
        ratio = np.log(good_density) - np.log(other_density)
        ratio[:, -1] = 0.0

        def log_ratio(codes: IntArray) -> FloatArray:
            return np.asarray(ratio[np.arange(len(columns)), codes].sum(axis=1))

        ratios = log_ratio(candidates)
        best, best_ratio = candidates[int(np.argmax(ratios))], float(ratios.max())
        drawn = self._draws(good_density, columns, rng)
        drawn = drawn[np.argsort(-log_ratio(drawn), kind="stable")]
        for start in range(0, len(drawn), BATCH):  # the best first: few need to be counted
            admitted = feasible.admitted(drawn[start : start + BATCH])
            if len(admitted):
                ratios = log_ratio(admitted)
                return admitted[int(np.argmax(ratios))] if ratios.max() > best_ratio else best
        return best

    def _split(self, codes: IntArray, scores: FloatArray) -> tuple[IntArray, IntArray]:
        """The codes of the good trials, best first, and those of the others."""
        count = min(math.ceil(self.good_share * len(scores)), self.good_limit)
        merit = scores[:, 0] if scores.shape[1] == 1 else -fronts(scores, count).astype(float)
        order = np.argsort(-merit, kind="stable")
        return codes[order[:count]], codes[order[count:]]

    def _density(self, codes: IntArray, prior: FloatArray, columns: Sequence[Column]) -> FloatArray:
        """(D, K + 1): the probability of every value of every column where it is active; the last column is unused."""
        counts = counted(codes, prior.shape)
        for index, column in enumerate(columns):
            size = len(column.values)
            if column.ordered and size > 2 and self.smoothing > 0:
                counts[index, :size] = counts[index, :size] @ _smoothing(
                    size, max(self.smoothing, self.smoothing_share * size)
                )
        return (counts + self.weight * prior) / (counts.sum(axis=1, keepdims=True) + self.weight)

    def _draws(self, density: FloatArray, columns: Sequence[Column], rng: np.random.Generator) -> IntArray:
        """(sampled, D): rows whose columns are drawn independently, each from its density."""
        points = rng.random((len(density), self.sampled))
        drawn = [
            np.searchsorted(np.cumsum(row[: len(column.values) - 1]), quantiles)
            for row, column, quantiles in zip(density, columns, points, strict=True)
        ]
        return np.stack(drawn, axis=1).astype(np.int32)


def counted(codes: IntArray, shape: tuple[int, ...]) -> FloatArray:
    """(D, K + 1): how often each value stands in each column of (n, D) codes; inactive ones do not count."""
    columns, width = shape
    flat = np.where(codes < 0, width - 1, codes) + np.arange(columns) * width
    counts = np.bincount(flat.ravel(), minlength=columns * width).reshape(columns, width).astype(float)
    counts[:, -1] = 0.0
    return counts


def frequencies(codes: IntArray, columns: Sequence[Column]) -> FloatArray:
    """(D, K + 1): shares of the values among candidates where active, one pseudo-count spread over all of them."""
    sizes = np.array([len(column.values) for column in columns])
    width = int(sizes.max(initial=1)) + 1
    counts = counted(codes, (len(columns), width))
    counts += np.where(np.arange(width) < sizes[:, None], 1 / sizes[:, None], 1e-9)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


@lru_cache(maxsize=256)
def _smoothing(size: int, deviation: float) -> FloatArray:
    """(size, size): rows of weights that spread a value's count over its neighbours, a Gaussian cut off at the ends."""
    distance = np.arange(size)[:, None] - np.arange(size)
    mass = np.exp(-0.5 * (distance / deviation) ** 2)
    return mass / mass.sum(axis=1, keepdims=True)
