"""Fronts and crowding against their definitions."""

import numpy as np
import pytest

from archsearch.search.proposing.samplers.pareto import crowding, fronts, undominated


def by_definition(scores: np.ndarray) -> np.ndarray:
    at_least = (scores[None] >= scores[:, None]).all(axis=2)
    better = (scores[None] > scores[:, None]).any(axis=2)
    return ~(at_least & better).any(axis=1)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("levels", [3, 1000])
def test_undominated_is_by_definition_ties_included(objectives: int, levels: int) -> None:
    rng = np.random.default_rng(objectives)
    for size in (1, 2, 7, 60):
        scores = rng.integers(0, levels, (size, objectives)).astype(float)
        assert np.array_equal(undominated(scores), by_definition(scores))


def test_nothing_has_no_front() -> None:
    assert undominated(np.empty((0, 2))).shape == (0,)
    assert fronts(np.empty((0, 3))).shape == (0,)


def test_fronts_are_peeled_one_after_another() -> None:
    scores = np.array([[3, 1], [1, 3], [2, 2], [1, 1], [2, 1], [0, 0]], float)
    assert fronts(scores).tolist() == [0, 0, 0, 2, 1, 3]
    assert fronts(scores, enough=3).tolist() == [0, 0, 0, 1, 1, 1]


def test_each_front_is_undominated_among_itself_and_later_ones() -> None:
    scores = np.random.default_rng(0).normal(size=(80, 3))
    number = fronts(scores)
    for front in range(number.max() + 1):
        assert by_definition(scores[number >= front])[number[number >= front] == front].all()
        assert not by_definition(scores[number >= front])[number[number >= front] > front].any()


def test_crowding_is_that_of_deb() -> None:
    scores = np.array([[0, 10], [1, 6], [4, 5], [10, 0]], float)
    expected = [np.inf, 4 / 10 + 5 / 10, 9 / 10 + 6 / 10, np.inf]
    assert crowding(scores).tolist() == pytest.approx(expected)
    assert np.isinf(crowding(np.array([[1.0, 2.0]]))).all()
