"""How good a space's networks are: empirical distributions of their scores, the best of n draws, and where the best
ones fall, each with what chance does to it.

The intervals and tests hold for independent draws from any distribution, and for no other scores. SciPy is imported
where it is used, for scipy.stats takes about half a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import CONFIDENCE, holm

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
POINTS = 80  # of a curve
BAND = (0.025, 0.975)  # quantiles of the range in which the best rows fall


class Edf(TypedDict):
    """An empirical distribution function: at each x the share of values at most x, and its simultaneous 95 % band
    (empty where there is none)."""

    x: list[float]
    share: list[float]
    low: list[float]
    high: list[float]


class ExpectedBest(TypedDict):
    """The mean (`expected`) and the median best of n draws for each n, and the 95 % interval of the median: None for
    an n above about a fifth of the sample, of which it says too little."""

    n: list[int]
    expected: list[float]
    median: list[float]
    low: list[float | None]
    high: list[float | None]


class MannWhitney(TypedDict):
    """U and its p-value, `adjusted` for two tests; `superiority` is how often one of the first sample beats one of the
    second."""

    u: float
    p: float
    adjusted: float
    superiority: float


class KolmogorovSmirnov(TypedDict):
    """D, the largest distance between two EDFs, and its p-value, `adjusted` for two tests."""

    d: float
    p: float
    adjusted: float


class BestOfN(TypedDict):
    """The difference of the median best of `n` draws, first minus second, and its 95 % interval."""

    n: int
    difference: float
    low: float
    high: float


class SampleTests(TypedDict):
    """Whether two samples of scores differ; `best_of_n` is None where one has fewer than six scores."""

    mann_whitney: MannWhitney
    kolmogorov_smirnov: KolmogorovSmirnov
    best_of_n: BestOfN | None


def edf(values: Sequence[float], *, independent: bool = True) -> Edf:
    """F(x), the share of the values at most x, at each step (at POINTS quantiles, where there are more).

    Of `independent` draws, `low` and `high` are a band that holds the whole distribution function, at every x at once,
    in 95 % of samples, by the exact distribution of Kolmogorov's statistic (Massey 1951); each limit holds until the
    next x. There is at least one value."""
    from scipy import stats  # type: ignore[import-untyped]

    array = np.sort(np.asarray(values, np.float64))
    x = array if len(array) <= POINTS else np.quantile(array, np.linspace(0, 1, POINTS))
    share = np.searchsorted(array, x, side="right") / len(array)
    low, high = share[:0], share[:0]
    if independent:
        half = float(stats.kstwo.ppf(CONFIDENCE, len(array)))
        low, high = np.clip(share - half, 0, 1), np.clip(share + half, 0, 1)
    return {"x": x.tolist(), "share": share.tolist(), "low": low.tolist(), "high": high.tolist()}


def best_of(values: Sequence[float]) -> ExpectedBest:
    """The best of n = 1, 2, ... draws, for n up to as many values as there are: beyond, they say nothing.

    Mean and median are those over all subsets of n of the m values (of which the i-th smallest is the best with
    probability C(i - 1, n - 1) / C(m, n)). The best of n draws has the median that is the distribution's quantile at
    0.5 ** (1 / n), whose interval is between two of the values (`_limits`).
    """
    array = np.sort(np.asarray(values, np.float64))
    m = len(array)
    counts = np.unique(np.linspace(1, m, min(m, POINTS)).round().astype(int))
    weights = np.stack([_chances(m, int(n)) for n in counts])
    limits = _limits(m, counts)
    return {
        "n": counts.tolist(),
        "expected": (weights @ array).tolist(),
        "median": [_median(array, row) for row in weights],
        "low": [None if limit is None else float(array[limit[0]]) for limit in limits],
        "high": [None if limit is None else float(array[limit[1]]) for limit in limits],
    }


def _limits(m: int, counts: IntArray) -> list[tuple[int, int] | None]:
    """For each n of (k,) `counts` two indices into m ascending values, between which the median best of n draws lies
    with a probability of 95 % or more, whatever the distribution; None where the m values cannot bound it.

    Of m draws the number below the quantile q is binomial, so the i-th smallest is above it with the probability of
    fewer than i (order statistics; Thompson 1936)."""
    from scipy import stats

    tails = [[(1 - CONFIDENCE) / 2], [(1 + CONFIDENCE) / 2]]
    low, high = stats.binom.ppf(tails, m, 0.5 ** (1 / counts)).astype(int)
    return [(i - 1, j) if i >= 1 and j < m else None for i, j in zip(low.tolist(), high.tolist(), strict=True)]


def _median(ascending: FloatArray, chances: FloatArray) -> float:
    """The smallest value that is not exceeded with a chance of a half."""
    return float(ascending[np.searchsorted(np.cumsum(chances), 0.5 - 1e-9)])


def _chances(m: int, n: int) -> FloatArray:
    """(m,): how likely the i-th smallest of m is the largest of n drawn without replacement."""
    chances = np.zeros(m)
    chance = n / m  # of the largest
    for i in range(m, n - 1, -1):
        chances[i - 1] = chance
        if i > n:
            chance *= (i - n) / (i - 1)
    return chances


def best_rows(scores: FloatArray, *, seed: int = 0, repeats: int = 10_000, share: float = 0.25) -> IntArray:
    """(repeats,): the rows that are the best of `repeats` samples, each of `share` of the (n,) scores drawn with
    replacement: their values of a column are the range in which the best networks fall (Radosavovic 2020,
    arXiv:2003.13678, section 3.2, whose share of 25 % and 10,000 repeats these are)."""
    rng = np.random.default_rng(seed)
    size = max(1, math.ceil(share * len(scores)))
    order = np.argsort(-scores, kind="stable")
    rank = np.argsort(order)
    drawn = rng.integers(0, len(scores), (repeats, size))
    return np.asarray(order[rank[drawn].min(axis=1)], np.int64)


def compare_samples(first: Sequence[float], second: Sequence[float]) -> SampleTests:
    """Whether two samples of independent scores differ: Mann-Whitney's U (two-sided) and Kolmogorov and Smirnov's D,
    with their p-values adjusted by Holm, and the difference of the best of n draws, for the largest n of which both
    samples bound the median. Its interval joins those of the two (Newcombe 1998, Statistics in Medicine 17, 873-890).
    """
    from scipy import stats

    a, b = np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64))
    rank = stats.mannwhitneyu(a, b, alternative="two-sided")
    shape = stats.ks_2samp(a, b)
    adjusted = holm([rank.pvalue, shape.pvalue])
    return {
        "mann_whitney": {
            "u": float(rank.statistic),
            "p": float(rank.pvalue),
            "adjusted": adjusted[0],
            "superiority": float(rank.statistic) / (len(a) * len(b)),
        },
        "kolmogorov_smirnov": {"d": float(shape.statistic), "p": float(shape.pvalue), "adjusted": adjusted[1]},
        "best_of_n": _difference_of_bests(a, b),
    }


def _difference_of_bests(a: FloatArray, b: FloatArray) -> BestOfN | None:
    """Of two ascending samples; None where the smaller one bounds the best of no n."""
    smaller = min(len(a), len(b))
    counts = np.arange(1, smaller // 5 + 1)
    n = max((int(n) for n, limit in zip(counts, _limits(smaller, counts), strict=True) if limit), default=0)
    if not n:
        return None
    (middle_a, low_a, high_a), (middle_b, low_b, high_b) = (
        (_median(x, _chances(len(x), n)), *x[list(_limits(len(x), np.array([n]))[0] or ())].tolist()) for x in (a, b)
    )
    difference = middle_a - middle_b
    low = difference - math.hypot(middle_a - low_a, high_b - middle_b)
    high = difference + math.hypot(high_a - middle_a, middle_b - low_b)
    return {"n": n, "difference": difference, "low": low, "high": high}
