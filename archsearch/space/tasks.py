"""What is asked of images: one class each, several labels, or numbers; and the metrics by which an answer is judged.

The loss follows from the task too: see archsearch.training.losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

TaskName = Literal["single_label", "multi_label", "regression"]
Sense = Literal["max", "min"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
UNEVEN = 10  # a class with fewer than one image for so many of another: accuracy then says little of the small classes
TOP = 5
OWN_NAME = r"[a-z][a-z0-9_]{0,60}"  # of a person's own metric: a regular expression


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the validation or test split: its name, which `sense` is better, and the tasks that it applies to.

    `percent`: a share from 0 to 1, which texts for a person show in percent.
    """

    name: str
    sense: Sense
    tasks: tuple[TaskName, ...]
    description: str
    percent: bool

    @property
    def label(self) -> str:
        """Its name in a text for a person: macro F1."""
        words = self.name.replace("_", " ")
        return words.upper() if self.name in ("auc", "r2") else words.replace(" f1", " F1").replace("top5", "top-5")

    def text(self, value: float) -> str:
        """A value as a person reads it: 93.04 %, or 0.9304."""
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}"

    def applies(self, task: TaskName, classes: int) -> bool:
        """Whether it is measured for this task with so many classes, labels or targets."""
        return task in self.tasks and (self.name != "top5_accuracy" or classes > TOP)


def _metric(name: str, tasks: tuple[TaskName, ...], description: str, sense: Sense = "max") -> Metric:
    percent = "regression" not in tasks
    return Metric(name=name, sense=sense, tasks=tasks, description=description, percent=percent)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("accuracy", ("single_label",), "share of images whose class has the highest score"),
        _metric("top5_accuracy", ("single_label",), "share of images whose class is among the five highest scores"),
        _metric("balanced_accuracy", ("single_label",), "mean of the classes' recalls: each class counts the same"),
        _metric("macro_f1", ("single_label", "multi_label"), "mean of the F1 scores of all classes or labels"),
        _metric("auc", ("single_label", "multi_label"),
                "mean area under the ROC curve of each class against the others, or of each label"),
        _metric("mean_average_precision", ("multi_label",), "mean of the labels' average precisions"),
        _metric("exact_match", ("multi_label",), "share of images all of whose labels are right"),
        _metric("mean_absolute_error", ("regression",), "mean absolute error, in the targets' units", "min"),
        _metric("root_mean_square_error", ("regression",), "root of the mean squared error, in the targets' units",
                "min"),
        _metric("r2", ("regression",), "coefficient of determination: 1 is exact, 0 as good as the mean"),
    )
}  # fmt: skip


def metrics_of(task: TaskName, classes: int) -> tuple[Metric, ...]:
    """The metrics that are measured for this task with so many classes, labels or targets (a network's outputs)."""
    return tuple(metric for metric in METRICS.values() if metric.applies(task, classes))


def default_metric(task: TaskName, *, imbalanced: bool = False) -> str:
    """The name of the metric that is sought where nothing else is asked for.

    Of several labels mean average precision, which, other than the AUC, still tells networks apart where most labels
    are absent (Davis & Goadrich 2006, doi:10.1145/1143844.1143874). Of numbers r2, which weighs targets of different
    units the same.
    """
    match task:
        case "single_label":
            return "balanced_accuracy" if imbalanced else "accuracy"
        case "multi_label":
            return "mean_average_precision"
        case "regression":
            return "r2"


def headline(scores: Mapping[str, float]) -> tuple[Metric, float] | None:
    """Of a split's metrics by their names the one that is shown where there is room for a single one: its task's
    default. None where it was not measured."""
    names = [default_metric(task) for task in TASKS]
    return next(((METRICS[name], scores[name]) for name in names if name in scores), None)


def is_imbalanced(counts: Iterable[int]) -> bool:
    """Whether classes with so many training images each are of very different size: the largest has more than ten
    times the images of the smallest. Classes without images do not count."""
    present = [count for count in counts if count > 0]
    return bool(present) and max(present) > UNEVEN * min(present)
