import math

import numpy as np
import pytest
from scipy import stats

from archsearch.analysis.intervals import (
    detectable,
    detection_rate,
    enough,
    holm,
    mean_interval,
    over_seeds,
    paired_difference,
    wilson,
)


@pytest.mark.parametrize(
    ("degrees", "printed"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (29, 2.0452), (120, 1.9799)],
)
def test_students_quantiles_are_those_of_the_printed_tables(degrees: int, printed: float) -> None:
    found = mean_interval(list(range(degrees + 1)))
    assert found.half is not None and found.deviation is not None
    assert round(found.half / found.deviation * math.sqrt(found.n), 4) == printed


def test_wilsons_interval_is_that_of_newcombes_examples() -> None:
    """Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3."""
    printed = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (correct, count), (low, high) in printed.items():
        assert wilson(correct, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson(29, 29)[1] == pytest.approx(1.0)
    narrow, wide = wilson(81, 263, 0.9), wilson(81, 263, 0.99)
    assert wide[0] < narrow[0] < 81 / 263 < narrow[1] < wide[1]


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = [0.91, 0.94, 0.90, 0.97]
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == 4
    assert found.deviation == pytest.approx(stats.tstd(values))
    assert found.half is not None and found.low == found.mean - found.half


def test_nineteen_of_twenty_intervals_hold_the_true_mean() -> None:
    draws = np.random.default_rng(7).normal(0.9, 0.02, size=(4000, 3))
    held = [found.low <= 0.9 <= found.high for found in map(mean_interval, draws) if found.low and found.high]
    assert len(held) == 4000
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)  # three and a half standard errors


def test_one_value_has_a_mean_and_no_interval() -> None:
    found = mean_interval([0.5])
    assert (found.mean, found.n, found.low, found.high, found.half, found.deviation) == (0.5, 1, *[None] * 4)
    assert found.p is None


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_what_has_no_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


def test_differences_are_taken_seed_by_seed() -> None:
    one = {1: 0.90, 2: 0.80, 3: 0.70, 9: 0.1}
    other = {3: 0.68, 2: 0.79, 1: 0.87, 4: 0.99}
    found = paired_difference(one, other)
    assert found is not None
    wanted = stats.ttest_rel([0.90, 0.80, 0.70], [0.87, 0.79, 0.68]).confidence_interval(0.95)
    assert (found.low, found.high, found.n) == (pytest.approx(wanted.low), pytest.approx(wanted.high), 3)
    # Apart the two spread by 0.2: only the pairing shows a difference of 0.02 that every seed agrees on.
    spread = mean_interval([0.90, 0.80, 0.70])
    assert found.half is not None and spread.half is not None and found.half < spread.half / 5
    assert paired_difference({1: 0.5}, {2: 0.5}) is None


def test_a_difference_has_a_sign_where_its_interval_leaves_zero_out() -> None:
    for values, has_one in (
        ([0.01, 0.011, 0.012], True),
        ([-0.01, -0.011, -0.012], True),
        ([0.01, -0.011, 0.012], False),
    ):
        found = mean_interval(values)
        assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
        assert (found.p < 0.05) == has_one == (found.low > 0 or found.high < 0)
    assert mean_interval([0.01, 0.01, 0.01]).p is None, "no spread, nothing to measure it by"


def test_of_fewer_than_three_seeds_there_are_the_values_alone() -> None:
    found = over_seeds([0.5, 0.7])
    assert (found.mean, found.n, found.values) == (pytest.approx(0.6), 2, (0.5, 0.7))
    assert (found.low, found.high, found.half, found.deviation, found.p) == (None,) * 5
    assert over_seeds([0.5, 0.6, 0.7]) == mean_interval([0.5, 0.6, 0.7])


def test_holm_is_that_of_the_printed_example() -> None:
    """Wright 1992 (Biometrics 48, 1005-1013), and by hand: each p-value by as many as are no smaller."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, 0.04], extra=2) == pytest.approx([0.04, 0.12])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_rate_of_detection_is_the_noncentral_t_distributions() -> None:
    for n, effect, level in ((3, 1.4, 0.05), (5, 1.4, 0.05), (10, 0.5, 0.01), (3, 0.0, 0.05)):
        critical, centre = stats.t.ppf(1 - level / 2, n - 1), effect * math.sqrt(n)
        exact = stats.nct.sf(critical, n - 1, centre) + stats.nct.cdf(-critical, n - 1, centre)
        assert detection_rate(n, effect, level) == pytest.approx(exact, abs=2e-3)
    assert detection_rate(7, detectable(7, 0.01), 0.01) == pytest.approx(0.8, abs=1e-3)
    # A lead of two deviations of a network is one of the square root of two deviations of the difference.
    assert [round(detection_rate(n, math.sqrt(2)), 2) for n in (3, 5)] == [0.29, 0.66]
    assert enough(1.0, 0.05, 40) == 10 and detection_rate(9, 1.0) < 0.8 <= detection_rate(10, 1.0)
    assert enough(0.1, 0.05, 40) is None
    assert detectable(3, 0.05 / 1000) > 30
