"""A table of counted parts, by key: what makes counting many candidates a matter of looking up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from archsearch.space.many.columns import IntArray

NAMES = ("params", "flops", "macs", "activations", "layers", "saved", "largest")
DENSE = 1 << 24  # keys up to which the table is indexed directly

Counted = tuple[IntArray, IntArray]  # (n, 7) counts as in NAMES; (n,) the shape that comes out, -1 for none


class CostTable:
    """Rows of counts, and of the shape that each part emits, by key; `count(rows)` plans missing ones."""

    def __init__(self) -> None:
        self.counts = np.empty((64, len(NAMES)), np.int64)
        self.after = np.empty(64, np.int64)
        self._keys = np.empty(64, np.int64)
        self._filled = 0
        self._direct: IntArray | None = None
        self._order: IntArray | None = None  # of the keys, where there are too many for a direct index

    def find(self, keys: IntArray, size: int, count: Callable[[IntArray], Counted]) -> IntArray:
        """(n,) each key's row in `counts` and `after`. Keys lie in 0 .. size - 1; missing ones are counted first."""
        found = self._look_up(keys, size)
        if (found < 0).any():
            self._add(keys, np.flatnonzero(found < 0), count)
            found = self._look_up(keys, size)
        return found

    def widen(self, room: int, wider: int) -> None:
        """Keys' last digit gets a larger radix."""
        self._keys = self._keys // room * wider + self._keys % room
        self._direct = self._order = None

    def _look_up(self, keys: IntArray, size: int) -> IntArray:
        """-1 for those that are missing."""
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
        place = np.minimum(np.searchsorted(ordered, keys), self._filled - 1)
        return np.where(ordered[place] == keys, self._order[place], -1)

    def _add(self, keys: IntArray, missing: IntArray, count: Callable[[IntArray], Counted]) -> None:
        new, first = np.unique(keys[missing], return_index=True)
        counts, after = count(missing[first])
        end = self._filled + len(new)
        while end > len(self._keys):
            self._keys = np.concatenate([self._keys, np.empty_like(self._keys)])
            self.after = np.concatenate([self.after, np.empty_like(self.after)])
            self.counts = np.concatenate([self.counts, np.empty_like(self.counts)])
        part = slice(self._filled, end)
        self._keys[part], self.after[part], self.counts[part] = new, after, counts
        if self._direct is not None:
            self._direct[new] = np.arange(self._filled, end)
        self._filled, self._order = end, None
