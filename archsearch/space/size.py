"""How many combinations of choices a space holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Any

from archsearch.space.choices import FirstChoices, Scalar
from archsearch.space.conditions import most_stages
from archsearch.space.domains import Domain
from archsearch.space.parameters import Parameter
from archsearch.space.sampling import Values, holds

MAX_CASES = 5_000


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
    """The distinct combinations; stages that are sorted count once however they were drawn.

    Only words that others' `when` names are told apart case by case, and of those only the values that are
    named; every other word multiplies. Exact up to 5,000 such cases, an upper bound (no `when`) beyond.
    """
    try:
        return Size(count=_whole(_Counter(parameters).count()), exact=True)
    except _TooMany:
        most = most_stages(parameters["stages"])
        count: float = _options(parameters["stages"])
        for parameter in parameters.values():
            if parameter.name != "stages":
                count *= _combinations(parameter, most)
        return Size(count=_whole(count), exact=False)


class _Counter:
    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._words = list(parameters.values())
        self._named: dict[str, list[Scalar]] = {}
        self._cases = 0
        for parameter in self._words:
            for name, values in parameter.conditions:
                self._named.setdefault(name, []).extend(values)

    def count(self) -> float:
        first, *rest = self._words
        assert first.name == "stages"
        options = first.value.probes() if isinstance(first.value, Domain) else (first.value,)
        return sum(self._rest(rest, stages, {"stages": stages}) for stages in options if isinstance(stages, int))

    def _rest(self, parameters: list[Parameter], stages: int, values: Values) -> float:
        if not parameters:
            self._cases += 1
            if self._cases > MAX_CASES:
                raise _TooMany
            return 1
        parameter, *rest = parameters
        term = parameter.term
        if term.per_stage:
            active = [i for i in range(stages) if holds(parameter, values, i)]
        else:
            active = [0] if holds(parameter, values, None) else []
        if parameter.name not in self._named:
            return _combinations(parameter, len(active)) * self._rest(rest, stages, values)
        total: float = 0
        for own, weight in self._cases_of(parameter, active):
            if term.per_stage:
                filled: list[Scalar] = [term.default(i) for i in range(stages)]
                for index, value in zip(active, own, strict=True):
                    filled[index] = value
                values[parameter.name] = filled
            else:
                values[parameter.name] = own[0] if own else term.default()
            total += weight * self._rest(rest, stages, values)
        return total

    def _cases_of(self, parameter: Parameter, active: list[int]) -> Iterator[tuple[tuple[Scalar, ...], float]]:
        """The values of the active stages, those that no condition names taken together, and how many they are."""
        if not isinstance(parameter.value, Domain):
            yield (parameter.value,) * len(active), 1
            return
        domain = parameter.value
        if parameter.each and domain.count() == 1:
            yield tuple(domain.ask(f"stage{i + 1}.{parameter.name}", FirstChoices()) for i in active), 1
        elif domain.order and parameter.each:
            if domain.count() > MAX_CASES or _combinations(parameter, len(active)) > MAX_CASES:
                raise _TooMany
            options = sorted(domain.probes(), key=_number, reverse=domain.order == "decreasing")
            yield from ((own, 1) for own in combinations_with_replacement(options, len(active)))
        else:
            groups = self._grouped(parameter.name, domain)
            drawn = len(active) if parameter.each else min(len(active), 1)
            for own in product(groups, repeat=drawn):
                values = [value for value, _ in own]
                weight = math.prod(weight for _, weight in own)
                yield tuple(values if parameter.each else values * len(active)), weight

    def _grouped(self, name: str, domain: Domain) -> list[tuple[Scalar, float]]:
        distinct: list[Scalar] = []
        for value in self._named[name]:
            if value not in distinct and domain.holds(value):
                distinct.append(value)
        others = domain.count() - len(distinct)
        unnamed: Any = _Unnamed()
        return [(value, 1) for value in distinct] + ([(unnamed, others)] if others > 0 else [])


class _Unnamed:
    """Stands for every value that no condition names; equal to none."""


def _options(parameter: Parameter) -> float:
    return parameter.domain.count() if parameter.domain else 1


def _combinations(parameter: Parameter, stages: int) -> float:
    options = _options(parameter)
    if options == 1 or not stages:
        return 1
    if not parameter.each:
        return options
    if options == math.inf:
        return math.inf
    order = parameter.domain.order if parameter.domain else None
    return math.comb(int(options) + stages - 1, stages) if order else options**stages


def _number(value: Scalar) -> float:
    assert isinstance(value, int | float)
    return value


def _whole(count: float) -> int | float:
    return count if count == math.inf else int(count)
