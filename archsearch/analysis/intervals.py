"""Intervals of confidence: of a mean over few repetitions (Student 1908, Biometrika 6, 1-25), and of a share; and which
differences so many repetitions can detect.

SciPy is imported where it is used, for scipy.stats takes about half a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from archsearch.experiment.confirmed import FEWEST_SEEDS

CONFIDENCE = 0.95
SIGNIFICANT = 0.05  # a p-value below it, adjusted where there are several
POWER = 0.8
GRID = 1000  # points of a distribution


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean of `n` `values` and its interval, mean +- `half`; `deviation` is the sample's (n - 1).

    One value says nothing of its spread: `deviation`, `half`, `low` and `high` are None then.
    """

    mean: float
    low: float | None
    high: float | None
    half: float | None
    deviation: float | None
    n: int
    confidence: float
    values: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "values": list(self.values)}

    @property
    def p(self) -> float | None:
        """The p-value of a mean of 0 (Student's t, two-sided); None where there is no interval, or no spread to
        measure the mean by."""
        if not self.deviation:
            return None
        from scipy import stats  # type: ignore[import-untyped]

        return float(2 * stats.t.sf(abs(self.mean) / self.deviation * math.sqrt(self.n), self.n - 1))


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """mean +- t(n - 1) * s / sqrt(n) of independent repetitions. Raises ValueError for none, or one not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{list(values)!r:.80}: allowed: one or more finite numbers")
    mean, n = float(array.mean()), int(array.size)
    whole = Interval(mean=mean, low=None, high=None, half=None, deviation=None, n=n, confidence=confidence,
                     values=tuple(array.tolist()))  # fmt: skip
    if n == 1:
        return whole
    deviation = float(array.std(ddof=1))
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * deviation / math.sqrt(n)
    return replace(whole, low=mean - half, high=mean + half, half=half, deviation=deviation)


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean over seeds with its interval; of fewer than FEWEST_SEEDS the mean and the values alone."""
    interval = mean_interval(values)
    return interval if interval.n >= FEWEST_SEEDS else replace(interval, low=None, high=None, half=None, deviation=None)


class FoldInterval(Interval):
    """A mean over the folds of a cross-validation. Each two folds share training images, so their values are not
    independent, and a variance of s^2 / n is too small: it is s^2 (1 / n + 1 / (n - 1)), with the share of test over
    training images (Nadeau & Bengio 2003, Machine Learning 52, 239-281: the corrected resampled t-test)."""

    @property
    def p(self) -> float | None:
        """As of an Interval, with the corrected variance."""
        if not self.deviation:
            return None
        from scipy import stats

        return float(2 * stats.t.sf(abs(self.mean) / (self.deviation * _corrected(self.n)), self.n - 1))


def _corrected(folds: int) -> float:
    return math.sqrt(1 / folds + 1 / (folds - 1))


def over_folds(values: Sequence[float]) -> Interval:
    """The mean over the folds of a cross-validation with its corrected interval; of fewer than FEWEST_SEEDS folds the
    mean and the values alone."""
    plain = over_seeds(values)
    interval = FoldInterval(**{field.name: getattr(plain, field.name) for field in fields(plain)})
    if plain.half is None:
        return interval
    half = plain.half * math.sqrt(plain.n) * _corrected(plain.n)
    return replace(interval, low=plain.mean - half, high=plain.mean + half, half=half)


def paired_difference(
    first: Mapping[int, float],
    second: Mapping[int, float],
    over: Callable[[Sequence[float]], Interval] = over_seeds,
) -> Interval | None:
    """The mean of first - second over the keys (seeds; folds with `over_folds`) that both have; None where they
    share none.

    Pairing takes out what a seed or a fold does to both alike, so the interval is that of the differences themselves.
    """
    shared = sorted(first.keys() & second.keys())
    return over([first[key] - second[key] for key in shared]) if shared else None


def detection_rate(n: int, effect: float, level: float = SIGNIFICANT) -> float:
    """How often a t-test of n values at a p-value of `level` detects a mean of so many deviations (`effect`)."""
    from scipy import stats

    # The mean over equally likely deviations of a sample: scipy.stats.nct is not a number for large effects.
    spread = np.sqrt(stats.chi2.ppf((np.arange(GRID) + 0.5) / GRID, n - 1) / (n - 1))
    critical, centre = stats.t.ppf(1 - level / 2, n - 1) * spread, effect * math.sqrt(n)
    return float(np.mean(stats.norm.sf(critical - centre) + stats.norm.cdf(-critical - centre)))


def detectable(n: int, level: float = SIGNIFICANT) -> float:
    """The mean, in deviations of the values, that n of them detect with a probability of POWER."""
    from scipy import optimize

    return float(optimize.brentq(lambda effect: detection_rate(n, effect, level) - POWER, 0.0, 1e6, xtol=1e-4))


def enough(effect: float, level: float, most: int) -> int | None:
    """The fewest repetitions, FEWEST_SEEDS to `most`, that detect a mean of so many deviations with a probability of
    POWER; None where `most` are too few."""
    return next((n for n in range(FEWEST_SEEDS, most + 1) if detection_rate(n, abs(effect), level) >= POWER), None)


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
