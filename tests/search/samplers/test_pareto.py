"""Fronts against their definitions."""

import numpy as np

from archsearch.search.proposing.samplers.ranking import fronts
from tests.experiment.test_pareto import by_definition


def test_nothing_has_no_front() -> None:
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
