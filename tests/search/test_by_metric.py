"""Searches by other metrics than accuracy, with real trainings: several labels, numbers, latency as a cost."""

import json
from pathlib import Path

import numpy as np
import pytest

from archsearch.data import own_metrics
from archsearch.data.arrays import collect
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.summary import summarise
from archsearch.reading.errors import InputError
from archsearch.search.agreement import refuse_another_metric
from archsearch.search.deciding.messages import EpochTrained, RungReached
from archsearch.search.deciding.search import Search
from archsearch.search.proposing.experience import source_of
from archsearch.search.proposing.warm_start import carry_over
from archsearch.search.session import create
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from archsearch.space.tasks import metrics_of
from archsearch.study.storage import optuna_study
from tests.search.local import Silent, drive_locally
from tests.training.task_images import pairs_of_digits, rotated_digits

SPACE = """
archsearch: 1
name: asked
data: {name: arrays, root: DATA}
space: {stages: 1, depth: {int: [1, 3]}, width: {choice: [4, 8]}, block: {choice: [basic, bottleneck]}}
search: {OBJECTIVES trials: 6, seed: 3, sampler: bayes, early_stopping: {kind: asha, grace_epochs: 1, reduction: 2}}
training: {epochs: 3, batch_size: 32, precision: float32, learning_rate: 0.05}
"""
DATA = {"multi_label": pairs_of_digits, "regression": rotated_digits}


def begun(
    folder: Path, task: str, objectives: str = "", metrics: dict[str, str] | None = None
) -> tuple[SearchSpace, ExperimentFolder]:
    folder.mkdir(exist_ok=True)
    if not (data := folder / "arrays").is_dir():
        data.mkdir()
        collect(DATA[task](200)).write(data)
    file = folder / "asked.yaml"
    text = f"objectives: {objectives}," if objectives else ""
    file.write_text(SPACE.replace("DATA", str(data)).replace("OBJECTIVES", text))
    space = load_space(file, [] if metrics is None else [f"data.metrics={json.dumps(metrics)}"])
    experiment = ExperimentFolder(folder / "experiment")
    create(space, experiment, name="asked")
    return space, experiment


@pytest.fixture(scope="module")
def angles(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchSpace, ExperimentFolder]:
    space, folder = begun(tmp_path_factory.mktemp("angles"), "regression", "{flops: min, mean_absolute_error: min}")
    drive_locally(space, folder)
    return space, folder


def test_the_smallest_error_wins_and_every_metric_is_in_every_epoch(angles) -> None:
    folder = angles[1]
    with Ledger.read(folder.ledger) as ledger:
        finished = {t.number: t.value for t in ledger.trials(TrialState.FINISHED)}
        names = {f"validation_{metric.name}" for metric in metrics_of("regression", 1)}
        for epoch in ledger.epochs():
            assert names <= epoch.metrics.keys()
            assert "validation_accuracy" not in epoch.metrics
        for number, value in finished.items():
            assert ledger.epochs(number)[-1].metrics["validation_mean_absolute_error"] == value
        best = ledger.best()
        assert best.value == min(finished.values())
        tested = ledger.events_of("tested", trial=best.number)[0].data
        assert folder.weights(best.number).is_file()
    summary = summarise(folder)
    assert summary["best"]["value"] == best.value
    assert summary["best"]["test_value"] == tested["test_mean_absolute_error"]
    assert {row["trial"] for row in summary["pareto"]} <= {f"t{number:04d}" for number in finished}
    assert f"validation mean absolute error {best.value:.4f}" in folder.best_yaml.read_text()


def test_rungs_let_the_smaller_errors_go_on(angles) -> None:
    with Ledger.read(angles[1].ledger) as ledger:
        reached = {
            t.number: ledger.epochs(t.number)[0].metrics["validation_mean_absolute_error"] for t in ledger.trials()
        }
        promoted = {event.trial for event in ledger.events_of("promoted") if event.data["rung"] == 1}
    assert 0 < len(promoted) < len(reached)
    assert reached[min(reached, key=reached.__getitem__)] in [reached[number] for number in promoted]
    worst = max(reached, key=reached.__getitem__)
    assert worst not in promoted


def test_the_study_minimises_and_other_searches_learn_from_it(angles) -> None:
    space, folder = angles
    study = optuna_study(folder)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    with Ledger.read(folder.ledger) as ledger:
        best = ledger.best()
        values = {t.number: t.value for t in ledger.trials(TrialState.FINISHED)}
    front = {trial.number + 1: trial.values for trial in study.best_trials}
    assert front[best.number][list(space.search.objectives).index("mean_absolute_error")] == values[best.number]
    source = source_of(folder)
    assert source is not None and source.scores.max() <= 1.0
    curves = [result.curve for result in carry_over(space, folder).results]
    assert min(curve[3] for curve in curves if 3 in curve) == best.value


