"""The Pareto front against its definition."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from archsearch.experiment.pareto import front, objective_scores, undominated
from tests.experiment import fill


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
    assert front([], ["accuracy"]) == []


def test_the_front_of_trials_has_the_accurate_and_the_cheap(tmp_path: Path) -> None:
    with fill.new(fill.ExperimentFolder(tmp_path / "x").create()) as ledger:
        fill.trial(ledger)
        one = ledger.trial(1)
    figures = [(0.9, 100), (0.8, 50), (0.8, 60), (0.7, 40), (0.6, 50), (0.7, 40)]
    trials = [
        dataclasses.replace(one, number=number, value=value, cost={"flops": flops})
        for number, (value, flops) in enumerate(figures, 1)
    ]
    members = front(trials, ["accuracy", "flops"])
    assert [trial.number for trial in members] == [1, 2, 4, 6]
    assert objective_scores(trials[1], ["flops", "accuracy"]) == [-50, 0.8]
    assert objective_scores(trials[1], ["flops", "accuracy"], value=0.5) == [-50, 0.5]
