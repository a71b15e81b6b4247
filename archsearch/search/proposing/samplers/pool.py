"""Candidates for a model to score: some from anywhere, some near what was good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.space.many.columns import Column, IntArray


def random_candidate(feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
    """A candidate (D,) from anywhere, all of them equally likely; None where none is left."""
    drawn = feasible.draw(1, rng)
    return drawn[0] if len(drawn) else None


def filled(codes: IntArray, columns: Sequence[Column], rng: np.random.Generator) -> IntArray:
    """The rows with a random value wherever a choice is inactive, for when mixing rows makes it active."""
    sizes = np.array([len(column.values) for column in columns])
    drawn = rng.integers(0, sizes, size=codes.shape)
    return np.where(codes < 0, drawn, codes).astype(np.int32)


def pool(best: IntArray, feasible: FeasibleSet, rng: np.random.Generator, *, uniform: int, neighbours: int) -> IntArray:
    """`uniform` candidates from anywhere, and so many `neighbours` of each row of `best`; none where nothing is left.

    A row may stand twice: scoring it twice is cheaper than looking for it.
    """
    neighbourhoods = (feasible.neighbours(row, neighbours, rng) for row in best)
    return np.concatenate([feasible.draw(uniform, rng), *neighbourhoods])
