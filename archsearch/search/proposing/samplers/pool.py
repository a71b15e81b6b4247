"""Candidates for a model to score: some from anywhere, some near what was good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsearch.search.proposing.samplers.face import Field
from archsearch.space.many.columns import Column, IntArray


def filled(codes: IntArray, columns: Sequence[Column], rng: np.random.Generator) -> IntArray:
    """The rows with a random value wherever a choice is inactive, for when mixing rows makes it active."""
    sizes = np.array([len(column.values) for column in columns])
    drawn = rng.integers(0, sizes, size=codes.shape)
    return np.where(codes < 0, drawn, codes).astype(np.int32)


def around(rows: IntArray, each: int, feasible: Field, rng: np.random.Generator) -> IntArray:
    """Up to `each` neighbours of every row (k, D), one after another."""
    found = [feasible.neighbours(row, each, rng) for row in rows]
    return np.concatenate(found) if found else np.empty((0, len(feasible.columns)), np.int32)


def pool(best: IntArray, feasible: Field, rng: np.random.Generator, *, anywhere: int, each: int) -> IntArray:
    """`anywhere` uniform candidates, and `each` neighbours of every row of `best`; none where nothing is left.

    A row may stand twice: scoring it twice is cheaper than looking for it.
    """
    return np.concatenate([feasible.draw(anywhere, rng), around(best, each, feasible, rng)])
