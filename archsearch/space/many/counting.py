"""The exact costs of many candidates at once: each stage is planned once for all that agree in its words.

A network's cost is the sum of its parts', and a part depends on few choices. A `CostTable` has them by key (the
choices that it depends on, and its input's shape) -> its counts and what it emits. What a table lacks is planned by the
grammar itself (`stage_cost`), with arrays for widths, depths and channels. The rest is looking up and adding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from archsearch.architecture.cost import Cost, stage_cost, total
from archsearch.architecture.plan import contexts_of, head_ops, stem_ops
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Block, Head, Stage, Stem
from archsearch.reading.errors import InputError
from archsearch.space.many.columns import BoolArray, IntArray
from archsearch.space.many.cost_table import NAMES, CostTable, Counted
from archsearch.space.many.grid import Grid, Resolved
from archsearch.space.parameters import vocabulary

ADDED = len(NAMES) - 1  # the last is combined by the maximum
_NOTHING = (0,) * len(NAMES)
ALONE = 6  # networks up to which plain numbers are quicker than arrays
CHUNK = 1 << 14  # candidates at a time: what one pass works on stays in the cache
ARRAYS = (  # numbers of a stage and its block that may be arrays
    "width", "depth", "growth_rate", "bottleneck_ratio", "cardinality", "compression", "attention_reduction",
    "dense_bottleneck",
)  # fmt: skip


class Counter:
    """Counts the candidates of a grid, whose images are `image` (channels, height, width)."""

    def __init__(self, grid: Grid, *, image: tuple[int, int, int], classes: int) -> None:
        self.grid, self._image, self._classes = grid, image, classes
        self._shapes: list[Shape] = []
        self._places: dict[Shape, int] = {}
        self._stem, self._head = CostTable(), CostTable()
        self._stages = [CostTable() for _ in range(grid.most_stages)]
        # The shapes that a stage (or the head, last) has met, by number, and how many its keys have room for.
        self._met: list[IntArray] = [np.full(1, -1, np.int64) for _ in range(grid.most_stages + 1)]
        self._rooms = [4] * (grid.most_stages + 1)
        self._takes = [(number, self._columns_of(number)) for number in range(grid.most_stages + 2)]
        self._remembered: dict[Any, tuple[tuple[int, ...], int]] = {}
        parts = grid.encodings
        self._stem_words = [name for name in parts if name.startswith("stem.")]
        self._head_words = [name for name in parts if name.startswith("head.")]
        self._stage_words = [name for name in parts if parts[name].per_stage and len(parts[name].table) > 1]

    def count(self, codes: IntArray, *, chunk: int = CHUNK) -> tuple[IntArray, BoolArray]:
        """(n, 7) counts in the order of NAMES, and whether each network is possible: (n,).

        `codes` are canonical rows. A network whose image runs out of pixels is not possible; its counts say nothing.
        Where most parts are new yet, a `chunk` of all rows plans each kind of part once.
        """
        counts = np.zeros((len(codes), len(NAMES)), np.int64)
        possible = np.ones(len(codes), bool)
        for start in range(0, len(codes), max(chunk, 1)):
            part = slice(start, start + chunk)
            for _, parts, rows, slots in self._walk(self.grid.resolve(codes[part]), possible[part]):
                _add(counts[part], rows, parts.counts, slots)
        return counts, possible

    def one(self, row: Sequence[int]) -> tuple[int, ...] | None:
        """The counts of one canonical row, from parts that are remembered; None where its image runs out."""
        # Written out: a loop over the counts would take twice as long as all the rest.
        params = flops = macs = activations = layers = saved = largest = state = 0
        known = self._remembered.get
        for number, take in self._takes:
            found = known((number, state, take(row)))
            if found is None:
                return self._learn(row)
            (params1, flops1, macs1, activations1, layers1, saved1, largest1), state = found
            if state < 0:
                return None
            params += params1
            flops += flops1
            macs += macs1
            activations += activations1
            layers += layers1
            saved += saved1
            if largest1 > largest:  # noqa: PLR1730
                largest = largest1
        return params, flops, macs, activations, layers, saved, largest

    def _learn(self, row: Sequence[int]) -> tuple[int, ...] | None:
        codes, state = np.array([row], np.int32), 0
        counts, possible = np.zeros((1, len(NAMES)), np.int64), np.ones(1, bool)
        resolved = self.grid.resolve(codes)
        for number, parts, rows, slots in self._walk(resolved, possible):
            there = len(slots) > 0
            found = tuple(parts.counts[slots[0]].tolist()) if there else _NOTHING
            after = int(parts.after[slots[0]]) if there else state
            self._remembered[number, state, self._takes[number][1](row)] = found, after
            state = after
            _add(counts, rows, parts.counts, slots)
        return tuple(counts[0].tolist()) if possible[0] else None

    def _walk(self, resolved: Resolved, possible: BoolArray) -> Iterator[tuple[int, CostTable, Any, IntArray]]:
        """Stem, stages and head: the part's number, its table, the rows of the batch that have it, and where they
        stand in the table. Rows whose image runs out leave `possible`."""
        slots = self._find_stem(resolved)
        state = self._stem.after[slots]
        possible &= state >= 0
        yield 0, self._stem, slice(None), slots
        for stage, parts in enumerate(self._stages):
            there = (resolved.stages > stage) & possible
            rows: Any = slice(None) if there.all() else np.flatnonzero(there)
            slots = self._find_stage(stage, resolved, state, rows)
            state[rows] = after = parts.after[slots]
            possible[rows] &= after >= 0
            yield stage + 1, parts, rows, slots
        rows = slice(None) if possible.all() else np.flatnonzero(possible)
        slots = self._find_head(resolved, state, rows)
        possible[rows] &= self._head.after[slots] >= 0
        yield self.grid.most_stages + 1, self._head, rows, slots

    # ---- the stem, and the head

    def _find_stem(self, resolved: Resolved) -> IntArray:
        names = [*self._stem_words, *(name for name in ("norm", "activation") if name in self.grid.encodings)]
        key, size = self._key(names, resolved, 0, slice(None))

        def count(rows: IntArray) -> Counted:
            found = []
            for row in rows:
                stem = Stem.model_construct(**self._fields(Stem, resolved, 0, np.array([row])))
                found.append(self._part(stem_ops(stem, self._block(resolved, 0, row)), Shape(*self._image)))
            return _stacked(found)

        return self._stem.find(key, size, count)

    def _find_head(self, resolved: Resolved, state: IntArray, rows: Any) -> IntArray:
        key, size = self._key(self._head_words, resolved, 0, rows)
        every = np.arange(len(state))[rows]

        def count(fresh: IntArray) -> Counted:
            found = []
            for row in every[fresh]:
                head = Head.model_construct(**self._fields(Head, resolved, 0, np.array([row])))
                found.append(self._part(head_ops(head, self._classes), self._shapes[state[row]]))
            return _stacked(found)

        shape, room = self._local(self.grid.most_stages, self._head, state[rows])
        return self._head.find(key * room + shape, size * room, count)

    def _local(self, number: int, parts: CostTable, state: IntArray) -> tuple[IntArray, int]:
        """Shapes by the numbers that a part's keys have for them, and how many numbers there is room for."""
        met = self._met[number]
        if len(met) < len(self._shapes):
            met = self._met[number] = np.append(met, np.full(len(self._shapes) - len(met), -1))
        found = met[state]
        if (found < 0).any():
            fresh = np.unique(state[found < 0])
            met[fresh] = np.arange(met.max() + 1, met.max() + 1 + len(fresh))
            room = self._rooms[number]
            while met.max() >= self._rooms[number]:
                self._rooms[number] *= 2
            if self._rooms[number] != room:
                parts.widen(room, self._rooms[number])
            found = met[state]
        return found, self._rooms[number]

    def _part(self, ops: Any, x: Shape) -> tuple[tuple[int, ...], int]:
        try:
            return _named(total(ops, x)), self._place(ops.shape(x))
        except InputError:
            return _NOTHING, -1

    # ---- stages

    def _find_stage(self, stage: int, resolved: Resolved, state: IntArray, rows: Any) -> IntArray:
        """Rows of the stage's table for these rows of the batch."""
        key, size = self._key(self._stage_words, resolved, stage, rows)
        surroundings = [*(self._stem_words if stage == 0 else ())]
        around, room = self._key(surroundings, resolved, 0, rows)
        key, size = key * room + around, size * room
        if stage + 1 < self.grid.most_stages:
            following, room = self._key(["activation"], resolved, stage + 1, rows)
            last = resolved.stages[rows] == stage + 1
            key, size = key * (room + 1) + np.where(last, room, following), size * (room + 1)
        parts = self._stages[stage]
        shape, room = self._local(stage, parts, state[rows])
        every = np.arange(len(state))[rows]
        return parts.find(
            key * room + shape, size * room, lambda fresh: self._count_stages(stage, resolved, state, every[fresh])
        )

    def _count_stages(self, stage: int, resolved: Resolved, state: IntArray, rows: IntArray) -> Counted:
        """Plans the stages of these rows: all at once that agree in everything but widths, channels and depth."""
        counts, after = np.zeros((len(rows), len(NAMES)), np.int64), np.full(len(rows), -1, np.int64)
        shapes = np.array([self._shapes[place] for place in state[rows]], np.int64)
        widths = self._numbers("width", resolved, stage, rows)
        columns = [resolved.index(name, stage)[rows] for name in self._stage_words if name not in ARRAYS]
        columns += [resolved.index(name, 0)[rows] for name in (self._stem_words if stage == 0 else ())]
        columns += [self._following(stage, resolved, rows), shapes[:, 1], shapes[:, 2], shapes[:, 0] == widths]
        columns += [self._numbers("growth_rate", resolved, stage, rows) == 0]
        _, which = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
        for group in _groups(which.ravel(), alone=ALONE):
            found = self._plan(stage, resolved, rows[group], shapes[group])
            if found is not None:
                counts[group] = np.stack([np.broadcast_to(c, len(group)) for c in _named(found[0])], 1)
                channels, place = np.unique(np.broadcast_to(found[1].channels, len(group)), return_inverse=True)
                after[group] = np.array([self._place(found[1]._replace(channels=int(c))) for c in channels])[place]
        return counts, after

    def _plan(self, stage: int, resolved: Resolved, rows: IntArray, shapes: IntArray) -> tuple[Cost, Shape] | None:
        """What these rows' stage costs, which differ in numbers alone; None where the image runs out."""
        stages = int(resolved.stages[rows[0]])
        words = self._fields(Stage, resolved, stage, rows)
        block = Block.model_construct(**self._fields(Block, resolved, stage, rows))
        made = Stage.model_construct(**words, block=block)
        activations = [self._value("activation", resolved, i, rows[0]) for i in range(stages)]
        stem = Stem.model_construct(**self._fields(Stem, resolved, 0, rows[:1]))
        context = contexts_of(tuple(activations), norm=stem.norm, preactivates=stem.preactivates)[stage]
        try:
            channels: Any = shapes[:, 0] if len(rows) > 1 else int(shapes[0, 0])
            return stage_cost(made, context, Shape(channels, int(shapes[0, 1]), int(shapes[0, 2])))
        except InputError:
            return None

    def _following(self, stage: int, resolved: Resolved, rows: IntArray) -> IntArray:
        if stage + 1 >= self.grid.most_stages or "activation" not in self.grid.encodings:
            last: IntArray = (resolved.stages[rows] == stage + 1).astype(np.int64)
            return last
        return np.where(resolved.stages[rows] == stage + 1, -1, resolved.index("activation", stage + 1)[rows])

    # ---- words and keys

    def _numbers(self, name: str, resolved: Resolved, stage: int, rows: IntArray) -> IntArray:
        """A word's values, which are numbers: one a row."""
        if name not in self.grid.encodings:
            return np.full(len(rows), vocabulary()[name].default(stage))
        return np.array(self.grid.encodings[name].table)[resolved.index(name, stage)[rows]]

    def _value(self, name: str, resolved: Resolved, stage: int, row: int) -> Any:
        if name not in self.grid.encodings:
            return vocabulary()[name].default(stage)
        return self.grid.encodings[name].table[resolved.index(name, stage)[row]]

    def _fields(self, owner: Any, resolved: Resolved, stage: int, rows: IntArray) -> dict[str, Any]:
        """Of a stage or a block: numbers as arrays, one a row; of other words the first row's, which is all rows'."""
        found: dict[str, Any] = {"stride": vocabulary()["stride"].default(stage)} if owner is Stage else {}
        for name, part in self.grid.encodings.items():
            if part.parameter.term.owner is owner:
                several = name in ARRAYS and len(part.table) > 1 and len(rows) > 1
                found[part.parameter.term.field] = (
                    self._numbers(name, resolved, stage, rows)
                    if several
                    else self._value(name, resolved, stage, rows[0])
                )
        return found

    def _block(self, resolved: Resolved, stage: int, row: int) -> Block:
        return Block.model_construct(**self._fields(Block, resolved, stage, np.array([row])))

    def _columns_of(self, number: int) -> Callable[[Sequence[int]], Any]:
        """Takes from a row the codes that a part depends on; parts count from 0, the stem, to the head."""
        named = {name for part in self.grid.encodings.values() for name, _ in part.parameter.conditions}
        columns: list[int] = []
        for name, part in self.grid.encodings.items():
            if not part.parameter.term.of_network:
                continue
            stages = [number - 1, *([number] if name == "activation" else ())] if number else [0]
            if len(part.columns) > 1:
                columns += [part.columns[stage] for stage in stages if stage < len(part.columns)]
            elif part.per_stage or name in named or name.split(".")[0] in ("stages", "stem", "head"):
                columns += part.columns
        return itemgetter(*columns) if columns else lambda _: ()

    def _key(self, names: Sequence[str], resolved: Resolved, stage: int, rows: Any) -> tuple[IntArray, int]:
        """These words' places as one number each, and how many numbers there can be."""
        key: IntArray = np.zeros(len(resolved.stages[rows]), np.int64)
        size = 1
        for name in names:
            if name in self.grid.encodings and (radix := len(self.grid.encodings[name].table)) > 1:
                key = key * radix + resolved.index(name, stage)[rows]
                size *= radix
        return key, size

    def _place(self, shape: Shape) -> int:
        found = self._places.get(shape)
        if found is None:
            found = self._places[shape] = len(self._shapes)
            self._shapes.append(shape)
        return found


def _named(cost: Cost) -> tuple[int, ...]:
    return cost.params, cost.flops, cost.macs, cost.activations, cost.layers, cost.saved, cost.largest


def _add(counts: IntArray, rows: Any, table: IntArray, slots: IntArray) -> None:
    more = table.take(slots, axis=0)
    before = counts[rows]
    largest = np.maximum(before[:, ADDED], more[:, ADDED])
    more += before
    more[:, ADDED] = largest
    counts[rows] = more


def _stacked(found: list[tuple[tuple[int, ...], int]]) -> Counted:
    return np.array([counts for counts, _ in found], np.int64), np.array([after for _, after in found], np.int64)


def _groups(which: IntArray, *, alone: int) -> Iterator[IntArray]:
    """Places of equal numbers together; those of groups of `alone` or fewer one by one."""
    order = np.argsort(which, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(which[order])) + 1):
        yield from np.split(group, len(group)) if len(group) <= alone else (group,)
