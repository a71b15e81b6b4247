"""What earlier experiments, on whatever data, let expect of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.space.many.columns import FloatArray, IntArray

TELLING = 0.2  # standard deviations of the earlier trials' scores: the spread from which on it is of use
DRAWN = 512  # candidates, to find that out


@dataclass(frozen=True, kw_only=True)
class Experience:
    """A linear model of scores: `weights` by the name of a feature, as space/many/features.py has them."""

    weights: Mapping[str, float]

    def tells(self, feasible: FeasibleSet) -> bool:
        """Whether it expects more of some candidates than of others: hardly so within a narrow window of costs, where
        no parameter is known from elsewhere."""
        drawn = feasible.draw(DRAWN, np.random.default_rng(0))
        return len(drawn) > 0 and float(self.expected(drawn, feasible).std()) >= TELLING

    def expected(self, codes: IntArray, feasible: FeasibleSet) -> FloatArray:
        """(n,) scores of rows (n, D), in standard deviations of the earlier trials and up to a constant. Features that
        the rows' space does not have count as equal."""
        total = np.zeros(len(codes))
        for name, values in feasible.features(codes, self.weights).items():
            total += self.weights[name] * values
        return total
