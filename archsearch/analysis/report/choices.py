"""The trials' choices as columns: what importance, ranges and the narrower space are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.experiment import Trial
from archsearch.experiment.records import Scalar
from archsearch.space.many.columns import FloatArray, IntArray

ABSENT = -1


@dataclass(frozen=True, kw_only=True)
class Column:
    """One choice of n trials: `codes` (n,) are indices into `levels`, ABSENT where a trial does not have the choice."""

    name: str
    levels: tuple[Scalar, ...]
    ordered: bool
    codes: IntArray

    @property
    def parameter(self) -> str:
        """The parameter of the file: depth for stage2.depth."""
        head, dot, tail = self.name.partition(".")
        return tail if dot and head.startswith("stage") and head[5:].isdigit() else self.name

    @property
    def varies(self) -> bool:
        """Whether two trials differ in it."""
        return len(np.unique(self.codes)) > 1


def columns(trials: Sequence[Trial]) -> list[Column]:
    """Every choice that one of the trials has, in the order in which they are made."""
    names = dict.fromkeys(name for trial in trials for name in trial.choices)
    return [_column(name, [trial.choices for trial in trials]) for name in names]


def _column(name: str, choices: Sequence[Mapping[str, Scalar]]) -> Column:
    values = [row[name] for row in choices if name in row]
    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    distinct = dict.fromkeys((isinstance(value, bool), value) for value in values)
    levels = sorted((value for _, value in distinct), key=lambda v: v if ordered else str(v))  # type: ignore[return-value, arg-type]
    index = {(isinstance(value, bool), value): i for i, value in enumerate(levels)}
    codes = [index[isinstance(row[name], bool), row[name]] if name in row else ABSENT for row in choices]
    return Column(name=name, levels=tuple(levels), ordered=ordered, codes=np.array(codes, np.int64))


def features(table: Sequence[Column]) -> tuple[FloatArray, list[str]]:
    """(n, F) for a tree to split, and the parameter of each feature: an ordered choice is the index of its level,
    any other one a feature a level.

    A choice that a trial does not have counts as the commonest level: that it is absent is another parameter's doing.
    """
    parts: list[FloatArray] = []
    parameters: list[str] = []
    for column in table:
        present, counts = np.unique(column.codes[column.codes != ABSENT], return_counts=True)
        if len(present) < 2:
            continue
        codes = np.where(column.codes == ABSENT, present[np.argmax(counts)], column.codes)
        levels = present if len(present) > 2 else present[:1]
        split = [codes] if column.ordered else [codes == code for code in levels]
        parts += [np.asarray(feature, np.float64) for feature in split]
        parameters += [column.parameter] * len(split)
    rows = len(table[0].codes) if table else 0
    return (np.stack(parts, axis=1) if parts else np.empty((rows, 0))), parameters
