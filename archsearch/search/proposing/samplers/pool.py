"""Candidates for a model to score: some from anywhere, some near what was good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.space.many.columns import Column, IntArray


def filled(codes: IntArray, columns: Sequence[Column], rng: np.random.Generator) -> IntArray:
    """The rows with a random value wherever a choice is inactive, for when mixing rows makes it active."""
    sizes = np.array([len(column.values) for column in columns])
    drawn = rng.integers(0, sizes, size=codes.shape)
    return np.where(codes < 0, drawn, codes).astype(np.int32)


def around(rows: IntArray, count: int, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray:
    """Up to `count` neighbours of every row (k, D), one after another."""
    neighbours = [feasible.neighbours(row, count, rng) for row in rows]
    return np.concatenate(neighbours) if neighbours else np.empty((0, len(feasible.columns)), np.int32)


def pool(best: IntArray, feasible: FeasibleSet, rng: np.random.Generator, *, uniform: int, neighbours: int) -> IntArray:
    """`uniform` candidates from anywhere, and so many `neighbours` of each row of `best`; none where nothing is left.

    A row may stand twice: scoring it twice is cheaper than looking for it.
    """
    return np.concatenate([feasible.draw(uniform, rng), around(best, neighbours, feasible, rng)])
