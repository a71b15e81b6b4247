"""A table of what sections of networks cost, by key: what makes counting many candidates a matter of looking up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.space.many.columns import IntArray

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

NAMES = ("params", "flops", "macs", "activations", "layers", "saved", "image", "largest")
DENSE = 1 << 24  # keys up to which the table is indexed directly

Costs = dict[str, IntArray]  # (n,) each, by name
Counted = tuple[IntArray, IntArray]  # (n, 8) counts as in NAMES; (n,) the index of the shape that comes out, -1: none


def by_name(space: SearchSpace, counts: IntArray) -> Costs:
    """The costs that a budget may bound, of (n, 8) counts; `memory` is bytes, by the space's training."""
    costs: dict[str, Any] = dict(zip(NAMES, counts.T, strict=True))
    kept = (costs.pop(name) for name in ("saved", "largest", "image"))
    memory = space.training_bytes(costs["params"], *kept)
    return {**costs, "memory": np.asarray(memory)}


class CostTable:
    """What a section (the stem, a stage, the head) costs and emits, by what it depends on and by its input's shape.

    `counts` is (rows, 8), as in NAMES; `emitted` is (rows,), the index of a shape, or -1 where the image runs out. A
    key's last digit is the shape by the number that the table has for it, so that keys stay small where few shapes of
    all come to this section; its radix doubles when the numbers do not suffice.
    """

    def __init__(self) -> None:
        self.counts = np.empty((64, len(NAMES)), np.int64)
        self.emitted = np.empty(64, np.int64)
        self._keys = np.empty(64, np.int64)
        self._filled = 0
        self._direct: IntArray | None = None  # key -> row, where there are few enough
        self._order: IntArray | None = None  # rows by key, where there are too many for that
        self._numbers = np.full(1, -1, np.int64)  # index of a shape -> its number here
        self._radix = 4

    def find(self, keys: IntArray, size: int, shapes: IntArray, count: Callable[[IntArray], Counted]) -> IntArray:
        """(n,): the rows of n keys, which lie in 0 .. size - 1, with these shapes' indices. `count` is asked for those
        that are missing, by their indices in `keys`."""
        numbers = self._numbered(shapes)
        keys, size = keys * self._radix + numbers, size * self._radix
        rows = self._look_up(keys, size)
        if (rows < 0).any():
            self._add(keys, np.flatnonzero(rows < 0), count)
            rows = self._look_up(keys, size)
        return rows

    def _numbered(self, shapes: IntArray) -> IntArray:
        """The shapes by this table's numbers, which shapes that it has not met before get now."""
        if len(shapes) and (lacking := int(shapes.max()) + 1 - len(self._numbers)) > 0:
            self._numbers = np.append(self._numbers, np.full(lacking, -1))
        numbers = self._numbers[shapes]
        if (numbers < 0).any():
            unmet = np.unique(shapes[numbers < 0])
            first = self._numbers.max() + 1
            self._numbers[unmet] = np.arange(first, first + len(unmet))
            radix = self._radix
            while self._numbers.max() >= self._radix:
                self._radix *= 2
            if self._radix != radix:
                self._keys = self._keys // radix * self._radix + self._keys % radix
                self._direct = self._order = None
            numbers = self._numbers[shapes]
        return numbers

    def _look_up(self, keys: IntArray, size: int) -> IntArray:
        """(n,): rows; -1 for those that are missing."""
        if size <= DENSE:
            if self._direct is None or len(self._direct) != size:
                self._direct = np.full(size, -1, np.int32)
                self._direct[self._keys[: self._filled]] = np.arange(self._filled)
            return self._direct[keys]
        if self._order is None:
            self._order = np.argsort(self._keys[: self._filled], kind="stable")
        if not self._filled:
            return np.full(len(keys), -1, np.int64)
        ordered = self._keys[self._order]
        position = np.minimum(np.searchsorted(ordered, keys), self._filled - 1)
        return np.where(ordered[position] == keys, self._order[position], -1)

    def _add(self, keys: IntArray, missing: IntArray, count: Callable[[IntArray], Counted]) -> None:
        new, first = np.unique(keys[missing], return_index=True)
        counts, emitted = count(missing[first])
        end = self._filled + len(new)
        while end > len(self._keys):
            self._keys = np.concatenate([self._keys, np.empty_like(self._keys)])
            self.emitted = np.concatenate([self.emitted, np.empty_like(self.emitted)])
            self.counts = np.concatenate([self.counts, np.empty_like(self.counts)])
        rows = slice(self._filled, end)
        self._keys[rows], self.emitted[rows], self.counts[rows] = new, emitted, counts
        if self._direct is not None:
            self._direct[new] = np.arange(self._filled, end)
        self._filled, self._order = end, None
