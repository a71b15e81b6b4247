"""What intervals, bands and tests promise, by simulation: how often they hold the truth, and how often they call equal
samples different. A rate is compared with its own binomial interval."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from archsearch.analysis.distributions import best_of, compare_samples, edf
from archsearch.analysis.intervals import over_folds, over_seeds

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
# Accuracies have a tail towards the low end; `rounded` ones are equal in part, as over few validation images.
LAWS: dict[str, tuple[Draw, Callable[[np.ndarray], np.ndarray]]] = {
    "normal": (lambda rng, size: rng.normal(size=size), stats.norm.ppf),
    "uniform": (lambda rng, size: rng.random(size), lambda q: q),
    "low tail": (lambda rng, size: -rng.exponential(size=size), np.log),
    "high tail": (lambda rng, size: np.exp(rng.normal(size=size)), lambda q: np.exp(stats.norm.ppf(q))),
    "rounded": (lambda rng, size: np.round(2 * rng.normal(size=size)), lambda q: np.round(2 * stats.norm.ppf(q))),
}


def within(count: int, of: int, low: float, high: float) -> None:
    """Whether a rate of `count` of `of` may be one from low to high: its binomial interval of 99.9 % reaches there."""
    interval = stats.binomtest(count, of).proportion_ci(0.999)
    assert interval.high >= low and interval.low <= high, f"{count / of:.1%} of {of}, not {low:.1%} to {high:.1%}"


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("m", [6, 10, 30, 100])
def test_the_band_of_the_best_of_n_holds_its_median(law: str, m: int) -> None:
    draw, quantile = LAWS[law]
    samples = draw(np.random.default_rng(m), (500, m))
    bands = [best_of(row) for row in samples.tolist()]
    shown = [n for n, low in zip(bands[0]["n"], bands[0]["low"], strict=True) if low is not None]
    assert min(shown) == 1 and m / 10 <= max(shown) <= m / 5
    for i, n in enumerate(shown):
        median = quantile(np.array(0.5 ** (1 / n)))
        held = sum(band["low"][i] <= median <= band["high"][i] for band in bands)  # type: ignore[operator]
        within(held, len(bands), 0.95, 1.0)


@pytest.mark.parametrize("n", [10, 30, 200])
def test_the_band_of_a_distribution_holds_all_of_it_at_once(n: int) -> None:
    held, repeats = 0, 1000
    for values in np.random.default_rng(n).random((repeats, n)):
        band = edf(values.tolist())
        x = np.array([0.0, *band["x"], 1.0])  # between two of them the limits are those of the lower one
        low, high = np.array([0.0, *band["low"]]), np.array([band["high"][0] - 1 / n, *band["high"]])
        held += bool((low <= x[:-1] + 1e-12).all() and (x[1:] <= high + 1e-12).all())
    within(held, repeats, 0.95, 0.95 if n <= 80 else 0.97)  # of more values only some are shown


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("sizes", [(10, 10), (20, 60), (100, 100)])
def test_equal_samples_seldom_seem_different_by_any_of_the_three_tests(law: str, sizes: tuple[int, int]) -> None:
    rng, repeats, wrong, apart = np.random.default_rng(sum(sizes)), 400, 0, 0
    for _ in range(repeats):
        a, b = (LAWS[law][0](rng, (1, size))[0].tolist() for size in sizes)
        tests = compare_samples(a, b)
        best = tests["best_of_n"]
        assert best is not None
        apart += best["low"] > 0 or best["high"] < 0
        wrong += apart_of(tests)
    within(apart, repeats, 0.0, 0.05)
    within(wrong, repeats, 0.0, 0.05)


def apart_of(tests: dict) -> bool:
    best = tests["best_of_n"]
    return (
        min(tests[name]["adjusted"] for name in ("mann_whitney", "kolmogorov_smirnov")) < 0.05
        or best["low"] > 0
        or best["high"] < 0
    )


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_the_corrected_interval_over_folds_holds_the_mean(folds: int) -> None:
    """Folds whose values correlate by 1 / folds, as Nadeau & Bengio assume; Student's interval is too short."""
    rng, repeats, share = np.random.default_rng(folds), 1000, 1 / folds
    held, uncorrected = 0, 0
    for _ in range(repeats):
        values = share**0.5 * rng.normal() + (1 - share) ** 0.5 * rng.normal(size=folds)
        interval, plain = over_folds(values.tolist()), over_seeds(values.tolist())
        assert interval.low is not None and interval.high is not None and interval.p is not None
        assert (interval.p > 0.05) == (interval.low <= 0 <= interval.high)
        assert plain.low is not None and plain.high is not None
        held += interval.low <= 0 <= interval.high
        uncorrected += plain.low <= 0 <= plain.high
    within(held, repeats, 0.95, 0.95)
    assert uncorrected < 0.92 * repeats
