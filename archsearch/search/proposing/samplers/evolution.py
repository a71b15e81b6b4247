"""Regularised evolution: the youngest live, tournaments choose, one choice mutates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import FeasibleSet, random_candidate
from archsearch.search.proposing.samplers.ranking import order
from archsearch.space.many.columns import IntArray


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """Ageing evolution (Real 2019, arXiv:1802.01548, algorithm 1), asynchronous: the population is the last
    `population` trials that have a score; the winner among `tournament` of them gets one choice changed."""

    population: int = 30
    tournament: int = 10

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """A child of a tournament's winner; a random candidate while the population fills, or the child is used up."""
        alive = order(history, last=self.population)
        if len(alive) >= self.population:
            entered = np.sort(rng.choice(len(alive), min(self.tournament, len(alive)), replace=False))
            for index in entered:
                child = feasible.neighbours(history.codes[alive[index]], 1, rng)
                if len(child):
                    return child[0]
        return random_candidate(feasible, rng)
