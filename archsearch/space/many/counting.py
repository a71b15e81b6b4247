"""The exact costs of many candidates at once: each stage is planned once for all that agree in its parameters.

A network's cost is the sum of its sections': the stem, the stages, the head. What a section costs and emits depends on
few choices and on its input's shape, and stands in a `CostTable` by these. What a table lacks is planned by the grammar
itself (`stage_cost`), with arrays for widths, depths and channels. The rest is looking up and adding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import numpy as np

from archsearch.architecture.block import Block
from archsearch.architecture.cost import Cost, head_cost, stage_cost, stem_cost
from archsearch.architecture.plan import STEM_READS, contexts_of
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Head, Stage, Stem
from archsearch.reading.errors import InputError
from archsearch.space.linear_widths import GROUP
from archsearch.space.many.columns import BoolArray, IntArray
from archsearch.space.many.cost_table import NAMES, CostTable, Counted
from archsearch.space.many.grid import Grid
from archsearch.space.many.resolved import Resolved
from archsearch.space.parameters import vocabulary
from archsearch.space.resolution import SIZE, sides

ADDED = len(NAMES) - 1  # the last is combined by the maximum
_NOTHING = (0,) * len(NAMES)
ALONE = 6  # networks up to which plain numbers are quicker than arrays
PATHS = 4  # paths that may have to share the channels of a stage's input
CHUNK = 1 << 14  # candidates at a time: what one pass works on stays in the cache
ARRAYS = (  # numbers of a stage and its block that may be arrays
    "width", "depth", "growth_rate", "bottleneck_ratio", "cardinality", "group_width", "compression",
    "attention_reduction", "dense_bottleneck",
)  # fmt: skip


class Counter:
    """Counts the candidates of a grid, whose images are `image` (channels, height, width), or as high and wide as
    `data.size` has it, where that is a parameter.

    A shape that comes up is known by its index in `_shapes`. Sections count from 0, the stem, over the stages to the
    head, `most_stages + 1`.
    """

    def __init__(self, grid: Grid, *, image: tuple[int, int, int], classes: int) -> None:
        self.grid, self._classes = grid, classes
        self._size = grid.encodings.get(SIZE)
        table = [image[1:]] if self._size is None else map(sides, self._size.table)
        self._shapes = [Shape(image[0], *size) for size in table]  # at first the images', by their index in the table
        self._shape_indices = {shape: index for index, shape in enumerate(self._shapes)}
        self._tables = [CostTable() for _ in range(grid.most_stages + 2)]
        self._takes = [(section, self._columns_of(section)) for section in range(grid.most_stages + 2)]
        self._remembered: dict[Any, tuple[tuple[int, ...], int]] = {}
        encodings = grid.encodings
        self._of_stem = [name for name in encodings if name.startswith("stem.")]
        self._of_head = [name for name in encodings if name.startswith("head.")]
        self._of_stages = [name for name, e in encodings.items() if e.per_stage and len(e.table) > 1]

    def count(self, codes: IntArray, *, chunk: int = CHUNK) -> tuple[IntArray, BoolArray]:
        """(n, 8) counts in the order of NAMES, and whether each network is possible: (n,).

        `codes` are canonical rows. A network whose image runs out of pixels is not possible, nor is one whose linear
        widths give stages that the space does not allow; its counts say nothing.
        Where most sections are new yet, a `chunk` of all rows plans each kind of section once.
        """
        counts = np.zeros((len(codes), len(NAMES)), np.int64)
        possible = np.ones(len(codes), bool)
        for start in range(0, len(codes), max(chunk, 1)):
            part = slice(start, start + chunk)
            for section, rows, entries in self._walk(self.grid.resolve(codes[part]), possible[part]):
                _add(counts[part], rows, self._tables[section].counts, entries)
        return counts, possible

    def one(self, row: Sequence[int]) -> tuple[int, ...] | None:
        """The counts of one canonical row, from sections that are remembered; None where its image runs out."""
        # Written out: a loop over the counts would take twice as long as everything else.
        params = flops = macs = activations = layers = saved = image = largest = 0
        shape = self._image_of(row)
        remembered = self._remembered.get
        for section, take in self._takes:
            result = remembered((section, shape, take(row)))
            if result is None:
                return self._learn(row)
            (params1, flops1, macs1, activations1, layers1, saved1, image1, largest1), shape = result
            if shape < 0:
                return None
            params += params1
            flops += flops1
            macs += macs1
            activations += activations1
            layers += layers1
            saved += saved1
            image += image1
            if largest1 > largest:  # noqa: PLR1730
                largest = largest1
        return params, flops, macs, activations, layers, saved, image, largest

    def _learn(self, row: Sequence[int]) -> tuple[int, ...] | None:
        """The same, remembering the row's sections."""
        resolved = self.grid.resolve(np.array([row], np.int32))
        if not resolved.possible[0]:
            return None
        counts, possible = np.zeros((1, len(NAMES)), np.int64), np.ones(1, bool)
        shape = self._image_of(row)
        for section, rows, entries in self._walk(resolved, possible):
            table, result = self._tables[section], (_NOTHING, shape)
            if len(entries):
                result = tuple(table.counts[entries[0]].tolist()), int(table.emitted[entries[0]])
            self._remembered[section, shape, self._takes[section][1](row)] = result
            shape = result[1]
            _add(counts, rows, table.counts, entries)
        return tuple(counts[0].tolist()) if possible[0] else None

    def _walk(self, resolved: Resolved, possible: BoolArray) -> Iterator[tuple[int, Any, IntArray]]:
        """Each section, the rows of the batch that have it, and their entries in the section's table. Rows whose image
        runs out, or whose stages the space does not allow, leave `possible`."""
        possible &= resolved.possible
        shapes = np.zeros(len(possible), np.int64) if self._size is None else resolved.index(SIZE, 0).astype(np.int64)
        for section, table in enumerate(self._tables):
            stage, has_it = section - 1, possible
            if 0 <= stage < self.grid.most_stages:
                has_it = (resolved.stages > stage) & possible
            rows: Any = slice(None) if has_it.all() else np.flatnonzero(has_it)
            if section == 0:
                entries = self._find_stem(resolved, shapes, rows)
            elif stage < self.grid.most_stages:
                entries = self._find_stage(stage, resolved, shapes, rows)
            else:
                entries = self._find_head(resolved, shapes, rows)
            shapes[rows] = emitted = table.emitted[entries]
            possible[rows] &= emitted >= 0
            yield section, rows, entries

    # ---- the stem, and the head

    def _find_stem(self, resolved: Resolved, shapes: IntArray, rows: Any) -> IntArray:
        names = [*self._of_stem, *(name for name in STEM_READS if name in self.grid.encodings)]
        key, size = self._key(names, resolved, 0, rows)

        def counted(row: IntArray, x: Shape) -> tuple[Cost, Shape]:
            stem = Stem.model_construct(**self._fields(Stem, resolved, 0, row))
            return stem_cost(stem, Block.model_construct(**self._fields(Block, resolved, 0, row)), x)

        return self._tables[0].find(key, size, shapes[rows], self._one_by_one(counted, shapes, rows))

    def _find_head(self, resolved: Resolved, shapes: IntArray, rows: Any) -> IntArray:
        key, size = self._key(self._of_head, resolved, 0, rows)

        def counted(row: IntArray, x: Shape) -> tuple[Cost, Shape]:
            return head_cost(Head.model_construct(**self._fields(Head, resolved, 0, row)), self._classes, x)

        return self._tables[-1].find(key, size, shapes[rows], self._one_by_one(counted, shapes, rows))

    def _one_by_one(
        self, counted: Callable[[IntArray, Shape], tuple[Cost, Shape]], shapes: IntArray, rows: Any
    ) -> Callable[[IntArray], Counted]:
        """Counts what a table lacks, given what one row of the batch costs and emits for an input of a shape."""
        batch = np.arange(len(shapes))[rows]

        def count(missing: IntArray) -> Counted:
            counts, emitted = np.zeros((len(missing), len(NAMES)), np.int64), np.full(len(missing), -1, np.int64)
            for number, row in enumerate(batch[missing]):
                with suppress(InputError):
                    cost, shape = counted(np.array([row]), self._shapes[shapes[row]])
                    counts[number], emitted[number] = _counts(cost), self._shape_index(shape)
            return counts, emitted

        return count

    # ---- stages

    def _find_stage(self, stage: int, resolved: Resolved, shapes: IntArray, rows: Any) -> IntArray:
        key, size = self._key(self._of_stages, resolved, stage, rows)
        stem, radix = self._key(self._of_stem if stage == 0 else (), resolved, 0, rows)
        key, size = key * radix + stem, size * radix
        if stage + 1 < self.grid.most_stages:
            following, radix = self._key(["activation"], resolved, stage + 1, rows)
            is_last = resolved.stages[rows] == stage + 1
            key, size = key * (radix + 1) + np.where(is_last, radix, following), size * (radix + 1)
        batch = np.arange(len(shapes))[rows]
        return self._tables[stage + 1].find(
            key, size, shapes[rows], lambda missing: self._count_stages(stage, resolved, shapes, batch[missing])
        )

    def _count_stages(self, stage: int, resolved: Resolved, shapes: IntArray, rows: IntArray) -> Counted:
        """Plans the stages of these rows: all at once that agree in everything but widths, channels and depth."""
        counts, emitted = np.zeros((len(rows), len(NAMES)), np.int64), np.full(len(rows), -1, np.int64)
        inputs = np.array([self._shapes[index] for index in shapes[rows]], np.int64)
        widths = resolved.numbers("width", stage, rows)
        columns = [resolved.index(name, stage)[rows] for name in self._of_stages if not self._is_array(name)]
        columns += [resolved.index(name, 0)[rows] for name in (self._of_stem if stage == 0 else ())]
        columns += [self._following(stage, resolved, rows), inputs[:, 1], inputs[:, 2], inputs[:, 0] == widths]
        columns += [resolved.numbers("growth_rate", stage, rows) == 0, np.minimum(inputs[:, 0], PATHS)]
        _, labels = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
        for group in _groups(labels.ravel(), alone=ALONE):
            with suppress(InputError):
                cost, shape = self._plan(stage, resolved, rows[group], inputs[group])
                counts[group] = np.stack([np.broadcast_to(count, len(group)) for count in _counts(cost)], 1)
                channels, inverse = np.unique(np.broadcast_to(shape.channels, len(group)), return_inverse=True)
                indices = [self._shape_index(shape._replace(channels=int(number))) for number in channels]
                emitted[group] = np.array(indices)[inverse]
        return counts, emitted

    def _plan(self, stage: int, resolved: Resolved, rows: IntArray, inputs: IntArray) -> tuple[Cost, Shape]:
        """What the stage of these rows costs and emits, which differ in numbers alone; `inputs` are (n, 3) shapes.
        Raises InputError where the image runs out."""
        block = Block.model_construct(**self._fields(Block, resolved, stage, rows))
        planned = Stage.model_construct(**self._fields(Stage, resolved, stage, rows), block=block)
        stages = range(int(resolved.stages[rows[0]]))
        activations = tuple(self._value("activation", resolved, index, rows[0]) for index in stages)
        stem = Stem.model_construct(**self._fields(Stem, resolved, 0, rows[:1]))
        context = contexts_of(activations, stem)[stage]
        channels: Any = inputs[:, 0] if len(rows) > 1 else int(inputs[0, 0])
        return stage_cost(planned, context, Shape(channels, int(inputs[0, 1]), int(inputs[0, 2])))

    def _following(self, stage: int, resolved: Resolved, rows: IntArray) -> IntArray:
        """The next stage's activation as an index in its table, -1 after the last; where it does not vary, whether this
        stage is the last."""
        is_last: BoolArray = resolved.stages[rows] == stage + 1
        if stage + 1 >= self.grid.most_stages or "activation" not in self.grid.encodings:
            return is_last.astype(np.int64)
        return np.where(is_last, -1, resolved.index("activation", stage + 1)[rows])

    # ---- values and keys

    def _is_array(self, name: str) -> bool:
        """Whether stages that differ in this parameter are planned at once: all of its values are numbers."""
        return name in ARRAYS and None not in self.grid.encodings[name].table

    def _value(self, name: str, resolved: Resolved, stage: int, row: int) -> Any:
        if name not in self.grid.encodings:
            return vocabulary()[name].default(stage)
        return self.grid.encodings[name].table[resolved.index(name, stage)[row]]

    def _fields(self, model: type, resolved: Resolved, stage: int, rows: IntArray) -> dict[str, Any]:
        """The fields of a Stage, Block, Stem or Head: numbers as arrays, one a row; others as the first row has them,
        and all rows with it."""
        fields: dict[str, Any] = {"stride": vocabulary()["stride"].default(stage)} if model is Stage else {}
        for name, encoding in self.grid.encodings.items():
            term = encoding.parameter.term
            if term.owner is model:
                is_array = self._is_array(name) and len(encoding.table) > 1 and len(rows) > 1
                fields[term.field] = (
                    resolved.numbers(name, stage, rows) if is_array else self._value(name, resolved, stage, rows[0])
                )
        return fields

    def _columns_of(self, section: int) -> Callable[[Sequence[int]], Any]:
        """Takes from a row the codes that a section depends on."""
        encodings = self.grid.encodings
        named = {name for encoding in encodings.values() for name, _ in encoding.parameter.conditions}
        columns: list[int] = []
        for name, encoding in encodings.items():
            if not encoding.parameter.term.of_network:
                continue
            stages = [section - 1, *([section] if name == "activation" else ())] if section else [0]
            if encoding.parameter.is_first_width:
                columns += encodings["width"].columns[:1]
            elif encoding.by_stage:
                columns += [encoding.columns[stage] for stage in stages if stage < len(encoding.columns)]
            elif encoding.per_stage or name in named or name.split(".")[0] in ("stages", "stem", "head", GROUP):
                columns += encoding.columns
        return itemgetter(*columns) if columns else lambda _: ()

    def _key(self, names: Sequence[str], resolved: Resolved, stage: int, rows: Any) -> tuple[IntArray, int]:
        """(n,): these parameters' indices as one number each, and how many numbers there can be."""
        key: IntArray = np.zeros(len(resolved.stages[rows]), np.int64)
        size = 1
        for name in names:
            if name in self.grid.encodings and (radix := len(self.grid.encodings[name].table)) > 1:
                key = key * radix + resolved.index(name, stage)[rows]
                size *= radix
        return key, size

    def _image_of(self, row: Sequence[int]) -> int:
        """The index of the shape of a row's images."""
        if self._size is None or not self._size.columns:
            return 0
        code = row[self._size.columns[0]]
        return code if code >= 0 else self._size.defaults[0]

    def _shape_index(self, shape: Shape) -> int:
        index = self._shape_indices.setdefault(shape, len(self._shapes))
        if index == len(self._shapes):
            self._shapes.append(shape)
        return index


def _counts(cost: Cost) -> tuple[int, ...]:
    return (
        cost.params, cost.flops, cost.macs, cost.activations, cost.layers, cost.saved, cost.image, cost.largest,
    )  # fmt: skip


def _add(counts: IntArray, rows: Any, table: IntArray, entries: IntArray) -> None:
    """Adds entries of a table to the rows of `counts`; of the last count the larger stays."""
    sums = table.take(entries, axis=0)
    before = counts[rows]
    largest = np.maximum(before[:, ADDED], sums[:, ADDED])
    sums += before
    sums[:, ADDED] = largest
    counts[rows] = sums


def _groups(labels: IntArray, *, alone: int) -> Iterator[IntArray]:
    """Indices of equal labels together; those of groups of `alone` or fewer one by one."""
    order = np.argsort(labels, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        yield from np.split(group, len(group)) if len(group) <= alone else (group,)
