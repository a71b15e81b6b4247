"""One question of a space as a column of codes: its values and how likely a free draw takes each. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.space.choices import Scalar, same
from archsearch.space.domains import Choice, Domain, Integers, Reals

IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

POINTS = 1001  # of a continuous domain


@dataclass(frozen=True, kw_only=True)
class Column:
    """One question of a sample: its name, the values that answer it, and how likely a free draw takes each."""

    name: str
    values: tuple[Scalar, ...]
    weights: FloatArray
    ordered: bool

    def code(self, value: Scalar) -> int | None:
        """The index of a value; the nearest one's in a continuous domain; None for a value that it does not hold."""
        for index, option in enumerate(self.values):
            if same(option, value):
                return index
        if len(self.values) == POINTS and isinstance(value, float) and self.values[0] <= value <= self.values[-1]:  # type: ignore[operator]
            return int(np.argmin([abs(option - value) for option in self.values]))  # type: ignore[operator]
        return None

    @classmethod
    def of(cls, name: str, domain: Domain) -> Column:
        """The domain's."""
        values = _values(domain)
        ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return cls(name=name, values=values, weights=_weights(domain), ordered=ordered)

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """(count,) codes, as a free draw takes them."""
        if np.ptp(self.weights) < 1e-12:
            return rng.integers(0, len(self.values), count, dtype=np.int32)
        return np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(count), side="right").astype(np.int32)


def _values(domain: Domain) -> tuple[Scalar, ...]:
    match domain:
        case Choice():
            return domain.choice
        case Integers():
            low, high = domain.bounds
            return tuple(range(low, high + 1, domain.step))
        case Reals(step=None):
            low_real, high_real = domain.bounds
            space = np.geomspace if domain.log else np.linspace
            points = POINTS if low_real < high_real else 1
            return tuple(min(max(float(v), low_real), high_real) for v in space(low_real, high_real, points))
        case Reals():
            return tuple(domain.snapped(domain.bounds[0] + (domain.step or 0) * i) for i in range(int(domain.count())))
    raise AssertionError(domain)


def _weights(domain: Domain) -> FloatArray:
    if isinstance(domain, Integers) and domain.log:
        # As RandomChoices draws: every integer owns the half unit on both its sides.
        low, high = domain.bounds
        weights = np.diff(np.log(np.arange(low, high + 2) - 0.5))
    else:
        weights = np.ones(len(_values(domain)))
    return np.asarray(weights / weights.sum(), np.float64)
