"""Where a cross-validation pays, as docs/how-to/trust-the-winner.md has it: the simulation of benchmarks/folds.py."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.folds import FOLDS, World, folds_at_end, folds_in_each, in_trials, regrets
from benchmarks.tabular.table import Table


@pytest.mark.parametrize("name", ["digits", "fashion"])
@pytest.mark.parametrize(("images", "trainings"), [(50, 60), (150, 60), (500, 30)])
def test_for_as_many_trainings_folds_pay_at_the_end_and_not_in_each_trial(
    name: str, images: int, trainings: int
) -> None:
    row = regrets(World.of(Table.load(name), images), trainings, draws=2000)
    assert row["folds at end"] < row["folds in each"]
    assert row["folds at end"] < row["trials"] + 0.1


def test_without_noise_the_best_network_wins_whatever_the_strategy() -> None:
    world = World(accuracies=np.array([1.0] + [0.0] * (60 - 1)), seed_noise=0.0, images=10)  # certain answers
    assert in_trials(world, 60) == 0 and regrets(world, 60, draws=20)["trials"] == 0
    wins = [folds_in_each(world, 60) == 0 for _ in range(400)], [folds_at_end(world, 60) == 0 for _ in range(400)]
    assert np.isclose(np.mean(wins[0]), 1 / FOLDS, atol=0.06), "it saw a fifth of them"
    assert np.isclose(np.mean(wins[1]), 45 / 60, atol=0.07)
