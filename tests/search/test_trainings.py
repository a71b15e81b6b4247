"""Searches that vary words of the training: they reach the trainer, are told apart, resumed and retrained."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.cli.showing.summary import _next
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.summary import summarise
from archsearch.search.confirming.confirm import Plan, confirm
from archsearch.search.confirming.contenders import baseline
from archsearch.search.proposing.proposals import Proposals
from archsearch.search.proposing.records import TrainedCandidate
from archsearch.search.proposing.warm_start import carry_over
from archsearch.space.choices import RecordedChoices
from archsearch.space.loading import load_space
from archsearch.space.many.feasible import Feasible
from archsearch.space.overrides import read_train_settings
from archsearch.space.space import SearchSpace
from archsearch.tracking.translate import params_of
from tests.search.local import drive_locally, tiny
from tests.search.test_confirm import Told
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
        assert trial.digest == digest(Architecture.from_dict(dict(trial.architecture)))
    assert {min(own) for own in rates.values()} == set(RATES)


@pytest.mark.parametrize("reports", [1, 4, 9, 14])
def test_a_killed_search_resumed_ends_like_one_that_was_not(
    whole: ExperimentFolder, tmp_path: Path, reports: int
) -> None:
    space, folder = tiny(tmp_path, *VARIED)
    drive_locally(space, folder, reports=reports)
    drive_locally(load_space(folder.space_yaml), folder)
    assert story(folder) == story(whole)


@pytest.mark.parametrize("reports", [4, 7])
def test_trainings_that_are_the_same_in_effect_do_not_part_a_resumed_search(tmp_path: Path, reports: int) -> None:
    """One cycle has no steps: of 30 spellings of one network's training 6 differ, and the others are passed by."""
    fixed = ("depth=1", "width=4", "block=basic", "link=residual", "activation=post")
    factors = "training.step_factor={choice: [0.1, 0.2, 0.3, 0.4, 0.5]}"
    words = (*(f"space.{word}" for word in fixed), *VARIED[:2], factors, "training.epochs=1", "search.trials=12")
    found = []
    for name, first in (("whole", None), ("killed", reports)):
        (tmp_path / name).mkdir()
        space, folder = tiny(tmp_path / name, *words)
        drive_locally(space, folder, reports=first)
        drive_locally(load_space(folder.space_yaml), folder)
        with Ledger.read(folder.ledger) as ledger:
            found.append([(trial.choices, trial.value) for trial in ledger.trials()])
    assert len(found[0]) == 6
    assert found[0] == found[1]


def test_the_winners_training_is_told(whole: ExperimentFolder) -> None:
    with Ledger.read(whole.ledger) as ledger:
        best = ledger.best()
    assert best is not None
    chosen = [(name.partition("training."), value) for name, value in best.choices.items()]
    words = {word: value for (_, dot, word), value in chosen if dot}
    assert summarise(whole)["best"]["training"] == words
    said = f"# Trained with batch_size {words['batch_size']}, optimizer {words['optimizer']}, learning_rate "
    assert said in whole.best_yaml.read_text()
    assert params_of(best)["training.learning_rate"] == str(words["learning_rate"]), "as MLflow has it"


def test_the_next_command_trains_with_the_winners_words(whole: ExperimentFolder) -> None:
    summary = summarise(whole)
    told = shlex.split(next(line for line in _next(summary) if line.startswith("archsearch train")))
    sets = [value for word, value in pairwise(told) if word == "--set"]
    space = load_space(whole.space_yaml)
    with Ledger.read(whole.ledger) as ledger:
        best = ledger.best()
    assert best is not None
    wanted = space.training.with_overrides(space.trainings.overrides(best.choices))
    given = {"data.name": ("--data", "digits"), "training.epochs": ("--epochs", int(told[told.index("--epochs") + 1]))}
    assert read_train_settings(given, sets).training == wanted


