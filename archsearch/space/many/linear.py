"""The stages that RegNet's linear widths give, for many candidates at once (Radosavovic 2020, 3.3). NumPy alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsearch.architecture.block import Block
from archsearch.architecture.slots import bottleneck_channels
from archsearch.space.linear_widths import GROUP, LinearWidths
from archsearch.space.many.columns import BoolArray, FloatArray, IntArray
from archsearch.space.rules import Assignment

QUANTUM = 8  # widths are multiples of it
WIDEST = 8192  # a stage's width at most
CHUNK = 4096  # candidates at a time: each has a row of all its blocks


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of n candidates: how many, (n,); depths and widths, (n, most), 0 where there is no stage. Of a
    candidate with more stages than that, the first are given."""

    count: IntArray
    depths: IntArray
    widths: IntArray


def stages_of(depth: IntArray, initial: IntArray, slope: FloatArray, multiplier: FloatArray, *, most: int) -> Stages:
    """What linear widths, (n,) each, give."""
    number = len(depth)
    count, depths, widths = (np.zeros((number, *shape), np.int64) for shape in ((), (most,), (most,)))
    for start in range(0, number, CHUNK):
        rows = slice(start, start + CHUNK)
        blocks = np.arange(depth[rows].max())
        exists = blocks < depth[rows, None]
        first = initial[rows, None]
        power = np.round(np.log((first + slope[rows, None] * blocks) / first) / np.log(multiplier[rows, None]))
        width = (np.round(first * multiplier[rows, None] ** power / QUANTUM) * QUANTUM).astype(np.int64)
        begins = exists & (np.diff(width, axis=1, prepend=0) != 0)
        stage = np.cumsum(begins, axis=1) - 1
        count[rows] = begins.sum(axis=1)
        for index in range(most):
            of_stage = exists & (stage == index)
            depths[rows, index] = of_stage.sum(axis=1)
            widths[rows, index] = np.where(of_stage, width, 0).max(axis=1)
    return Stages(count=count, depths=depths, widths=widths)


def fitting_groups(width: IntArray, bottleneck_ratio: FloatArray, group_width: IntArray) -> IntArray:
    """(n,): the widths nearest to these whose bottleneck is a whole number of groups."""
    block = Block.model_construct(bottleneck_ratio=bottleneck_ratio, group_width=group_width)  # type: ignore[arg-type]
    inner: Any = bottleneck_channels(block, width)  # type: ignore[arg-type]
    fitted: IntArray = (inner[1] / bottleneck_ratio).astype(np.int64)
    return np.minimum(fitted, WIDEST)


def ways_by_stages(values: Mapping[str, Sequence[Any]], allowed: Collection[int]) -> dict[int, float]:
    """In how many ways these values, by the field of LinearWidths, give each number of stages that is allowed."""
    combined = np.meshgrid(*(np.array(values[name]) for name in LinearWidths.model_fields), indexing="ij")
    numbers = dict(zip(LinearWidths.model_fields, (array.ravel() for array in combined), strict=True))
    stages = stages_of(**numbers, most=max(allowed))
    count = stages.count[stages.widths.max(axis=1) <= WIDEST]
    return {number: int((count == number).sum()) for number in allowed}


class Derived:
    """The parameters that follow from the linear widths of n candidates: `stages`, `depth` and `width`.

    `possible`, (n,), is false for those whose number of stages is not among the `allowed` ones, or whose width is
    beyond what a stage may have.
    """

    def __init__(self, assignment: Assignment, allowed: Collection[int]) -> None:
        self._assignment = assignment
        numbers = {name: assignment.numbers(f"{GROUP}.{name}", 0) for name in LinearWidths.model_fields}
        self.stages = stages_of(**numbers, most=max(allowed))
        self.possible: BoolArray = np.isin(self.stages.count, list(allowed)) & (
            self.stages.widths.max(axis=1, initial=0) <= WIDEST
        )

    def depth(self, stage: int) -> IntArray:
        """(n,): blocks of a stage, 0 where it is not there."""
        depths: IntArray = self.stages.depths[:, stage]
        return depths

    def width(self, stage: int) -> IntArray:
        """(n,): a stage's width, in which the groups of its bottlenecks fit; 0 where it is not there."""
        width: IntArray = self.stages.widths[:, stage]
        group = self._assignment.numbers("group_width", stage)
        grouped = (width > 0) & (group > 0) & self._assignment.is_among("block", stage, ["bottleneck"])
        ratio = self._assignment.numbers("bottleneck_ratio", stage)
        return np.where(grouped, fitting_groups(width, ratio, np.maximum(group, 1)), width)