def test_the_metric_of_a_search_cannot_be_changed(angles, tmp_path: Path) -> None:
    other, _ = begun(tmp_path, "regression", "{r2: max}")
    with Ledger.read(angles[1].ledger) as ledger, pytest.raises(InputError, match="began with mean_absolute_error"):
        refuse_another_metric(angles[1], ledger, other.search.objective)


def test_an_interrupted_search_of_several_labels_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    values = []
    for name, reports in (("whole", None), ("killed", 7)):
        space, folder = begun(tmp_path / name, "multi_label")
        assert space.search.objectives == {"mean_average_precision": "max"}
        drive_locally(space, folder, reports=reports, save_every=0.0)
        if reports is not None:
            drive_locally(space, folder)
        with Ledger.read(folder.ledger) as ledger:
            values.append([(t.digest, t.state, t.value) for t in ledger.trials()])
            assert ledger.best().value == max(t.value for t in ledger.trials(TrialState.FINISHED))
    assert values[0] == values[1]


def test_latency_may_be_a_cost_without_a_bound_on_it(tmp_path: Path) -> None:
    space, folder = begun(tmp_path, "regression", "{r2: max, latency: min}")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        assert all(trial.cost["latency"] > 0 for trial in ledger.trials())
        assert len(ledger.events_of("latency")) == ledger.total == 6
    assert all(row["latency"] > 0 for row in summarise(folder)["pareto"])


@pytest.mark.parametrize("kind", [EpochTrained, RungReached])
def test_a_trial_whose_images_do_not_define_the_metric_has_failed(kind, tmp_path: Path) -> None:
    space, folder = begun(tmp_path, "multi_label")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), test=False)
        trial = ledger.propose(
            choices={}, architecture={}, digest="0" * 16, seed=0,
            cost=dict.fromkeys(("params", "flops", "macs", "activations"), 1),
        )  # fmt: skip
        ledger.start(trial.number)
        metrics = {"epoch": 3 if kind is EpochTrained else 1, "epochs": 3, "seconds": 1.0, "validation_loss": np.log(2)}
        if kind is EpochTrained:
            search._after_epoch(EpochTrained(number=1, metrics=metrics))
        else:
            search._pause(*search._note_epoch(RungReached(number=1, metrics=metrics, state=b"state")))
        assert ledger.trial(1).state is TrialState.FAILED
        assert ledger.trial(1).reason == "nan: the validation images do not define its mean average precision"


@pytest.mark.parametrize("sense", ["max", "min"])
def test_a_search_by_a_metric_of_ones_own(sense, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(own_metrics, "GIVEN", {})
    metrics = own_metrics.recorded({"mean_error": lambda outputs, labels: (outputs - labels).mean()})
    space, folder = begun(tmp_path, "regression", f"{{mean_error: {sense}}}", metrics)
    drive_locally(space, folder, reports=9, save_every=0.0)
    drive_locally(load_space(folder.space_yaml), folder)
    with Ledger.read(folder.ledger) as ledger:
        values = [trial.value for trial in ledger.trials(TrialState.FINISHED)]
        assert ledger.best().value == (max if sense == "max" else min)(values) and ledger.objective.sense == sense
        assert all("validation_mean_error" in epoch.metrics for epoch in ledger.epochs())
        assert "test_mean_error" in ledger.events_of("tested")[-1].data
    assert f"{ledger.objective.text(max(values))}" == f"{max(values):.4g}"
    assert optuna_study(folder).directions[0].name == f"{sense.upper()}IMIZE"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda outputs, labels: 1 / 0 if len(outputs) > 9 else 1.0,
            "the metric odd raised ZeroDivisionError: division by zero",
        ),
        (lambda outputs, labels: np.nan, "odd was no finite number on the validation images"),
    ],
    ids=["raises", "nan"],
)
def test_a_search_whose_metric_fails_says_why(function, reason, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(own_metrics, "GIVEN", {})
    monkeypatch.setattr(own_metrics, "TRIED", 9)
    space, folder = begun(tmp_path, "regression", "{odd: max}", own_metrics.recorded({"odd": function}))
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        failed = ledger.trials(TrialState.FAILED)
        assert len(failed) == ledger.total == 5 and failed[0].reason.startswith(f"metric: {reason}")
