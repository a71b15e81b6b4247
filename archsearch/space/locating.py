"""Where a network stands in a space: the choices that make it, if any do. For warm starts across changed spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.architecture.spec import Architecture, Block
from archsearch.reading.errors import InputError
from archsearch.space.choices import RecordedChoices, Scalar
from archsearch.space.columns import IntArray
from archsearch.space.grid import Grid
from archsearch.space.words import Term, vocabulary

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace


def locate(space: SearchSpace, grid: Grid, architecture: Architecture) -> IntArray | str:
    """The canonical row, or why there is none: `width = 256`, such as a removed choice, or a fixed word that differs.

    Words that the space does not vary, and choices added since, do not matter as long as the network is the same.
    """
    if tuple(architecture.input) != tuple(space.input) or architecture.classes != space.classes:
        return "other images or classes"
    if len(architecture.stages) > grid.most:
        return f"stages = {len(architecture.stages)}"
    row = np.zeros(len(grid.columns), np.int32)
    missing: dict[int, str] = {}
    for number, column in enumerate(grid.columns):
        stage, _, name = column.name.rpartition(".") if column.name.startswith("stage") else ("", "", column.name)
        found = _value(architecture, vocabulary()[name], stage)
        code = None if found is _ABSENT else column.code(found)
        if code is None and found is not _ABSENT:
            missing[number] = f"{name} = {found}"
        row[number] = code if code is not None else 0
    rng = np.random.default_rng(0)
    settled: IntArray = grid.settle(row[None], rng)[0]
    try:
        if space.sample(RecordedChoices(grid.choices(settled))).digest == architecture.digest:
            return settled
    except InputError:
        pass
    asked = [told for number, told in missing.items() if settled[number] >= 0]
    return asked[0] if asked else _differing(space, architecture)


_ABSENT: Any = object()


def _value(architecture: Architecture, term: Term, stage: str) -> Scalar:
    """What the network has for a word: in a stage (`stage2`), or in the first whose value is not the default, for a
    word that stages share; `_ABSENT` where the stage is not there."""
    if term.name == "stages":
        return len(architecture.stages)
    if term.group:
        value: Scalar = getattr(getattr(architecture, term.group), term.field)
        return value
    owners: list[Any] = [s.block if term.owner is Block else s for s in architecture.stages]
    values: list[Scalar] = [getattr(owner, term.field) for owner in owners]
    if stage:
        number = int(stage.removeprefix("stage")) - 1
        return values[number] if number < len(values) else _ABSENT
    return next((value for i, value in enumerate(values) if value != term.default(i)), values[0])


def _differing(space: SearchSpace, architecture: Architecture) -> str:
    """A fixed word that the network has otherwise."""
    for name, word in space.words.items():
        if word.domain is None and name != "stages":
            found = _value(architecture, word.term, "stage1" if word.term.per_stage else "")
            if found != word.value:
                return f"{name} = {found}"
    return "a combination that the space does not hold"
