"""How good a space's networks are: empirical distributions of their scores, the best of n draws, and where the best
ones fall, each with what chance does to it. NumPy only; every draw is seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BAND = (0.025, 0.975)
POINTS = 80  # of a curve


class Edf(TypedDict):
    """An empirical distribution function: at each x the share of values at most x, and its 95 % interval."""

    x: list[float]
    share: list[float]
    low: list[float]
    high: list[float]


class ExpectedBest(TypedDict):
    """The expected best of n draws for each n, and its 95 % interval."""

    n: list[int]
    expected: list[float]
    low: list[float]
    high: list[float]


class MannWhitney(TypedDict):
    """U and its p-value; `superiority` is how often one of the first sample beats one of the second."""

    u: float
    p: float
    superiority: float


class KolmogorovSmirnov(TypedDict):
    """D, the largest distance between two EDFs, and its p-value."""

    d: float
    p: float


class BestOfN(TypedDict):
    """The difference of the expected best of `n` draws, first minus second, and its 95 % interval."""

    n: int
    difference: float
    low: float
    high: float


class SampleTests(TypedDict):
    """Whether two samples of scores differ."""

    mann_whitney: MannWhitney
    kolmogorov_smirnov: KolmogorovSmirnov
    best_of_n: BestOfN


def edf(values: Sequence[float], *, seed: int = 0, repeats: int = 500) -> Edf:
    """F(x), the share of the values at most x, at each step (at POINTS quantiles, where there are more); `low` and
    `high` bound the middle 95 % of bootstrap samples at each x (Efron 1979). There is at least one value."""
    array = np.sort(np.asarray(values, np.float64))
    x = array if len(array) <= POINTS else np.quantile(array, np.linspace(0, 1, POINTS))
    drawn = _bootstrap(array, repeats, np.random.default_rng(seed))
    shares = np.stack([np.searchsorted(row, x, side="right") for row in drawn]) / len(array)
    low, high = np.quantile(shares, BAND, axis=0)
    share = np.searchsorted(array, x, side="right") / len(array)
    return {"x": x.tolist(), "share": share.tolist(), "low": low.tolist(), "high": high.tolist()}


def best_of(values: Sequence[float], *, seed: int = 0, repeats: int = 200) -> ExpectedBest:
    """The expected best of n = 1, 2, ... draws, for n up to as many values as there are: beyond, they say nothing.

    The mean over all subsets of n of the m values (of which the i-th smallest is the best with probability
    C(i - 1, n - 1) / C(m, n)), and its bootstrap interval of 95 %.
    """
    array = np.sort(np.asarray(values, np.float64))
    m = len(array)
    counts = np.unique(np.linspace(1, m, min(m, POINTS)).round().astype(int))
    weights = np.stack([_chances(m, int(n)) for n in counts])
    low, high = np.quantile(_bootstrap(array, repeats, np.random.default_rng(seed)) @ weights.T, BAND, axis=0)
    expected = weights @ array
    return {"n": counts.tolist(), "expected": expected.tolist(), "low": low.tolist(), "high": high.tolist()}


def _bootstrap(values: FloatArray, repeats: int, rng: np.random.Generator) -> FloatArray:
    """(repeats, n): samples of (n,) values with replacement, each in ascending order."""
    return np.sort(values[rng.integers(0, len(values), (repeats, len(values)))], axis=1)


def _chances(m: int, n: int) -> FloatArray:
    """(m,): how likely the i-th smallest of m is the largest of n drawn without replacement."""
    chances = np.zeros(m)
    chance = n / m  # of the largest
    for i in range(m, n - 1, -1):
        chances[i - 1] = chance
        if i > n:
            chance *= (i - n) / (i - 1)
    return chances


def best_rows(
    scores: FloatArray, *, seed: int = 0, repeats: int = 10_000, share: float = 0.25
) -> npt.NDArray[np.int64]:
    """(repeats,): the rows that are the best of `repeats` samples, each of `share` of the (n,) scores drawn with
    replacement: their values of a column are the range in which the best networks fall (Radosavovic 2020,
    arXiv:2003.13678, section 3.2, whose share of 25 % and 10,000 repeats these are)."""
    rng = np.random.default_rng(seed)
    size = max(1, math.ceil(share * len(scores)))
    order = np.argsort(-scores, kind="stable")
    rank = np.argsort(order)
    drawn = rng.integers(0, len(scores), (repeats, size))
    return np.asarray(order[rank[drawn].min(axis=1)], np.int64)


def compare_samples(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0, repeats: int = 4000
) -> SampleTests:
    """Whether two samples of scores differ: Mann-Whitney's U (two-sided), Kolmogorov and Smirnov's D, and the
    difference of the expected best of n draws, n half the size of the smaller sample, by the bootstrap."""
    from scipy import stats  # type: ignore[import-untyped]

    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    rank = stats.mannwhitneyu(a, b, alternative="two-sided")
    shape = stats.ks_2samp(a, b)
    n = max(1, min(len(a), len(b)) // 2)
    rng = np.random.default_rng(seed)
    bests = [_bootstrap(sample, repeats, rng) @ _chances(len(sample), n) for sample in (a, b)]
    low, high = np.quantile(bests[0] - bests[1], BAND)
    difference = float(np.sort(a) @ _chances(len(a), n) - np.sort(b) @ _chances(len(b), n))
    return {
        "mann_whitney": {
            "u": float(rank.statistic),
            "p": float(rank.pvalue),
            "superiority": float(rank.statistic) / (len(a) * len(b)),
        },
        "kolmogorov_smirnov": {"d": float(shape.statistic), "p": float(shape.pvalue)},
        "best_of_n": {"n": n, "difference": difference, "low": float(low), "high": float(high)},
    }