SAMPLERS = ["random", "tpe", "evolution", "local_search", "nsga2", "bayes", "{optuna: optuna.samplers:TPESampler}"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_proposes_trainings_none_of_them_twice(
    whole: ExperimentFolder, tmp_path: Path, sampler: str
) -> None:
    space = load_space(whole.space_yaml, [f"search.sampler={sampler}", "space.depth=1", "space.width=4"])
    with Ledger.read(whole.ledger) as ledger:
        trials, epochs = ledger.trials(), ledger.epochs()
    proposals = Proposals(space, trials, epochs, prior=known_of(space, 24))
    found = [proposals.propose(number) for number in range(9, 33)]
    assert all(found)
    assert len({candidate.identity for candidate in found if candidate}) == 24
    assert len({candidate.digest for candidate in found if candidate}) <= 12, "networks stand several times"
    for candidate in filter(None, found):
        space.trainings.settings(RecordedChoices(candidate.choices))
    assert {candidate.choices["training.learning_rate"] for candidate in found if candidate} == set(RATES)


def known_of(space: SearchSpace, count: int) -> list[TrainedCandidate]:
    """Made-up results that say that AdamW is better: enough of them for every sampler to have a model."""
    feasible = Feasible(space, seed=5)
    known = []
    for row in feasible.draw(count, np.random.default_rng(5)):
        choices = feasible.grid.choices(row)
        score = 0.8 if choices["training.optimizer"] == "adamw" else 0.4
        costs = {name: int(value[0]) for name, value in feasible.costs(row[None]).items()}
        known.append(TrainedCandidate(choices=choices, costs=costs, curve={1: score, 3: score}))
    return known


def test_a_latency_that_was_measured_holds_for_all_trainings_of_the_network(tmp_path: Path) -> None:
    fixed = ("space.depth=1", "space.width=4", "space.link=residual", "space.activation=post", "training.epochs=1")
    space, folder = tiny(tmp_path, *VARIED, *fixed, "budget={latency: {max: 1000ms}}")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        notes, trials = ledger.events_of("latency"), ledger.trials()
    assert len(trials) == 8
    assert len(notes) == len({trial.digest for trial in trials}) == 2
    known = {note.data["digest"]: note.data["latency"]["median_ms"] for note in notes}
    assert all(trial.cost["latency"] == known[trial.digest] for trial in trials)


def test_a_network_that_is_too_slow_is_not_measured_again_with_another_training(tmp_path: Path) -> None:
    fixed = ("space.depth=1", "space.width=4", "space.link=residual", "space.activation=post", "training.epochs=1")
    space, folder = tiny(tmp_path, *VARIED, *fixed, "budget={latency: {max: 0.000001ms}}")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.counts().total == 0
        assert len(ledger.events_of("latency")) == 2


def test_a_search_of_the_training_alone(tmp_path: Path) -> None:
    fixed = ("depth=1", "width=4", "block=basic", "link=residual", "activation=post")
    rates = "training.learning_rate={choice: [0.01, 0.05, 0.2]}"
    space, folder = tiny(tmp_path, *(f"space.{word}" for word in fixed), rates, "training.epochs=1")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.trials()
    assert sorted(trial.choices["training.learning_rate"] for trial in trials) == sorted(RATES)
    assert len({trial.digest for trial in trials}) == 1
    assert summarise(folder)["used_up"]


def test_a_warm_start_carries_trainings_that_the_new_space_has(whole: ExperimentFolder, tmp_path: Path) -> None:
    rates = "training.learning_rate={choice: [0.05, 0.2, 0.3]}"
    space, _ = tiny(tmp_path, *VARIED[1:], rates)
    with Ledger.read(whole.ledger) as ledger:
        left = sum(trial.choices["training.learning_rate"] == 0.01 for trial in ledger.trials())
    carried = carry_over(space, whole)
    assert dict(carried.dropped) == {"training.learning_rate = 0.01": left}
    assert len(carried.results) == 8 - left
    assert not carried.notes
    near, _ = tiny_at(tmp_path / "near", *VARIED[1:], "training.learning_rate={float: [0.005, 0.3], log: true}")
    assert not carry_over(near, whole).dropped
    fixed, _ = tiny_at(tmp_path / "fixed", *VARIED[1:], "training.learning_rate=0.01")
    assert len(carry_over(fixed, whole).results) == left


def tiny_at(folder: Path, *overrides: str) -> tuple[SearchSpace, ExperimentFolder]:
    folder.mkdir()
    return tiny(folder, *overrides)


def test_a_confirmation_retrains_each_with_its_own_words(tmp_path: Path) -> None:
    rates = "training.learning_rate={choice: [0.01, 0.2]}"
    fixed = ("depth=1", "width=4", "block=basic", "link=residual", "activation=post")
    words = (*(f"space.{word}" for word in fixed), rates, "training.epochs=1")
    space, folder = tiny(tmp_path, *words)
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        chosen = {trial.id: trial.choices["training.learning_rate"] for trial in ledger.trials()}
        first = ledger.best()
    assert first is not None
    other = baseline("resnet8_cifar", zoo.get("resnet8_cifar"), space)
    plan = Plan(folder=folder, top=2, seeds=1, named=[other], random=False)
    document = confirm(plan, load_images(space.data), Told())
    trained = {}
    for row in document["rows"]:
        (run,) = row["runs"]
        result = json.loads((Path(run["folder"]) / "result.json").read_text())
        trained[row["name"]] = result["training"]["learning_rate"]
        assert row.get("training", {}).get("learning_rate", 0.01) == trained[row["name"]]
    assert trained == {**chosen, "resnet8_cifar": chosen[first.id]}
    assert len({run["folder"] for row in document["rows"] for run in row["runs"]}) == 3
    assert document["training"]["learning_rate"] == {"choice": [0.01, 0.2]}
    again = Told()
    assert confirm(plan, load_images(space.data), again) == document
    assert (again.left, again.done) == (0, 3)
