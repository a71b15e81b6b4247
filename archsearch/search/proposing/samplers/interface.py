"""The protocols of samplers, what one is and what it sees of a search space, and the candidates that several draw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.space.many.columns import Column, FloatArray, IntArray


class FeasibleSet(Protocol):
    """The candidates that may be proposed: in budget and not yet used (`space.feasible.Feasible`).

    Candidates are rows of D codes, see `History`. Rows that are returned are canonical and distinct.
    """

    @property
    def columns(self) -> Sequence[Column]:
        """The D choices."""
        ...

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """(<= count, D): uniform over the candidates; fewer, even none, where few are left."""
        ...

    def neighbours(self, row: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        """(<= count, D): candidates that differ from `row` (D,) in one choice."""
        ...

    def admitted(self, codes: IntArray) -> IntArray:
        """(<= n, D): those of n wished-for rows, made canonical, that may be proposed, each once, in their order."""
        ...

    def costs(self, codes: IntArray) -> Mapping[str, IntArray]:
        """Exact costs of any rows by name (flops, params, ...), each (n,)."""
        ...

    def features(self, codes: IntArray, names: Collection[str]) -> Mapping[str, FloatArray]:
        """Those of the features (`space/many/features.py`) of these names that the space has, each (n,)."""
        ...


class Sampler(Protocol):
    """What proposes trials. Decisions follow from (history, generator) alone; what is cached only makes them faster."""

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The next trial's row (D,), or None where no candidate is left."""
        ...


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
