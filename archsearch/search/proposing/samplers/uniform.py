"""Random search: every candidate that is left is as likely as the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import FeasibleSet, random_candidate
from archsearch.space.many.columns import IntArray


@dataclass(frozen=True)
class Uniform:
    """Random search (Bergstra & Bengio 2012), with which every other sampler is compared."""

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """One candidate, drawn uniformly."""
        return random_candidate(feasible, rng)
