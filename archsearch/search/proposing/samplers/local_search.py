"""Local search: try everything next to the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import FeasibleSet, random_candidate
from archsearch.search.proposing.samplers.ranking import order
from archsearch.space.many.columns import IntArray


@dataclass(frozen=True, kw_only=True)
class LocalSearch:
    """Hill climbing (White 2021, arXiv:2005.02960): a neighbour of the best trial so far that was not tried yet.

    Where a neighbourhood is used up, the next best trial's; behind the `patience` best ones, a random candidate.
    """

    startup: int = 10  # random trials to begin from
    patience: int = 20

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """A neighbour of the best trial that has one left, or a random candidate."""
        ranked = order(history, enough=self.patience)
        if len(ranked) >= self.startup:
            for index in ranked[: self.patience]:
                neighbour = feasible.neighbours(history.codes[index], 1, rng)
                if len(neighbour):
                    return neighbour[0]
        return random_candidate(feasible, rng)
