"""Means over few repetitions, with Student's interval (Student 1908, Biometrika 6, 1-25). NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean of `n` values and its interval, mean +- `half`; `deviation` is the sample's (n - 1).

    One value says nothing of its spread: `deviation`, `half`, `low` and `high` are None then.
    """

    mean: float
    low: float | None
    high: float | None
    half: float | None
    deviation: float | None
    n: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference of this interval has a sign: False where there is no interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """mean +- t(n - 1) * s / sqrt(n) of independent repetitions. Raises ValueError for none, or one not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{list(values)!r:.80}: allowed: one or more finite numbers")
    mean, n = float(array.mean()), int(array.size)
    if n == 1:
        return Interval(mean=mean, low=None, high=None, half=None, deviation=None, n=1, confidence=confidence)
    deviation = float(array.std(ddof=1))
    half = student_quantile((1 + confidence) / 2, n - 1) * deviation / math.sqrt(n)
    return Interval(
        mean=mean, low=mean - half, high=mean + half, half=half, deviation=deviation, n=n, confidence=confidence
    )


def paired_difference(
    one: Mapping[int, float], other: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval | None:
    """The mean of one - other over the keys (seeds) that both have; None where they share none.

    Pairing takes out what a seed does to both alike, so the interval is that of the differences themselves.
    """
    shared = sorted(one.keys() & other.keys())
    return mean_interval([one[key] - other[key] for key in shared], confidence) if shared else None


def student_quantile(probability: float, degrees: int) -> float:
    """t such that Student's T with `degrees` (1 or more, whole) of freedom is below it with this probability.

    By bisection to the last bit of the angle. Raises ValueError outside 0.5 <= probability < 1.
    """
    if not 0.5 <= probability < 1 or degrees < 1:
        raise ValueError(f"quantile {probability} of {degrees} degrees; allowed: 0.5 <= probability < 1, degrees >= 1")
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if 0.5 + _central(middle, degrees) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central(angle: float, degrees: int) -> float:
    """P(|T| < sqrt(degrees) * tan(angle)): Abramowitz & Stegun 1964, 26.7.3 and 26.7.4, a finite sum."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
