"""How many combinations of choices a space holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Any

from archsearch.space.choices import Odometer, Scalar
from archsearch.space.conditions import most_stages
from archsearch.space.domains import Domain
from archsearch.space.linear_widths import GROUP, NAMES
from archsearch.space.parameters import Parameter
from archsearch.space.rules import combinations, in_order
from archsearch.space.sampling import Candidate

MAX_CASES = 5_000
MOST_WAYS = 200_000  # combinations of linear widths that are looked at one by one


@dataclass(frozen=True, kw_only=True)
class Size:
    """A number of combinations; an upper bound where it is not exact."""

    count: int | float
    exact: bool

    def __str__(self) -> str:
        if self.count == math.inf:
            return "infinitely many"
        number = f"{self.count:,}" if self.count < 10**9 else f"{float(self.count):.2e}"
        return number if self.exact else f"at most {number}"


class _TooMany(Exception):
    """More cases than are worth telling apart."""


def measure(parameters: Mapping[str, Parameter]) -> Size:
    """The distinct combinations; stages whose values are sorted count once however they were drawn.

    Only parameters that others' `when` names are told apart case by case, and of those only the values that are
    named; every other parameter multiplies. Exact up to 5,000 such cases, an upper bound (no `when`) beyond. Linear
    widths count where their stages are among those that the space allows; up to 200,000 of them are told apart.
    """
    try:
        return Size(count=_integer(_Cases(parameters).count()), exact=True)
    except _TooMany:
        stages = range(most_stages(parameters["stages"]))
        return Size(count=_integer(math.prod(combinations(p, stages) for p in parameters.values())), exact=False)


class _Cases:
    """Walks through the cases; `named` are the values of a parameter that make a difference to others."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._parameters = list(parameters.values())
        self._candidate = Candidate()
        self._named: dict[str, list[Scalar]] = {"stages": list(parameters["stages"].probes())}
        self._met = 0
        for parameter in self._parameters:
            for name, values in parameter.conditions:
                self._named.setdefault(name, []).extend(values)

    def count(self, start: int = 0) -> float:
        """The combinations of the parameters from `start` on, those before it being as the candidate has them."""
        if start == len(self._parameters):
            self._met += 1
            if self._met > MAX_CASES:
                raise _TooMany
            return 1
        parameter = self._parameters[start]
        if parameter.is_first_width and parameter.name in self._named:
            raise _TooMany
        if parameter.term.group == GROUP or parameter.is_first_width:  # `stages` counts the combinations of the former
            return self.count(start + 1)
        active = self._candidate.active_stages(parameter)
        if parameter.name not in self._named:
            return combinations(parameter, active) * self.count(start + 1)
        total: float = 0
        for answers, weight in self._cases_of(parameter, active):
            self._candidate.assign(parameter, active, answers)
            total += weight * self.count(start + 1)
        return total

    def _cases_of(self, parameter: Parameter, active: list[int]) -> Iterator[tuple[list[Scalar], float]]:
        """The values of the active stages, those that no condition names taken together, and how many they are."""
        domain = parameter.domain
        if parameter.derived_from:
            for stages, ways in self._ways(parameter).items():
                yield [stages], ways
        elif domain is None or domain.count() == 1:
            yield self._candidate.ask(parameter, active, Odometer()), 1
        elif parameter.direction:
            if domain.count() > MAX_CASES or combinations(parameter, active) > MAX_CASES:
                raise _TooMany
            options = in_order(parameter, domain.probes())
            yield from ((list(values), 1) for values in combinations_with_replacement(options, len(active)))
        else:
            asked = active if parameter.each else active[:1]
            for case in product(*(self._grouped(parameter.name, domain.of_stage(stage)) for stage in asked)):
                values = [value for value, _ in case]
                weight = math.prod(weight for _, weight in case)
                yield values if parameter.each else values * len(active), weight

    def _ways(self, stages: Parameter) -> dict[int, float]:
        """In how many ways linear widths give each number of stages that is allowed."""
        linear = {p.term.field: p.probes() for p in self._parameters if p.term.group == GROUP}
        counts = [combinations(p, [0]) for p in self._parameters if p.term.group == GROUP]
        if self._named.keys() & {*NAMES, "depth", "width"} or MOST_WAYS < math.prod(counts) < math.inf:
            raise _TooMany
        if math.inf in counts:
            return {int(number): math.inf for number in stages.probes()}  # type: ignore[arg-type]
        from archsearch.space.many.linear import ways_by_stages

        return ways_by_stages(linear, [number for number in stages.probes() if isinstance(number, int)])

    def _grouped(self, name: str, domain: Domain) -> list[tuple[Scalar, float]]:
        """The values that conditions name, and one that stands for the others; and how many values each stands for."""
        named: list[Scalar] = []
        for value in self._named[name]:
            if value not in named and domain.holds(value):
                named.append(value)
        unnamed: Any = object()  # equal to no value
        remaining = domain.count() - len(named)
        return [(value, 1) for value in named] + ([(unnamed, remaining)] if remaining > 0 else [])


def _integer(count: float) -> int | float:
    return count if count == math.inf else int(count)
