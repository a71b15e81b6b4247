"""The candidates of a space that may be proposed: in budget and not used yet. Nothing is asked and thrown back.

Uniform candidates come from one sequence, the same for the same seed: free draws, of which each is taken with a
probability inverse to how likely a free draw is to make it (so that every distinct candidate is as likely as any
other), counted many at once, and kept where the budget admits them. A small space is enumerated instead, in a
random order. What is handed out depends on the sequence, on what is used and on the caller's generator alone, so that a
resumed search goes on as it would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from archsearch.space.many.columns import BoolArray, Column, IntArray
from archsearch.space.many.cost_table import NAMES
from archsearch.space.many.counting import Counter
from archsearch.space.many.grid import Grid

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

Costs = dict[str, IntArray]
SMALL = 60_000  # assignments up to which a space is enumerated
FIRST, LARGEST = 512, 1 << 16  # free draws in the first block, and in the largest
PATIENCE = 1 << 22  # free draws without a new candidate, before there are no more
SPARE = 4  # a draw takes its own from this many times as many
TYPICAL = 25  # candidates among which a typical one is sought
STEP = 128  # candidates by which what a draw takes from grows


class Feasible:
    """`also` may refuse more of what the budget admits, by its costs: (n,) truth values."""

    def __init__(self, space: SearchSpace, *, seed: int, budgeted: bool = True) -> None:
        self.grid = Grid(space.every_parameter)
        self.counter = Counter(self.grid, image=space.input, classes=space.classes)
        self.also: Callable[[Costs], BoolArray] | None = None
        self._space, self._seed, self._budgeted = space, seed, budgeted
        self._rows = np.empty((0, len(self.grid.columns)), np.int32)  # the sequence so far
        self._left = np.empty(0, bool)
        self._place: dict[bytes, int] = {}
        self._used: set[bytes] = set()
        self._drawn = self._blocks = self._tried = 0
        self._until = PATIENCE
        self._log_most = 0.0  # log of the largest inverse probability of a free draw that was seen
        self._whole = False
        self._near: dict[bytes, IntArray] = {}
        everything = self.grid.everything(SMALL)
        if everything is not None:
            order = np.random.default_rng([seed, 0]).permutation(len(everything))
            self._tried = len(everything)
            self._append(self._admitted(everything[order]))
            self._whole = True

    @property
    def columns(self) -> Sequence[Column]:
        """The D choices."""
        return self.grid.columns

    @property
    def everything(self) -> IntArray | None:
        """All candidates of a small space, used ones too; None for a space that is not enumerated."""
        return self._rows if self._whole else None

    def __iter__(self) -> Iterator[IntArray]:
        """All candidates, used ones too, in the order of the sequence: uniform, each once, (D,). It is made longer as
        it is asked for, and ends where the space is used up or patience with it."""
        place = 0
        while True:
            if place == len(self._rows):
                self._extend(max(2 * place, SPARE))
                if place == len(self._rows):
                    return
            yield self._rows[place]
            place += 1

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """(<= count, D): uniform over the candidates that are left, each once; fewer where few are left or found."""
        wanted = self.prepare(count)
        (left,) = np.nonzero(self._left[:wanted])
        if self.also is not None and len(left):
            left = left[self.also(self.costs(self._rows[left]))]
        chosen: IntArray = self._rows[rng.choice(left, min(count, len(left)), replace=False)]
        return chosen

    def prepare(self, count: int = 1) -> int:
        """Makes the sequence as long as a draw of so many takes it, which lasts a second where a space is new; how much
        of it that is."""
        wanted = len(self._rows) if self._whole else -(-(len(self._used) + SPARE * count) // STEP) * STEP
        self._extend(wanted)
        return wanted

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
        of another. What that choice makes active is drawn, for each row always alike."""
        key = np.ascontiguousarray(row, np.int32).tobytes()
        if key not in self._near:
            self._near[key] = self._admitted(self._changed(np.asarray(row, np.int32), key))
        found = self._fresh(self._near[key])
        chosen: IntArray = found[rng.permutation(len(found))[:count]]
        return chosen

    def admitted(self, codes: IntArray) -> IntArray:
        """(<= n, D): those of n wished-for rows, made canonical, that may be proposed, each once, in their order."""
        seed = hashlib.sha256(np.ascontiguousarray(codes).tobytes()).digest()
        settled = self.grid.settle(codes, np.random.default_rng(list(seed)))
        _, first = np.unique(settled, axis=0, return_index=True)
        return self._fresh(self._admitted(settled[np.sort(first)]))

    def costs(self, codes: IntArray) -> Costs:
        """Exact costs of any rows by name: params, flops, macs, activations, memory (bytes), each (n,)."""
        counts, _ = self.counter.count(codes)
        return self._named(counts)

    def use(self, row: Sequence[int] | IntArray) -> None:
        """The candidate is never handed out again."""
        key = np.asarray(row, np.int32).tobytes()
        self._used.add(key)
        if key in self._place:
            self._left[self._place[key]] = False

    def release(self, row: Sequence[int] | IntArray) -> None:
        """The candidate may be handed out after all."""
        key = np.asarray(row, np.int32).tobytes()
        self._used.discard(key)
        if key in self._place:
            self._left[self._place[key]] = True

    def share(self) -> tuple[int, int]:
        """Candidates in the sequence so far, and how many uniform draws (or enumerated assignments) they are of."""
        return len(self._rows), self._tried

    # ---- the sequence

    def _extend(self, wanted: int) -> None:
        """Blocks of free draws, until there are as many candidates as wanted. Several blocks are counted at once, since
        what is not in the tables yet is planned once for all of them."""
        while len(self._rows) < wanted and not self._whole and self._drawn < self._until:
            share = (len(self._rows) + 1) / (self._tried + 1)
            missing = min(1.1 * (wanted - len(self._rows)) / share, LARGEST)
            taken: list[IntArray] = []
            while sum(map(len, taken)) < missing and self._drawn < self._until:
                taken.append(self._block())
            self._tried += sum(map(len, taken))
            before = len(self._rows)
            self._append(self._admitted(np.concatenate(taken)))
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
        taken: IntArray = rows[np.log(rng.random(size)) < -logs - self._log_most]
        return taken

    def _append(self, rows: IntArray) -> None:
        fresh = []
        for row in rows:
            key = row.tobytes()
            if key not in self._place:
                self._place[key] = len(self._place)
                fresh.append(row)
        if fresh:
            self._rows = np.concatenate([self._rows, np.array(fresh, np.int32)])
            self._left = np.append(self._left, [row.tobytes() not in self._used for row in fresh])

    def _admitted(self, rows: IntArray) -> IntArray:
        counts, possible = self.counter.count(rows, chunk=len(rows))
        fits = possible
        if self._budgeted:
            fits = fits & self._space.budget.admits_many(self._named(counts))
        return np.ascontiguousarray(rows[fits], np.int32)

    def _fresh(self, rows: IntArray) -> IntArray:
        fresh = np.array([row.tobytes() not in self._used for row in rows], bool)
        if self.also is not None and fresh.any():
            fresh &= self.also(self.costs(rows))
        found: IntArray = rows[fresh]
        return found

    def _changed(self, row: IntArray, key: bytes) -> IntArray:
        changed = []
        for number, column in enumerate(self.columns):
            own = int(row[number])
            if own < 0:
                continue
            near = (own - 1, own + 1) if column.ordered else range(len(column.values))
            changed += [(number, code) for code in near if 0 <= code < len(column.values) and code != own]
        if not changed:
            return row[None][:0]
        rows = np.repeat(row[None], len(changed), axis=0)
        numbers, codes = np.array(changed).T
        rows[np.arange(len(rows)), numbers] = codes
        settled = self.grid.settle(rows, np.random.default_rng(list(hashlib.sha256(key).digest())))
        settled = np.unique(settled, axis=0)
        found: IntArray = settled[(settled != row).any(1)]
        return found

    def _named(self, counts: IntArray) -> Costs:
        named: dict[str, IntArray] = dict(zip(NAMES, counts.T, strict=True))
        memory = self._space.training_bytes(named["params"], named.pop("saved"), named.pop("largest"))  # type: ignore[arg-type]
        return {**named, "memory": np.asarray(memory)}
