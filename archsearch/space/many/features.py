"""What networks of different spaces have in common, in numbers: their costs and their parameters. NumPy alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from archsearch.space.choices import Scalar
from archsearch.space.many.columns import FloatArray, IntArray
from archsearch.space.many.grid import Grid

COSTS = ("params", "flops")
SPREAD = ", last less first"


def features(
    grid: Grid, codes: IntArray, costs: Mapping[str, IntArray], names: Collection[str] | None = None
) -> dict[str, FloatArray]:
    """Features of n canonical rows (n, D) by name, (n,) each: those of `names` that the grid has, or all.

    `params` and `flops` are logarithms to base 2. A parameter that is a number has its mean over the stages (`depth`),
    and by how much the last stage's exceeds the first's (`depth, last less first`); numbers of 1 and more as logarithms
    to base 2. Another has the share of the stages with each value (`block=basic`).
    """
    resolved, count = grid.resolve(codes), len(codes)
    last = resolved.stages - 1
    values = {name: np.log2(np.maximum(costs[name], 1)) for name in COSTS}
    parameters = None if names is None else {name.partition("=")[0].partition(",")[0] for name in names}
    for name, encoding in grid.encodings.items():
        if not encoding.parameter.term.of_network or (parameters is not None and name not in parameters):
            continue
        stages = range(resolved.most_stages if encoding.per_stage else 1)
        indices = np.array([resolved.index(name, stage) for stage in stages])
        present = np.array([last >= stage for stage in stages]) if encoding.per_stage else np.ones((1, count), bool)
        table = encoding.table
        if all(map(_is_number, table)):
            numbers = np.array(table, float)
            by_stage = (np.log2(numbers) if numbers.min() >= 1 else numbers)[indices]
            values[name] = (by_stage * present).sum(axis=0) / present.sum(axis=0)
            if len(stages) > 1:
                values[name + SPREAD] = by_stage[last, np.arange(count)] - by_stage[0]
        else:
            for index, value in enumerate(table):
                values[f"{name}={value}"] = ((indices == index) & present).sum(axis=0) / present.sum(axis=0)
    return values if names is None else {name: value for name, value in values.items() if name in names}


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
