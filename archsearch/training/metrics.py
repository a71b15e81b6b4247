"""The metrics of a split, from one copy of a network's outputs.

What is counted is counted here, for importing scikit-learn takes seconds, which every worker would wait for; the tests
hold each of these to scikit-learn's. The precision-recall curves of several labels are scikit-learn's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.space.tasks import TOP, TaskName, metrics_of

Outputs = npt.NDArray[np.float32]
Labels = npt.NDArray[Any]
Thresholds = npt.NDArray[np.float64]
THRESHOLD = 0.5


def measured(
    task: TaskName, outputs: Outputs, labels: Labels, thresholds: Thresholds | None = None
) -> dict[str, float]:
    """Every metric of METRICS that applies to the task, by its name.

    `outputs` (N, K): probabilities of the classes or labels, or the numbers that were predicted, in the targets' units;
    `labels` as a Split has them; `thresholds` (K,) are the probabilities from which a label is present, None for 0.5.
    Classes without an image count in no mean. A metric that these images do not define, such as an AUC where all are
    of one class, is left out, as is one that is no finite number.
    """
    limits = np.full(outputs.shape[1], THRESHOLD) if thresholds is None else thresholds
    values = {
        metric.name: _MEASURES[metric.name](outputs, labels, limits) for metric in metrics_of(task, outputs.shape[1])
    }
    return {name: float(value) for name, value in values.items() if value is not None and np.isfinite(value)}


def best_thresholds(probabilities: Outputs, labels: Labels) -> Thresholds:
    """For each of K labels the probability from which it is taken to be present: of all that occur, that with the
    highest F1 score on these images, halfway to the next lower one; 0.5 for a label that none of them has."""
    from sklearn.metrics import precision_recall_curve

    thresholds = np.full(labels.shape[1], THRESHOLD)
    for column in np.flatnonzero(labels.any(0)):
        precision, recall, levels = precision_recall_curve(labels[:, column], probabilities[:, column])
        scores = precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12)
        best = int(len(scores) - 1 - scores[::-1].argmax())
        below = probabilities[probabilities[:, column] < levels[best], column]
        thresholds[column] = (float(levels[best]) + (float(below.max()) if len(below) else 0.0)) / 2
    return thresholds


def _accuracy(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float:
    return float((outputs.argmax(1) == labels).mean())


def _top5_accuracy(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float:
    five = np.argpartition(outputs, -TOP, axis=1)[:, -TOP:]
    return float((five == labels[:, None]).any(1).mean())


def _balanced_accuracy(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float:
    right, _, actual = _counts(outputs, labels, thresholds)
    return float((right[actual > 0] / actual[actual > 0]).mean())


def _macro_f1(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float | None:
    """2 * right / (predicted + actual) of each class or label that an image has or that is predicted for one."""
    right, predicted, actual = _counts(outputs, labels, thresholds)
    named = predicted + actual > 0
    return float((2 * right[named] / (predicted + actual)[named]).mean()) if named.any() else None


def _counts(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> tuple[Labels, Labels, Labels]:
    """Images (K,) of each class or label: rightly predicted, predicted, actual."""
    if labels.ndim == 1:
        predicted, count = outputs.argmax(1), outputs.shape[1]
        several = labels[predicted == labels], predicted, labels
        right, told, actual = (np.bincount(classes, minlength=count) for classes in several)
        return right, told, actual
    present = outputs >= thresholds
    return (present & (labels > 0)).sum(0), present.sum(0), labels.sum(0, dtype=np.int64)


def _auc(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float | None:
    """The mean of each class's or label's area under the ROC curve: the share of the pairs of an image that has it and
    one that has not in which the former has the higher output, ties counted half (Hanley & McNeil 1982)."""
    areas = []
    for column in range(outputs.shape[1]):
        chosen = labels == column if labels.ndim == 1 else labels[:, column] > 0
        with_label, without = outputs[chosen, column], np.sort(outputs[~chosen, column])
        if len(with_label) and len(without):
            below = without.searchsorted(with_label, "left").sum() + without.searchsorted(with_label, "right").sum()
            areas.append(below / 2 / (len(with_label) * len(without)))
    return float(np.mean(areas)) if areas else None


def _mean_average_precision(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float | None:
    from sklearn.metrics import average_precision_score

    present = np.flatnonzero(labels.any(0))
    scores = [average_precision_score(labels[:, column], outputs[:, column]) for column in present]
    return float(np.mean(scores)) if scores else None


def _exact_match(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float:
    return float(((outputs >= thresholds) == (labels > 0)).all(1).mean())


def _mean_absolute_error(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float:
    return float(np.abs(_errors(outputs, labels)).mean())


def _root_mean_square_error(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float:
    """The mean over the targets of each one's root."""
    return float(np.sqrt((_errors(outputs, labels) ** 2).mean(0)).mean())


def _r2(outputs: Outputs, labels: Labels, thresholds: Thresholds) -> float | None:
    """The mean over the targets that are not the same for all images."""
    squares = (_errors(outputs, labels) ** 2).mean(0)
    variance = labels.astype(np.float64).var(0)
    varies = variance > 0
    return float((1 - squares[varies] / variance[varies]).mean()) if varies.any() else None


def _errors(outputs: Outputs, labels: Labels) -> npt.NDArray[np.float64]:
    return outputs.astype(np.float64) - labels.astype(np.float64)


_MEASURES: Mapping[str, Callable[[Outputs, Labels, Thresholds], float | None]] = {
    "accuracy": _accuracy,
    "top5_accuracy": _top5_accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "auc": _auc,
    "mean_average_precision": _mean_average_precision,
    "exact_match": _exact_match,
    "mean_absolute_error": _mean_absolute_error,
    "root_mean_square_error": _root_mean_square_error,
    "r2": _r2,
}
