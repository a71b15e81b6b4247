"""The rules between the parameters of a space: which are asked (`when`), for which stages (`each`), and in which order
their stages' values stand (`order`). Everything that draws, counts or locates candidates asks these.

They hold for one candidate (sampling.py) and for many at once (many/grid.py). A mask is a truth value of one candidate,
or an array of them, (n,), of many; `&`, `|` and `>` mean the same for both. No NumPy is imported for that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from archsearch.space.choices import Scalar
from archsearch.space.parameters import Parameter

Mask = Any


class Assignment(ABC):
    """The values that the parameters before the next one have, and what follows from them for that one.

    `stages` are the stages of the candidate (an int), or of each candidate, (n,); `most_stages` bounds them. `always`
    is the mask that is true everywhere.
    """

    stages: Any
    most_stages: int
    always: Mask

    @abstractmethod
    def differs_by_stage(self, name: str) -> bool:
        """Whether the parameter has a value, and every stage one of its own."""

    @abstractmethod
    def numbers(self, name: str, stage: int) -> Any:
        """(n,): an array of the parameter's values in a stage, 0 for null; those that the space does not set have
        their default."""

    @abstractmethod
    def is_among(self, name: str, stage: int, values: Iterable[Scalar]) -> Mask:
        """Whether the parameter has one of these values in a stage; one that the space does not set has its default."""

    def holds(self, parameter: Parameter, stage: int | None = None) -> Mask:
        """Whether the parameter's conditions hold in a stage; with None, for the network: where they name parameters
        of stages, in some stage."""
        if stage is None and any(self.differs_by_stage(name) for name, _ in parameter.conditions):
            return self._in_some_stage(parameter)
        mask = self.always
        for name, values in parameter.conditions:
            mask = mask & self.is_among(name, stage or 0, values)
        return mask

    def is_active(self, parameter: Parameter, stage: int) -> Mask:
        """Whether a stage has a value of the parameter that was asked: it exists, and the conditions hold in it."""
        return (self.stages > stage) & self.holds(parameter, stage)

    def is_asked(self, parameter: Parameter, question: int) -> Mask:
        """Whether a question is put, by its index in `parameter.questions`. One that all stages share is put where
        some stage is active."""
        if not parameter.term.per_stage:
            return self.holds(parameter)
        if parameter.each:
            return self.is_active(parameter, question)
        return self._in_some_stage(parameter) if parameter.conditions else self.always

    def _in_some_stage(self, parameter: Parameter) -> Mask:
        return reduce(or_, (self.is_active(parameter, stage) for stage in range(self.most_stages)))


def in_order(parameter: Parameter, values: Sequence[Scalar]) -> list[Scalar]:
    """The values of the active stages as they stand: stages are asked for any value of the domain, which is the same
    for all of them, as samplers want it, and what they answer is sorted."""
    direction = parameter.direction
    return sorted(values, key=_number, reverse=direction < 0) if direction else list(values)


def combinations(parameter: Parameter, stages: Sequence[int]) -> float:
    """How many different values a parameter can have that is active in these stages; inf where it is continuous."""
    options = 1 if parameter.domain is None or parameter.derived_from else parameter.domain.count()
    if parameter.domain is None or options == 1 or not stages:
        return 1
    if not parameter.each or options == math.inf:
        return options
    if parameter.direction:
        return ordered_combinations(int(options), len(stages))
    return math.prod(parameter.domain.of_stage(stage).count() for stage in stages)


def ordered_combinations(values: int, stages: int) -> int:
    """In how many ways the stages can have values in order: C(values + stages - 1, stages)."""
    return math.comb(values + stages - 1, stages)


def _number(value: Scalar) -> float:
    assert isinstance(value, int | float)
    return value
