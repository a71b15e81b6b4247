"""The candidates of a space that may be proposed: within the budget and not used yet, so that none is thrown back.

Uniform candidates come from one sequence, the same for the same seed: free draws, of which each is taken with a
probability inverse to how likely a free draw is to make it (so that every distinct candidate is as likely as any
other), counted many at once, and passed on where the budget admits them. A small space is enumerated instead, in a
random order. What is handed out depends on the sequence, on what is used and on the caller's generator alone, so that a
resumed search goes on as it would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from archsearch.space.many.columns import BoolArray, Column, FloatArray, IntArray
from archsearch.space.many.cost_table import Costs, by_name
from archsearch.space.many.counting import Counter
from archsearch.space.many.features import features
from archsearch.space.many.grid import Grid

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

SMALL = 60_000  # assignments up to which a space is enumerated
FIRST, LARGEST = 512, 1 << 16  # free draws in the first block, and in the largest
PATIENCE = 1 << 22  # free draws without a new candidate, before there are no more
SPARE = 4  # a draw takes its own from this many times as many
TYPICAL = 25  # candidates among which a typical one is sought
STEP = 128  # candidates by which what a draw takes from grows
FEW = 6  # neighbours by one choice, below which those by two are sought too,
PAIRS = 512  # and how many of these are counted
REACH = 8  # steps at most by which an ordered choice makes up for another


class Feasible:
    """The candidates of one space, in the sequence of one seed; D is the number of its columns. `also` may refuse more
    of what the budget admits, by its costs: (n,) truth values."""

    def __init__(self, space: SearchSpace, *, seed: int, budgeted: bool = True) -> None:
        self.grid = Grid(space.every_parameter)
        self.counter = Counter(self.grid, image=space.input, classes=space.classes)
        self.also: Callable[[Costs], BoolArray] | None = None
        self._space, self._seed, self._budgeted = space, seed, budgeted
        self._rows = np.empty((0, len(self.grid.columns)), np.int32)  # the sequence so far
        self._unused = np.empty(0, bool)
        self._indices: dict[bytes, int] = {}
        self._used: set[bytes] = set()
        self._drawn = self._blocks = self._tried = 0
        self._until = PATIENCE
        self._log_most = 0.0  # log of the largest inverse probability of a free draw that was seen
        self._is_enumerated = False
        self._neighbours: dict[bytes, IntArray] = {}
        everything = self.grid.everything(SMALL)
        if everything is not None:
            order = np.random.default_rng([seed, 0]).permutation(len(everything))
            self._tried = len(everything)
            self._append(self._admitted(everything[order]))
            self._is_enumerated = True

    @property
    def columns(self) -> Sequence[Column]:
        """The D choices."""
        return self.grid.columns

    @property
    def everything(self) -> IntArray | None:
        """All candidates of a small space, used ones too; None for a space that is not enumerated."""
        return self._rows if self._is_enumerated else None

    def __iter__(self) -> Iterator[IntArray]:
        """All candidates, used ones too, in the order of the sequence: uniform, each once, (D,). It is made longer as
        it is asked for, and ends where the space is used up or patience with it."""
        index = 0
        while True:
            if index == len(self._rows):
                self._extend(max(2 * index, SPARE))
                if index == len(self._rows):
                    return
            yield self._rows[index]
            index += 1

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """(<= count, D): uniform over the candidates that are left, each once; fewer where few are left or found."""
        length = self.prepare(count)
        (unused,) = np.nonzero(self._unused[:length])
        if self.also is not None and len(unused):
            unused = unused[self.also(self.costs(self._rows[unused]))]
        chosen: IntArray = self._rows[rng.choice(unused, min(count, len(unused)), replace=False)]
        return chosen

    def prepare(self, count: int = 1) -> int:
        """Makes the sequence as long as a draw of so many takes it, which lasts a second where a space is new; returns
        how much of it the draw looks at."""
        length = len(self._rows) if self._is_enumerated else -(-(len(self._used) + SPARE * count) // STEP) * STEP
        self._extend(length)
        return length

    def typical(self) -> IntArray | None:
        """(D,): of the first candidates of the sequence, used or not, that of median FLOPs; None: there are none."""
        self._extend(TYPICAL)
        rows = self._rows[:TYPICAL]
        if not len(rows):
            return None
        row: IntArray = rows[np.argsort(self.costs(rows)["flops"], kind="stable")[len(rows) // 2]]
        return row

    def neighbours(self, row: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        """(<= count, D): candidates that differ from `row` (D,) in one choice: the next value of an ordered one, any
        of another. Where the budget admits few of them, also those that differ in two: one such change, and a
        value of another choice that makes up for its FLOPs. What a choice activates is drawn, alike for each row."""
        key = np.ascontiguousarray(row, np.int32).tobytes()
        if key not in self._neighbours:
            self._neighbours[key] = self._near(np.asarray(row, np.int32))
        unused = self._only_unused(self._neighbours[key])
        chosen: IntArray = unused[rng.permutation(len(unused))[:count]]
        return chosen

    def admitted(self, codes: IntArray) -> IntArray:
        """(<= n, D): of n rows, (n, D), made canonical, those that may be proposed, each once, in their order."""
        seed = hashlib.sha256(np.ascontiguousarray(codes).tobytes()).digest()
        settled = self.grid.settle(codes, np.random.default_rng(list(seed)))
        _, first = np.unique(settled, axis=0, return_index=True)
        return self._only_unused(self._admitted(settled[np.sort(first)]))

    def costs(self, codes: IntArray) -> Costs:
        """Exact costs of any rows by name: params, flops, macs, activations, memory (bytes), each (n,)."""
        counts, _ = self.counter.count(codes)
        return by_name(self._space, counts)

    def features(self, codes: IntArray, names: Collection[str]) -> dict[str, FloatArray]:
        """What canonical rows, (n, D), have of these features, each (n,)."""
        return features(self.grid, codes, self.costs(codes), names)

    def use(self, row: Sequence[int] | IntArray) -> None:
        """The candidate is never handed out again."""
        key = np.asarray(row, np.int32).tobytes()
        self._used.add(key)
        if key in self._indices:
            self._unused[self._indices[key]] = False

    def is_used(self, row: Sequence[int] | IntArray) -> bool:
        """Whether the candidate is not to be handed out again."""
        return np.asarray(row, np.int32).tobytes() in self._used

    def release(self, row: Sequence[int] | IntArray) -> None:
        """The candidate may be handed out after all."""
        key = np.asarray(row, np.int32).tobytes()
        self._used.discard(key)
        if key in self._indices:
            self._unused[self._indices[key]] = True

    def share(self) -> tuple[int, int]:
        """Candidates in the sequence so far, and how many uniform draws (or enumerated assignments) they are of."""
        return len(self._rows), self._tried

    # ---- the sequence

    def _extend(self, length: int) -> None:
        """Blocks of free draws, until there are so many candidates. Several blocks are counted at once, since what is
        not in the tables yet is planned once for all of them."""
        while len(self._rows) < length and not self._is_enumerated and self._drawn < self._until:
            share = (len(self._rows) + 1) / (self._tried + 1)
            missing = min(1.1 * (length - len(self._rows)) / share, LARGEST)
            blocks: list[IntArray] = []
            while sum(map(len, blocks)) < missing and self._drawn < self._until:
                blocks.append(self._block())
            self._tried += sum(map(len, blocks))
            before = len(self._rows)
            self._append(self._admitted(np.concatenate(blocks)))
            if len(self._rows) > before:
                self._until = self._drawn + PATIENCE

    def _block(self) -> IntArray:
        """The next free draws, as many of each candidate as of any other."""
        size = min(FIRST << self._blocks, LARGEST)
        rng = np.random.default_rng([self._seed, 1, self._blocks])
        self._blocks, self._drawn = self._blocks + 1, self._drawn + size
        rows = self.grid.draw(size, rng)
        # With an unseen pattern of active choices the bound may rise: before that its rows were a little too rare.
        logs = self.grid.log_weights(rows)
        self._log_most = max(self._log_most, -float(self.grid.log_least(np.unique(rows >= 0, axis=0)).min()))
        block: IntArray = rows[np.log(rng.random(size)) < -logs - self._log_most]
        return block

    def _append(self, rows: IntArray) -> None:
        new = []
        for row in rows:
            key = row.tobytes()
            if key not in self._indices:
                self._indices[key] = len(self._indices)
                new.append(row)
        if new:
            self._rows = np.concatenate([self._rows, np.array(new, np.int32)])
            self._unused = np.append(self._unused, [row.tobytes() not in self._used for row in new])

    def _admitted(self, rows: IntArray) -> IntArray:
        counts, possible = self.counter.count(rows, chunk=len(rows))
        fits = possible
        if self._budgeted:
            fits = fits & self._space.budget.admits_many(by_name(self._space, counts))
        return np.ascontiguousarray(rows[fits], np.int32)

    def _only_unused(self, rows: IntArray) -> IntArray:
        unused = np.array([row.tobytes() not in self._used for row in rows], bool)
        if self.also is not None and unused.any():
            unused &= self.also(self.costs(rows))
        remaining: IntArray = rows[unused]
        return remaining

    def _near(self, row: IntArray) -> IntArray:
        """(n, D): the neighbours of a row, used ones too, each once; what is drawn for them is seeded by the row."""
        columns, codes, steps = self._changes(row)
        single = self._changed(row, columns[:, None], codes[:, None])
        near = self._admitted(np.unique(single[steps & (single != row).any(1)], axis=0))
        if not self._budgeted or len(near) >= min(FEW, steps.sum() / 2):
            return near
        # In different stages costs add up, so that the sum foretells which pairs the budget admits.
        before, after = self.costs(row[None]), self.costs(single)
        adds = np.sign(after["flops"] - before["flops"])
        first, second = np.nonzero(steps[:, None] & (adds[:, None] * adds < 0) & (columns[:, None] != columns))
        foretold = {name: cost[first] + cost[second] - before[name] for name, cost in after.items()}
        fits = np.flatnonzero(self._space.budget.admits_many(foretold))
        if len(fits) > PAIRS:
            fits = np.sort(_generator(row).choice(fits, PAIRS, replace=False))
        pairs = np.stack([first[fits], second[fits]], axis=1)
        double = self._changed(row, columns[pairs], codes[pairs])
        return self._admitted(np.unique(np.concatenate([near, double[(double != row).any(1)]]), axis=0))

    def _changes(self, row: IntArray) -> tuple[IntArray, IntArray, BoolArray]:
        """What may be changed of a row: columns, the code that each would get, and whether that is the next value of
        an ordered one, or any of another; (n,) each."""
        changes = []
        for number, column in enumerate(self.columns):
            code, count = int(row[number]), len(column.values)
            reach = REACH if column.ordered else count
            codes = range(max(code - reach, 0), min(code + reach + 1, count)) if code >= 0 else ()
            changes += [(number, new, not column.ordered or abs(new - code) == 1) for new in codes if new != code]
        table = np.array(changes, np.int32).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2] > 0

    def _changed(self, row: IntArray, columns: IntArray, codes: IntArray) -> IntArray:
        """(n, D), canonical: the row with codes of some columns changed, (n, changes) both."""
        rows = np.repeat(row[None], len(columns), axis=0)
        np.put_along_axis(rows, columns, codes, axis=1)
        return self.grid.settle(rows, _generator(row))


def _generator(row: IntArray) -> np.random.Generator:
    """The same for the same row."""
    return np.random.default_rng(list(hashlib.sha256(np.ascontiguousarray(row, np.int32).tobytes()).digest()))
