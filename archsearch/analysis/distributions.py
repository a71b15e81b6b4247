"""How good a space's networks are: empirical distributions of their scores, the best of n draws, and where the best
ones fall, each with what chance does to it. NumPy only; every draw is seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BAND = (0.025, 0.975)
POINTS = 80  # of a curve


def edf(values: Sequence[float], *, seed: int = 0, repeats: int = 500) -> dict[str, list[float]]:
    """F(x), the share of the values at most x, where it steps (at most POINTS places); `low` and `high` bound the
    middle 95 % of bootstrap samples at each x (Efron 1979)."""
    array = np.sort(np.asarray(values, np.float64))
    at = array if len(array) <= POINTS else np.quantile(array, np.linspace(0, 1, POINTS))
    rng = np.random.default_rng(seed)
    drawn = np.sort(array[rng.integers(0, len(array), (repeats, len(array)))], axis=1)
    shares = np.stack([np.searchsorted(row, at, side="right") for row in drawn]) / len(array)
    low, high = np.quantile(shares, BAND, axis=0)
    share = np.searchsorted(array, at, side="right") / len(array)
    return {"x": at.tolist(), "share": share.tolist(), "low": low.tolist(), "high": high.tolist()}


def best_of(values: Sequence[float], *, seed: int = 0, repeats: int = 200) -> dict[str, list[float]]:
    """The expected best of n = 1, 2, ... draws, for n up to as many values as there are: beyond, they say nothing.

    The mean over all subsets of n of the m values (of which the i-th smallest is the best with probability
    C(i - 1, n - 1) / C(m, n)), and its bootstrap interval of 95 %.
    """
    array = np.sort(np.asarray(values, np.float64))
    m = len(array)
    counts = np.unique(np.linspace(1, m, min(m, POINTS)).round().astype(int))
    weights = np.stack([_chances(m, int(n)) for n in counts])
    rng = np.random.default_rng(seed)
    drawn = np.sort(array[rng.integers(0, m, (repeats, m))], axis=1)
    low, high = np.quantile(drawn @ weights.T, BAND, axis=0)
    return {
        "n": counts.tolist(),
        "expected": (weights @ array).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _chances(m: int, n: int) -> FloatArray:
    """(m,): how likely the i-th smallest of m is the largest of n drawn without replacement."""
    found = np.zeros(m)
    chance = n / m  # of the largest
    for i in range(m, n - 1, -1):
        found[i - 1] = chance
        if i > n:
            chance *= (i - n) / (i - 1)
    return found


def best_rows(
    scores: FloatArray, *, seed: int = 0, repeats: int = 10_000, share: float = 0.25
) -> npt.NDArray[np.int64]:
    """(repeats,): the rows that are the best of `repeats` samples, each of `share` of the (n,) scores drawn with
    replacement: their values of a column are the range in which the best networks fall (Radosavovic 2020,
    arXiv:2003.13678, section 3.2, whose share of 25 % and 10,000 repeats these are)."""
    rng = np.random.default_rng(seed)
    size = max(1, math.ceil(share * len(scores)))
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(scores), np.int64)
    rank[order] = np.arange(len(scores))
    drawn = rng.integers(0, len(scores), (repeats, size))
    return np.asarray(order[rank[drawn].min(axis=1)], np.int64)


def compared(one: Sequence[float], other: Sequence[float], *, seed: int = 0, repeats: int = 4000) -> dict[str, Any]:
    """Whether two samples of scores differ: Mann-Whitney's U (two-sided; `superiority` is how often one of the first
    beats one of the second), Kolmogorov and Smirnov's D, and the difference of the expected best of n draws, n half
    the size of the smaller sample, with its bootstrap interval of 95 %."""
    from scipy import stats  # type: ignore[import-untyped]

    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    rank = stats.mannwhitneyu(first, second, alternative="two-sided")
    shape = stats.ks_2samp(first, second)
    n = max(1, min(len(first), len(second)) // 2)
    rng = np.random.default_rng(seed)
    bests = [
        np.sort(own[rng.integers(0, len(own), (repeats, len(own)))], axis=1) @ _chances(len(own), n)
        for own in (first, second)
    ]
    low, high = np.quantile(bests[0] - bests[1], BAND)
    difference = float(np.sort(first) @ _chances(len(first), n) - np.sort(second) @ _chances(len(second), n))
    return {
        "mann_whitney": {
            "u": float(rank.statistic),
            "p": float(rank.pvalue),
            "superiority": float(rank.statistic) / (len(first) * len(second)),
        },
        "kolmogorov_smirnov": {"d": float(shape.statistic), "p": float(shape.pvalue)},
        "best_of_n": {"n": n, "difference": difference, "low": float(low), "high": float(high)},
    }
