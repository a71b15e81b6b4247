"""Candidates for a model to score: some from anywhere, some near what was good."""

from __future__ import annotations

import numpy as np

from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.space.many.columns import IntArray


def random_candidate(feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
    """A candidate (D,) from anywhere, all of them equally likely; None where none is left."""
    drawn = feasible.draw(1, rng)
    return drawn[0] if len(drawn) else None


def pool(best: IntArray, feasible: FeasibleSet, rng: np.random.Generator, *, uniform: int, neighbours: int) -> IntArray:
    """`uniform` candidates from anywhere, and so many `neighbours` of each row of `best`; none where nothing is left.

    A row may stand twice: scoring it twice is cheaper than looking for it.
    """
    neighbourhoods = (feasible.neighbours(row, neighbours, rng) for row in best)
    return np.concatenate([feasible.draw(uniform, rng), *neighbourhoods])
