"""NSGA-II, one child at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.search.proposing.samplers.pareto import crowding, fronts
from archsearch.search.proposing.samplers.pool import filled, random_candidate
from archsearch.space.many.columns import IntArray


@dataclass(frozen=True, kw_only=True)
class Nsga2:
    """NSGA-II (Deb 2002) as a steady state: fit for trials that end one by one.

    The population is the best `population` trials by rung, front and crowding. Two binary tournaments choose the
    parents, their choices are crossed uniformly, and each changes with the chance of one in D.
    """

    population: int = 40
    children: int = 16  # made at once; the first that may be proposed is taken

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """A child of two good trials; a random candidate while the population fills, or where no child is new."""
        population = self._population(history)
        if len(population) >= self.population:
            children = feasible.admitted(self._children(history.codes[population], feasible, rng))
            if len(children):
                return children[0]
            for parent in population:
                neighbour = feasible.neighbours(history.codes[parent], 1, rng)
                if len(neighbour):
                    return neighbour[0]
        return random_candidate(feasible, rng)

    def _population(self, history: History) -> IntArray:
        """Indices, the fittest first: more epochs, an earlier front, a lonelier place (Deb's crowded comparison)."""
        (scored,) = np.nonzero(history.scored)
        fittest: list[int] = []
        epochs = np.minimum(history.epochs, history.full)
        for level in np.unique(epochs[scored])[::-1]:
            missing = self.population - len(fittest)
            if missing <= 0:
                break
            at_level = scored[epochs[scored] == level]
            front = fronts(history.scores[at_level], enough=missing)
            for number in range(int(front.max()) + 1):
                rows = at_level[front == number]
                fittest += rows[np.argsort(-crowding(history.scores[rows]), kind="stable")].tolist()
        return np.array(fittest[: self.population], np.int32)

    def _children(self, parents: IntArray, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray:
        """(children, D). The parents are sorted by fitness, so a tournament's winner has the smaller index."""
        winners = rng.integers(0, len(parents), (2, 2, self.children)).min(axis=1)
        mothers, fathers = parents[winners]
        mixed = np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
        mixed = np.where(mixed < 0, np.maximum(mothers, fathers), mixed)
        mutated = rng.random(mixed.shape) < 1 / mixed.shape[1]
        return filled(np.where(mutated, -1, mixed).astype(np.int32), feasible.columns, rng)
