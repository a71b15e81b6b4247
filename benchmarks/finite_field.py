"""A search space that is a list: what samplers see of a table of finished trainings, and of small spaces in tests.

It answers as `archsearch.space.many.feasible.Feasible` does, from a list that is known whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from archsearch.space.many.columns import Column
from archsearch.space.many.feasible import FEW

MOST = 5_000_000  # combinations of codes that are looked up in one array


class FiniteField:
    """N candidates as distinct rows of D codes (-1: inactive) and their costs; `use` takes one out."""

    def __init__(
        self,
        columns: Sequence[Column],
        codes: np.ndarray,
        costs: Mapping[str, np.ndarray],
        features: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.codes = np.ascontiguousarray(codes, np.int32)
        self.left = np.ones(len(codes), bool)
        self._costs = dict(costs)
        self._features = dict(features or {})
        sizes = [len(column.values) + 1 for column in columns]
        if np.prod(sizes, dtype=float) > MOST:
            raise ValueError("too many combinations for a list")
        self._radix = np.cumprod([1, *sizes[:-1]])
        self._places = self._all_places(sizes)
        self._near = [self._neighbours(row) for row in self.codes]

    def fresh(self) -> FiniteField:
        """The same field with nothing used; what was worked out is shared."""
        other = object.__new__(FiniteField)
        other.__dict__.update(self.__dict__, left=np.ones(len(self.codes), bool))
        return other

    def places(self, codes: np.ndarray) -> np.ndarray:
        """(n,): where rows stand in the list, once choices that do not count are inactive; -1 where they do not."""
        return self._places[(np.asarray(codes) + 1) @ self._radix]

    def use(self, row: np.ndarray) -> int:
        """Takes a candidate out, which must be left; its place."""
        place = int(self.places(row))
        if place < 0 or not self.left[place]:
            raise ValueError("this candidate is not left")
        self.left[place] = False
        return place

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(<= count, D): uniform over what is left, each once."""
        (left,) = np.nonzero(self.left)
        return self.codes[rng.permutation(left)[:count]]

    def neighbours(self, row: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """(<= count, D): what is left and differs from `row` in one choice; in two, where few in one are listed."""
        near = self._near[int(self.places(row))]
        return self.codes[rng.permutation(near[self.left[near]])[:count]]

    def admitted(self, codes: np.ndarray) -> np.ndarray:
        """(<= n, D): those of the rows that are left, canonical, each once, in their order."""
        places = self.places(codes)
        places = places[(places >= 0) & self.left[places]]
        _, first = np.unique(places, return_index=True)
        return self.codes[places[np.sort(first)]]

    def costs(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Exact costs by name, each (n,)."""
        places = self.places(codes)
        return {name: values[places] for name, values in self._costs.items()}

    def features(self, codes: np.ndarray, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """Those of the features of these names, or all, each (n,)."""
        places = self.places(codes)
        return {name: values[places] for name, values in self._features.items() if names is None or name in names}

    def _all_places(self, sizes: Sequence[int]) -> np.ndarray:
        """Every combination's place: that of the listed row which agrees with it wherever the row is active."""
        found = np.full(int(np.prod(sizes)), -1)
        choices = [np.arange(size) * radix for size, radix in zip(sizes, self._radix, strict=True)]
        for place, row in enumerate(self.codes):
            keys = np.zeros(1, int)
            for code, own, radix in zip(row, choices, self._radix, strict=True):
                keys = (keys[:, None] + (own if code < 0 else (code + 1) * radix)).ravel()
            found[keys] = place
        found[(self.codes + 1) @ self._radix] = np.arange(len(self.codes))
        return found

    def _neighbours(self, row: np.ndarray) -> np.ndarray:
        """One choice differs, an ordered one by one place; what that choice makes active or inactive is free. Where
        fewer than half of such changes are listed, and fewer than FEW, two choices."""
        apart = np.where((self.codes >= 0) & (row >= 0), np.abs(self.codes - row), 0)
        ordered = np.array([column.ordered for column in self.columns])
        far = ((apart > 1) & ordered).any(axis=1)
        differing = np.where(far, 0, (apart > 0).sum(axis=1))
        near = np.nonzero(differing == 1)[0]
        steps = [
            (code > 0) + (code + 1 < len(column.values)) if column.ordered else len(column.values) - 1
            for code, column in zip(row, self.columns, strict=True)
            if code >= 0
        ]
        return near if len(near) >= min(FEW, sum(steps) / 2) else np.nonzero((differing == 1) | (differing == 2))[0]
