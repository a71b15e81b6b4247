"""What is asked of images, and by what it is judged."""

import pytest

from archsearch.space.tasks import METRICS, default_metric, is_imbalanced, metrics_of


def names(task, classes=10):
    return [metric.name for metric in metrics_of(task, classes)]


def test_each_task_has_its_metrics():
    assert names("single_label") == ["accuracy", "top5_accuracy", "balanced_accuracy", "macro_f1", "auc"]
    assert names("single_label", 5) == ["accuracy", "balanced_accuracy", "macro_f1", "auc"]
    assert names("multi_label", 3) == ["macro_f1", "auc", "mean_average_precision", "exact_match"]
    assert names("regression", 1) == ["mean_absolute_error", "root_mean_square_error", "r2"]


def test_errors_are_minimised_and_shown_in_units():
    assert {name for name, metric in METRICS.items() if metric.sense == "min"} == {
        "mean_absolute_error", "root_mean_square_error",
    }  # fmt: skip
    assert {name for name, metric in METRICS.items() if not metric.percent} == {
        "mean_absolute_error", "root_mean_square_error", "r2",
    }  # fmt: skip
    assert all(name == metric.name for name, metric in METRICS.items())


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_the_default_is_one_of_the_tasks_metrics_with_the_higher_the_better(task):
    for imbalanced in (False, True):
        metric = METRICS[default_metric(task, imbalanced=imbalanced)]
        assert metric in metrics_of(task, 1) and metric.sense == "max"


def test_classes_of_very_different_size_are_judged_by_balanced_accuracy():
    assert default_metric("single_label") == "accuracy"
    assert default_metric("single_label", imbalanced=True) == "balanced_accuracy"
    assert not is_imbalanced([10, 100]) and is_imbalanced([10, 101]) and is_imbalanced([1000, 0, 99])
    assert not is_imbalanced([]) and not is_imbalanced([0, 0])
