"""A space of linear widths: searched, resumed, read as a study, reported, narrowed and carried over to another."""

import json
from pathlib import Path

import pytest

from archsearch.analysis.report import Context, document, read_experiment
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.proposing.experience import source_of
from archsearch.search.proposing.warm_start import carry_over
from archsearch.search.session import create
from archsearch.space.choices import RecordedChoices
from archsearch.space.loading import load_space
from archsearch.study.storage import optuna_study
from tests.search.local import drive_locally

SPACE = """
archsearch: 1
name: linear
data: {name: digits, limit: 200, validation: 0.3}
space:
  stem: {width: 8}
  stages: {int: [2, 3]}
  linear_widths:
    depth: {int: [3, 6]}
    initial: {choice: [8, 16]}
    slope: {float: [2, 12], step: 2}
    multiplier: {float: [1.5, 2.5], step: 0.5}
  block: bottleneck
  bottleneck_ratio: {choice: [0.5, 1.0]}
  group_width: {choice: [4, 8]}
budget: {flops: {between: [50k, 250k]}}
search: {trials: 14, seed: 0, sampler: bayes, early_stopping: {kind: none}}
training: {epochs: 1, batch_size: 64, precision: float32}
"""
NUMBERS = [f"linear_widths.{name}" for name in ("depth", "initial", "slope", "multiplier")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search, whose first driver was gone after nine reports."""
    place = tmp_path_factory.mktemp("linear")
    (place / "space.yaml").write_text(SPACE)
    space, experiment = load_space(place / "space.yaml"), ExperimentFolder(place / "experiment")
    create(space, experiment, name="linear")
    drive_locally(space, experiment, reports=9)
    drive_locally(load_space(experiment.space_yaml), experiment)
    return experiment


def test_every_trial_is_within_the_budget_and_one_of_the_space(folder: ExperimentFolder) -> None:
    space = load_space(folder.space_yaml)
    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.trials()
    assert len(trials) == len({trial.digest for trial in trials}) == 14
    for trial in trials:
        assert list(trial.choices) == [*NUMBERS, "bottleneck_ratio", "group_width"]
        network = Architecture.from_dict(dict(trial.architecture))
        assert 50_000 <= cost(network).flops <= 250_000
        assert network == space.architecture(RecordedChoices(trial.choices))
        assert len(network.stages) in (2, 3)


def test_it_is_a_study_and_a_report_with_a_narrower_space(folder: ExperimentFolder, tmp_path: Path) -> None:
    study = optuna_study(folder)
    assert list(study.best_trial.params)[:4] == NUMBERS
    report = document(read_experiment(folder, Context(startup=3)))
    json.dumps(report, allow_nan=False)
    assert {row["name"] for row in report["narrower"]["ranges"]} >= {"linear_widths.depth", "flops"}
    if report["narrower"]["yaml"]:
        (tmp_path / "narrower.yaml").write_text(report["narrower"]["yaml"])
        assert load_space(tmp_path / "narrower.yaml").size() <= load_space(folder.space_yaml).size()


def test_results_are_carried_over_and_learned_from(folder: ExperimentFolder, tmp_path: Path) -> None:
    (tmp_path / "wider.yaml").write_text(SPACE.replace("[3, 6]", "[3, 8]"))
    wider = load_space(tmp_path / "wider.yaml")
    carried = carry_over(wider, folder)
    assert len(carried.results) == 14 and not carried.dropped
    with Ledger.read(folder.ledger) as ledger:
        digests = {trial.digest for trial in ledger.trials()}
    assert {digest(wider.architecture(RecordedChoices(r.choices))) for r in carried.results} == digests
    source = source_of(folder)
    assert source is not None and {"width", "depth", "linear_widths.slope"} <= set(source.features)
