"""The values that n candidates have for each parameter, as indices in the tables of its values. NumPy alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from archsearch.space.choices import Scalar, same
from archsearch.space.many.columns import BoolArray, FloatArray, IntArray
from archsearch.space.many.linear import Derived
from archsearch.space.parameters import Parameter, network_terms
from archsearch.space.rules import Assignment


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A parameter: the table of the values that it may have, and how a row says which of them it has.

    `columns` holds one column a stage (`each`), a single one, or none (the parameter is fixed); their codes are indices
    in the table, or in `indices`, one array a stage, which holds indices in the table. `fixed` and `defaults` are
    indices in the table, one a stage, or one for a parameter of the whole network.
    `ranks` sort the values of an ordered parameter that has several columns.
    """

    parameter: Parameter
    table: tuple[Scalar, ...]
    columns: tuple[int, ...]
    fixed: tuple[int, ...]
    defaults: tuple[int, ...]
    ranks: IntArray | None
    indices: tuple[IntArray, ...] = ()

    @cached_property
    def numbers(self) -> IntArray | FloatArray:
        """The table as numbers, where it has them; null is 0."""
        return np.array([value or 0 for value in self.table])

    @property
    def per_stage(self) -> bool:
        """Whether stages have it, and not the network."""
        return self.parameter.term.per_stage

    @property
    def by_stage(self) -> bool:
        """Whether stages have columns of their own."""
        return len(self.columns) > 1


class Resolved(Assignment):
    """What n candidates have for every parameter so far: `indices` in its table, a list of one (n,) array a stage (the
    same array where stages do not differ), or of a single one for a parameter of the network. `possible`, (n,), is
    false where linear widths give stages that the space does not allow."""

    stages: IntArray
    always: BoolArray
    derived: Derived

    def __init__(self, encodings: Mapping[str, Encoding], most_stages: int, count: int) -> None:
        self._encodings, self.most_stages = encodings, most_stages
        self.always = np.ones(count, bool)
        self.stages = np.zeros(count, np.int32)
        self.possible: BoolArray = np.ones(count, bool)
        self.indices: dict[str, list[IntArray]] = {}

    def index(self, name: str, stage: int) -> IntArray:
        """(n,): the parameter's index in its table, in a stage."""
        arrays = self.indices[name]
        return arrays[stage if len(arrays) > 1 else 0]

    def numbers(self, name: str, stage: int, rows: Any = slice(None)) -> IntArray | FloatArray:
        """(n,): the values of a parameter that has numbers, or of some of the candidates."""
        if name not in self.indices:
            return np.full(len(self.always[rows]), network_terms()[name].default(stage) or 0)
        numbers: IntArray | FloatArray = self._encodings[name].numbers[self.index(name, stage)[rows]]
        return numbers

    def derive(self, encoding: Encoding) -> list[IntArray]:
        """The indices of a parameter that linear widths give, or the first stage's width; of a stage that is not there
        those of 1."""
        parameter = encoding.parameter
        if parameter.is_first_width:
            return [self.index("width", 0)]
        if parameter.name == "stages":
            self.derived = Derived(self, [value for value in parameter.probes() if isinstance(value, int)])
            self.possible = self.derived.possible
            return [np.clip(self.derived.stages.count, 1, self.most_stages) - 1]
        of_stage = getattr(self.derived, parameter.name)
        return [np.clip(of_stage(stage), 1, len(encoding.table)) - 1 for stage in range(self.most_stages)]

    def differs_by_stage(self, name: str) -> bool:
        """Whether there is more than one array."""
        return len(self.indices.get(name, ())) > 1

    def is_among(self, name: str, stage: int, values: Iterable[Scalar]) -> BoolArray:
        """(n,): whether the value, or the default of a parameter that the space does not set, is one of these."""
        if name not in self.indices:
            default = network_terms()[name].default(stage)
            unset: BoolArray = self.always & any(same(default, value) for value in values)
            return unset
        table = self._encodings[name].table
        allowed = np.array([any(same(entry, value) for value in values) for entry in table])
        among: BoolArray = allowed[self.index(name, stage)]
        return among

    def is_uniform(self, name: str) -> bool:
        """Whether a parameter says the same in all stages of every candidate, to be told without comparing."""
        if name not in self.indices:
            return len({network_terms()[name].default(stage) for stage in range(self.most_stages)}) == 1
        arrays = self.indices[name]
        return all(array is arrays[0] for array in arrays)
