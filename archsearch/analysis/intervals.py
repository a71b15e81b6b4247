"""Intervals of confidence: of a mean over few repetitions (Student 1908, Biometrika 6, 1-25), and of a share.

SciPy is imported where it is used, for scipy.stats takes about half a second."""

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
    from scipy import stats  # type: ignore[import-untyped]

    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * deviation / math.sqrt(n)
    return Interval(
        mean=mean, low=mean - half, high=mean + half, half=half, deviation=deviation, n=n, confidence=confidence
    )


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval | None:
    """The mean of first - second over the keys (seeds) that both have; None where they share none.

    Pairing takes out what a seed does to both alike, so the interval is that of the differences themselves.
    """
    shared = sorted(first.keys() & second.keys())
    return mean_interval([first[key] - second[key] for key in shared], confidence) if shared else None


def holm(p_values: Sequence[float], extra: int = 0) -> list[float]:
    """The p-values adjusted for being several (Holm 1979, Scand. J. Statist. 6, 65-70): with a bound of 0.05 on them
    one of the hypotheses is wrongly rejected in at most 5 % of cases. `extra` counts tests of the family that are not
    among them."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) + extra - rank) * float(p_values[index])))
        adjusted[index] = largest
    return adjusted


def wilson(correct: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """(low, high) of a share, of which `correct` of `count` were seen (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212).

    Raises ValueError where `correct` is not from 0 to `count`.
    """
    from scipy import stats

    interval = stats.binomtest(correct, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
