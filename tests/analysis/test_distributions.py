"""Distributions, the best of n draws, and differences between samples, against counting by hand and known laws."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from archsearch.analysis.distributions import best_of, best_rows, compare_samples, edf


def test_the_expected_best_of_n_is_the_mean_over_all_subsets() -> None:
    values = [0.3, 0.9, 0.1, 0.5, 0.5, 0.7]
    found = best_of(values)
    assert found["n"] == [1, 2, 3, 4, 5, 6]
    by_hand = [np.mean([max(some) for some in combinations(values, n)]) for n in found["n"]]
    assert found["expected"] == pytest.approx(by_hand)
    assert found["median"] == [
        sorted(max(some) for some in combinations(values, n))[(comb(6, n) - 1) // 2] for n in found["n"]
    ]
    limits = list(zip(found["low"], found["high"], strict=True))
    assert limits == [(0.1, 0.9), *[(None, None)] * 5], "six values bound the median of one draw and no more"


def test_the_edf_steps_through_the_values_and_its_band_narrows_with_more_of_them() -> None:
    few = edf([0.2, 0.4, 0.4, 0.8])
    assert few["x"] == [0.2, 0.4, 0.4, 0.8]
    assert few["share"] == [0.25, 0.75, 0.75, 1.0]
    many = edf(np.random.default_rng(0).random(1000).tolist())
    assert len(many["x"]) == 80
    widths = [np.mean(np.subtract(found["high"], found["low"])) for found in (few, many)]
    assert widths[1] < 0.3 * widths[0]
    assert edf([0.2, 0.4]) == edf([0.4, 0.2])
    assert edf([0.2, 0.4], independent=False) == {**edf([0.2, 0.4]), "low": [], "high": []}


def test_the_best_row_wins_as_often_as_a_quarter_with_replacement_holds_it() -> None:
    scores = np.arange(40.0)
    rows = best_rows(scores)
    assert len(rows) == 10_000
    assert np.mean(rows == 39) == pytest.approx(1 - (1 - 1 / 40) ** 10, abs=0.02)
    assert rows.min() > 0


def test_equal_samples_do_not_differ_and_shifted_ones_do() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(0.7, 0.02, 60).tolist()
    same = compare_samples(one, one)
    assert same["mann_whitney"]["superiority"] == 0.5
    assert same["kolmogorov_smirnov"] == {"d": 0.0, "p": 1.0, "adjusted": 1.0}
    assert same["best_of_n"]["low"] < 0 < same["best_of_n"]["high"]
    better = compare_samples((np.array(one) + 0.03).tolist(), one)
    assert better["mann_whitney"]["superiority"] > 0.75
    assert max(better["mann_whitney"]["p"], better["kolmogorov_smirnov"]["p"]) < 1e-4
    assert better["best_of_n"]["difference"] == pytest.approx(0.03)
    assert better["best_of_n"]["low"] > 0
