"""From a network back to the choices of a space that make it, if any do. For warm starts across changed spaces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError
from archsearch.space.choices import RecordedChoices, Scalar
from archsearch.space.linear_widths import GROUP, NAMES
from archsearch.space.many.columns import IntArray
from archsearch.space.many.grid import Grid
from archsearch.space.parameters import Term
from archsearch.space.resolution import SIZE, as_value
from archsearch.space.settings import TrainingSettings

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace


def encode(
    space: SearchSpace,
    grid: Grid,
    architecture: Architecture,
    training: TrainingSettings,
    *,
    chosen: Iterable[str] = (),
    recorded: Mapping[str, Scalar] = MappingProxyType({}),
) -> IntArray | str:
    """The canonical row, or why there is none: `width = 256`, such as a removed choice, or a fixed value that differs.

    Parameters that the space does not vary, and choices added since, do not matter as long as the network is the same.
    Of the training, the settings that the space varies and those `chosen` for this network matter. Linear widths are
    taken from the choices `recorded` when the network was made, for many of them give the same one.
    """
    if tuple(architecture.input) not in space.inputs or architecture.classes != space.classes:
        return "other images or classes"
    if len(architecture.stages) > grid.most_stages:
        return f"stages = {len(architecture.stages)}"
    row = np.zeros(len(grid.columns), np.int32)
    missing: dict[int, str] = {}
    for number, column in enumerate(grid.columns):
        stage, _, name = column.name.rpartition(".") if column.name.startswith("stage") else ("", "", column.name)
        term = grid.encodings[name].parameter.term
        if term.group == GROUP:
            value = recorded.get(column.name, "unknown")
        else:
            value = _value(architecture, term, stage) if term.of_network else getattr(training, term.field)
        code = None if value is _ABSENT else column.code(value)
        if code is None and value is not _ABSENT:
            missing[number] = f"{name} = {value}"
        row[number] = code if code is not None else 0
    settled: IntArray = grid.settle(row[None], np.random.default_rng(0))[0]
    try:
        choices = grid.choices(settled)
        if digest(space.architecture(RecordedChoices(choices))) == digest(architecture):
            return _other_training(space, choices, training, chosen) or settled
    except InputError:
        pass
    texts = (text for number, text in missing.items() if settled[number] >= 0)
    return next(texts, None) or _other_value(space, architecture)


_ABSENT: Any = object()


def _value(architecture: Architecture, term: Term, stage: str) -> Scalar:
    """What the network has for a parameter: in a stage (`stage2`), or in the first whose value is not the default, for
    one that stages share; `_ABSENT` where the stage is not there."""
    if term.name == "stages":
        return len(architecture.stages)
    if term.name == SIZE:
        return as_value(*architecture.input[1:])
    if term.group:
        value: Scalar = getattr(getattr(architecture, term.group), term.field)
        return value
    owners: list[Any] = [s.block if term.owner is Block else s for s in architecture.stages]
    values: list[Scalar] = [getattr(owner, term.field) for owner in owners]
    if stage:
        index = int(stage.removeprefix("stage")) - 1
        return values[index] if index < len(values) else _ABSENT
    return next((value for i, value in enumerate(values) if value != term.default(i)), values[0])


def _other_training(
    space: SearchSpace, choices: dict[str, Scalar], training: TrainingSettings, chosen: Iterable[str]
) -> str:
    """A setting of the training, of those that either space varies, that the choices have otherwise to some effect;
    empty where there is none. Within a continuous domain the nearest of its points will do."""
    varied = space.trainings.varied
    settings = space.training.with_overrides(space.trainings.overrides(choices))
    for name in sorted({*chosen, *varied} - settings.inert):
        value = getattr(training, name)
        domain = varied[name].domain if name in varied else None
        is_near = domain is not None and domain.count() == math.inf and domain.holds(value)
        if value != getattr(settings, name) and not (is_near and f"training.{name}" in choices):
            return f"training.{name} = {value}"
    return ""


def _other_value(space: SearchSpace, architecture: Architecture) -> str:
    """A fixed parameter that the network has otherwise."""
    for name, parameter in space.parameters.items():
        if parameter.domain is None and name != "stages" and name not in NAMES and not parameter.derived_from:
            value = _value(architecture, parameter.term, "stage1" if parameter.term.per_stage else "")
            if value != parameter.value:
                return f"{name} = {value}"
    return "a combination that is not in the space"
