"""The tree-structured Parzen estimator over columns of codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.face import Field
from archsearch.search.proposing.samplers.pareto import fronts
from archsearch.search.proposing.samplers.pool import pool
from archsearch.search.proposing.samplers.standing import comparable
from archsearch.space.many.columns import Column, FloatArray, IntArray

LOT = 32  # draws that are counted at once


@dataclass(frozen=True, kw_only=True)
class Tpe:
    """Takes the candidate with the largest good(x) / rest(x) (Bergstra 2011, equation 3 and section 4).

    Both densities are products over the columns; an inactive choice is a category of its own. Counts are smoothed
    towards what the feasible candidates have in common, so that a value which the budget favours does not pass for a
    good one, and along ordered columns. Running and failed trials say nothing.
    """

    startup: int = 10  # random trials before there is a model
    share: float = 0.2  # of the trials are good ones,
    most: int = 25  # yet never more than these (Optuna's bound)
    weight: float = 1.0  # pseudo-observations behind the prior of a column
    reach: float = 0.5  # standard deviation, in places, of the smoothing along ordered columns: this, or
    share_of_reach: float = 0.05  # this share of all places if that is more
    anywhere: int = 512
    sampled: int = 256
    parents: int = 4
    each: int = 16

    def propose(self, history: History, feasible: Field, rng: np.random.Generator) -> IntArray | None:
        """The best of some hundreds of candidates: uniform ones, draws from good(x), neighbours of the best."""
        chosen, scores = comparable(history, self.startup)
        if len(chosen) < self.startup:
            drawn = feasible.draw(1, rng)
            return drawn[0] if len(drawn) else None
        good, rest = self._split(history.codes[chosen], scores)
        candidates = pool(good[: self.parents], feasible, rng, anywhere=self.anywhere, each=self.each)
        if not len(candidates):
            return None
        columns = feasible.columns
        prior = frequencies(candidates[: self.anywhere], columns)
        in_good, in_rest = (self._density(rows, prior, columns) for rows in (good, rest))
        ratio = np.log(in_good) - np.log(in_rest)
        ratio[:, -1] = 0.0

        def worth(codes: IntArray) -> FloatArray:
            return np.asarray(ratio[np.arange(len(columns)), codes].sum(axis=1))

        found = worth(candidates)
        best, most = candidates[int(np.argmax(found))], float(found.max())
        wished = self._draws(in_good, columns, rng)
        wished = wished[np.argsort(-worth(wished), kind="stable")]
        for start in range(0, len(wished), LOT):  # the best first: few need to be counted
            lot = feasible.admitted(wished[start : start + LOT])
            if len(lot):
                found = worth(lot)
                return lot[int(np.argmax(found))] if found.max() > most else best
        return best

    def _split(self, codes: IntArray, scores: FloatArray) -> tuple[IntArray, IntArray]:
        """The good ones, best first, and the rest."""
        count = min(math.ceil(self.share * len(scores)), self.most)
        merit = scores[:, 0] if scores.shape[1] == 1 else -fronts(scores, count).astype(float)
        order = np.argsort(-merit, kind="stable")
        return codes[order[:count]], codes[order[count:]]

    def _density(self, codes: IntArray, prior: FloatArray, columns: Sequence[Column]) -> FloatArray:
        """(D, K + 1): the probability of every value of every column where it is active; the last place is unused."""
        counts = counted(codes, prior.shape)
        for index, column in enumerate(columns):
            size = len(column.values)
            if column.ordered and size > 2 and self.reach > 0:
                counts[index, :size] = counts[index, :size] @ _spread(size, max(self.reach, self.share_of_reach * size))
        return (counts + self.weight * prior) / (counts.sum(axis=1, keepdims=True) + self.weight)

    def _draws(self, density: FloatArray, columns: Sequence[Column], rng: np.random.Generator) -> IntArray:
        """(sampled, D): every column drawn from its own density, as TPE does."""
        points = rng.random((len(density), self.sampled))
        drawn = [
            np.searchsorted(np.cumsum(row[: len(column.values) - 1]), own)
            for row, column, own in zip(density, columns, points, strict=True)
        ]
        return np.stack(drawn, axis=1).astype(np.int32)


def counted(codes: IntArray, shape: tuple[int, ...]) -> FloatArray:
    """(D, K + 1): how often each value stands in each column of (n, D) codes; inactive ones do not count."""
    rows, places = shape
    flat = np.where(codes < 0, places - 1, codes) + np.arange(rows) * places
    counts = np.bincount(flat.ravel(), minlength=rows * places).reshape(rows, places).astype(float)
    counts[:, -1] = 0.0
    return counts


def frequencies(codes: IntArray, columns: Sequence[Column]) -> FloatArray:
    """(D, K + 1): shares of the values among candidates where active, one pseudo-count spread over all of them."""
    sizes = np.array([len(column.values) for column in columns])
    places = int(sizes.max(initial=1)) + 1
    counts = counted(codes, (len(columns), places))
    own = np.where(np.arange(places) < sizes[:, None], 1 / sizes[:, None], 1e-9)
    return np.asarray((counts + own) / (counts + own).sum(axis=1, keepdims=True))


@lru_cache(maxsize=256)
def _spread(size: int, reach: float) -> FloatArray:
    """(size, size): each place's mass over its neighbourhood, a Gaussian cut off at the ends."""
    distance = np.arange(size)[:, None] - np.arange(size)
    mass = np.exp(-0.5 * (distance / reach) ** 2)
    return mass / mass.sum(axis=1, keepdims=True)
