"""Searches that vary words of the training: they reach the trainer, are told apart, resumed and retrained."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.space import load_space
from tests.search.local import drive_locally, tiny
from tests.search.test_search import story

RATES = (0.01, 0.05, 0.2)
VARIED = (
    "training.learning_rate={choice: [0.01, 0.05, 0.2]}",
    "training.optimizer={choice: [sgd, adamw]}",
    "training.nesterov={choice: [true, false], when: {optimizer: sgd}}",
    "training.batch_size={choice: [16, 50]}",
    "training.schedule=constant",
    "training.warmup=0",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    space, folder = tiny(tmp_path_factory.mktemp("whole"), *VARIED)
    drive_locally(space, folder)
    return folder


def test_every_trial_trains_with_its_own_words(whole: ExperimentFolder) -> None:
    with Ledger.read(whole.ledger) as ledger:
        trials = ledger.trials()
        rates = {trial.number: {e.metrics["learning_rate"] for e in ledger.epochs(trial.number)} for trial in trials}
    for trial in trials:
        assert rates[trial.number] == {trial.choices["training.learning_rate"]}, "constant: the highest is every step's"
        assert ("training.nesterov" in trial.choices) == (trial.choices["training.optimizer"] == "sgd")
        assert trial.digest == Architecture.from_dict(dict(trial.architecture)).digest
    assert {min(own) for own in rates.values()} == set(RATES)


@pytest.mark.parametrize("reports", [1, 4, 9, 14])
def test_a_killed_search_resumed_ends_like_one_that_was_not(
    whole: ExperimentFolder, tmp_path: Path, reports: int
) -> None:
    space, folder = tiny(tmp_path, *VARIED)
    drive_locally(space, folder, reports=reports)
    drive_locally(load_space(folder.space_yaml), folder)
    assert story(folder) == story(whole)
