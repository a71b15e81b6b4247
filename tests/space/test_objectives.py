"""What a search may be by: one metric that its images have, with its own sense, alone or with costs."""

from pathlib import Path
from typing import get_args

import pytest

from archsearch.experiment.objective import Objective
from archsearch.reading.errors import InputError
from archsearch.space.datasets import DataFacts
from archsearch.space.fitting import ImageFacts, expected, fitted
from archsearch.space.loading import load_space
from archsearch.space.search_settings import ObjectiveName
from archsearch.space.space import SearchSpace
from archsearch.space.tasks import METRICS, TaskName

SPACE = """
archsearch: 1
name: tiny
data: {name: arrays}
space: {stages: 1, depth: {int: [1, 2]}, width: 8}
"""
EVEN, UNEVEN = (100, 90, 120), (100, 9, 120)


def space(folder: Path, search: str = "", task: TaskName = "single_label", classes: int = 3) -> SearchSpace:
    file = folder / "tiny.yaml"
    file.write_text(SPACE + (f"search: {search}\n" if search else ""))
    return load_space(file, data=DataFacts(input=(1, 8, 8), classes=classes, images=400, task=task))


def facts(counts: tuple[int, ...]) -> ImageFacts:
    return ImageFacts(train=sum(counts), shape=(1, 8, 8), mirrored=1.0, counts=counts)


def test_every_metric_and_every_cost_may_be_an_objective() -> None:
    costs = {"flops", "params", "macs", "activations", "memory", "latency"}
    assert set(get_args(ObjectiveName)) == METRICS.keys() | costs


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_any_metric_of_the_images_is_taken_with_its_sense_and_with_costs(metric, tmp_path: Path) -> None:
    text = f"{{objectives: {{flops: min, {metric.name}: {metric.sense}, latency: min}}}}"
    read = space(tmp_path, text, metric.tasks[0], classes=10)
    assert read.search.objective == Objective(name=metric.name, sense=metric.sense, percent=metric.percent)
    assert list(read.search.objectives) == ["flops", metric.name, "latency"]
    assert f"{metric.name}: {metric.sense}" in read.to_yaml()


@pytest.mark.parametrize(
    ("objectives", "task", "message", "allowed"),
    [
        ("{macro_f1: min}", "single_label", "objectives: macro_f1: min", "macro_f1: max"),
        ("{mean_absolute_error: max}", "regression", "objectives: mean_absolute_error: max",
         "mean_absolute_error: min"),
        ("{accuracy: max, flops: max}", "single_label", "objectives: flops: max", "flops: min"),
        ("{flops: min}", "single_label", "objectives with no metric", "one metric, such as accuracy: max"),
        ("{accuracy: max, auc: max}", "single_label", "objectives with the metrics accuracy, auc", "one metric"),
        ("{r2: max}", "single_label", "search.objectives has r2, which the task single_label does not have",
         "accuracy: max, balanced_accuracy: max, macro_f1: max, auc: max"),
        ("{accuracy: max}", "regression", "search.objectives has accuracy, which the task regression does not have",
         "mean_absolute_error: min, root_mean_square_error: min, r2: max"),
        ("{top5_accuracy: max}", "single_label", "search.objectives has top5_accuracy, which images of 3 classes do",
         "accuracy: max"),
    ],
)  # fmt: skip
def test_what_cannot_be_sought_is_refused_with_what_can(
    objectives: str, task: TaskName, message: str, allowed: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        space(tmp_path, f"{{objectives: {objectives}}}", task)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert allowed in problem.allowed
    assert problem.line == 6


def test_what_is_sought_by_default_follows_from_the_task(tmp_path: Path) -> None:
    sought = {
        task: space(tmp_path, task=task).search.objectives for task in ("single_label", "multi_label", "regression")
    }
    assert sought == {
        "single_label": {"accuracy": "max"},
        "multi_label": {"mean_average_precision": "max"},
        "regression": {"r2": "max"},
    }
    notes = [space(tmp_path, task=task).notes for task in ("single_label", "regression")]
    assert notes == [(), ("search.objectives: r2: max, the default for regression",)]


@pytest.mark.parametrize("search", ["", "{trials: 3}"])
def test_classes_of_very_different_size_are_sought_by_balanced_accuracy_and_that_is_told(
    search: str, tmp_path: Path
) -> None:
    uneven = fitted(space(tmp_path, search), facts(UNEVEN))
    assert uneven.search.objectives == {"balanced_accuracy": "max"}
    assert "balanced_accuracy: max" in uneven.to_yaml()
    assert uneven.notes[0].startswith(
        "search.objectives: balanced_accuracy: max, since classes have 9 to 120 training images"
    )
    assert fitted(space(tmp_path, search), facts(EVEN)).search.objectives == {"accuracy": "max"}
    before = expected(space(tmp_path, search), sum(UNEVEN), UNEVEN)
    assert (before.search.objectives, len(before.notes)) == ({"balanced_accuracy": "max"}, 1)


def test_what_a_file_states_is_kept_for_uneven_classes_too(tmp_path: Path) -> None:
    for stated in ("{objectives: {accuracy: max}}", "{objectives: {macro_f1: max}}"):
        told = space(tmp_path, stated)
        assert fitted(told, facts(UNEVEN)).search.objectives == told.search.objectives


def test_fitting_keeps_the_default_of_another_task(tmp_path: Path) -> None:
    images = ImageFacts(train=300, shape=(1, 8, 8), mirrored=0.0, task="regression")
    numbers = fitted(space(tmp_path, task="regression", classes=1), images)
    assert numbers.search.objectives == {"r2": "max"}
    assert numbers.training.recipe == "none" and not numbers.training.flip


@pytest.mark.parametrize("sense", ["max", "min"])
def test_a_metric_of_ones_own_is_an_objective_in_the_sense_that_is_asked_for(sense: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    metrics = "data: {name: arrays, metrics: {kappa: 'measures:kappa'}}"
    file.write_text(
        SPACE.replace("data: {name: arrays}", metrics) + f"search: {{objectives: {{kappa: {sense}, flops: min}}}}"
    )
    known = DataFacts(input=(1, 8, 8), classes=3, images=400, task="single_label")
    read = fitted(load_space(file, data=known), facts(UNEVEN))
    assert read.search.objective == Objective(name="kappa", sense=sense, percent=False)
    file.write_text(read.to_yaml())
    assert load_space(file, data=known).search.objective == read.search.objective
    with pytest.raises(InputError, match=r"unknown key 'kapa' in search\.objectives"):
        load_space(file, ["search.objectives={kapa: max}"], data=known)
    with pytest.raises(InputError, match="the metrics accuracy, kappa"):
        load_space(file, ["search.objectives={accuracy: max, kappa: max}"], data=known)
