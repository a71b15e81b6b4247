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
    """One choice of n trials: `codes` (n,) are places in `levels`, ABSENT where the choice was not asked."""

    name: str
    levels: tuple[Scalar, ...]
    ordered: bool
    codes: IntArray

    @property
    def word(self) -> str:
        """The word of the file: depth for stage2.depth."""
        head, dot, tail = self.name.partition(".")
        return tail if dot and head.startswith("stage") and head[5:].isdigit() else self.name

    @property
    def varies(self) -> bool:
        """Whether two trials differ in it."""
        return len(np.unique(self.codes)) > 1


def columns(trials: Sequence[Trial]) -> list[Column]:
    """Every choice that one of the trials was asked, in the order of asking."""
    names = dict.fromkeys(name for trial in trials for name in trial.choices)
    return [_column(name, [trial.choices for trial in trials]) for name in names]


def _column(name: str, choices: Sequence[Mapping[str, Scalar]]) -> Column:
    found = [own[name] for own in choices if name in own]
    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)
    distinct = dict.fromkeys((isinstance(value, bool), value) for value in found)
    levels = sorted((value for _, value in distinct), key=lambda v: v if ordered else str(v))  # type: ignore[return-value, arg-type]
    places = {(isinstance(value, bool), value): place for place, value in enumerate(levels)}
    codes = [places[isinstance(own[name], bool), own[name]] if name in own else ABSENT for own in choices]
    return Column(name=name, levels=tuple(levels), ordered=ordered, codes=np.array(codes, np.int64))


def features(table: Sequence[Column]) -> tuple[FloatArray, list[str]]:
    """(n, F) for a tree to split, and the word behind each feature: an ordered choice is its place among the values,
    any other one a feature a value.

    A choice that was not asked counts as its commonest value: that it was not asked is another word's doing.
    """
    parts: list[FloatArray] = []
    words: list[str] = []
    for column in table:
        asked = column.codes[column.codes != ABSENT]
        present, counts = np.unique(asked, return_counts=True)
        if len(present) < 2:
            continue
        codes = np.where(column.codes == ABSENT, present[np.argmax(counts)], column.codes)
        own = [codes] if column.ordered else [codes == code for code in (present if len(present) > 2 else present[:1])]
        parts += [np.asarray(feature, np.float64) for feature in own]
        words += [column.word] * len(own)
    rows = len(table[0].codes) if table else 0
    return (np.stack(parts, axis=1) if parts else np.empty((rows, 0))), words
