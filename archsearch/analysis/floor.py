"""The floor that a network has to be above: what takes seconds and no network at all, on the pixels as they are.

The same answer for every image, a linear model and a random forest (Breiman 2001), learnt from the training images and
judged by the validation images, by the metric that the search maximises, as trials are. A search whose best is not
above them has found nothing yet.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from archsearch.data.describing import averaged
from archsearch.data.images import ImageSet
from archsearch.reading.errors import InputError
from archsearch.space.tasks import TaskName, default_metric
from archsearch.training.metrics import best_thresholds, measured

LEARNT, JUDGED = 4_000, 10_000  # images, at most
SIDE = 14  # pixels to which larger images are averaged
TREES = 100
Rows = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Values of a `metric` on so many validation `images`, after learning from `learnt` training images; None where
    those are of a single class, or where the images do not define the metric.

    `commonest_class`: the same answer for all, the commonest class, each label's share, or the targets' mean.
    `logistic_regression`: one for each of several labels; of a regression's targets it is ridge regression.
    """

    commonest_class: float | None
    logistic_regression: float | None
    random_forest: float | None
    images: int
    learnt: int
    seconds: float
    metric: str = "accuracy"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure_floor(images: ImageSet, *, metric: str | None = None, seed: int = 0) -> Floor:
    """Learns and judges all three, with one thread; of large sets from a part, drawn by `seed`. `metric` is one of
    METRICS that applies to the images' task, or of theirs; None: the task's default."""
    began = time.monotonic()
    name = metric or default_metric(images.task)
    rng = np.random.default_rng(seed)
    learnt = np.sort(rng.permutation(len(images.train))[:LEARNT])
    judged = np.sort(rng.permutation(len(images.validation))[:JUDGED])
    labels, truth = images.train.labels[learnt], images.validation.labels[judged]
    pixels, others = (
        averaged(split, chosen, SIDE).reshape(len(chosen), -1) / images.white
        for split, chosen in ((images.train, learnt), (images.validation, judged))
    )
    several = len(np.unique(labels, axis=0)) > 1
    same = np.broadcast_to(_same_answer(images), (len(judged), len(images.classes)))
    outputs = [same] + [
        _outputs(model, pixels, labels, others, len(images.classes)) if several else None
        for model in _models(images.task, seed)
    ]
    constant, linear, forest = (None if each is None else _scored(images, each, truth, name) for each in outputs)
    return Floor(
        commonest_class=constant,
        logistic_regression=linear,
        random_forest=forest,
        images=len(judged),
        learnt=len(learnt),
        seconds=round(time.monotonic() - began, 2),
        metric=name,
    )


class FloorInBackground:
    """A floor that is measured in a thread while other things start."""

    def __init__(self, images: ImageSet, *, metric: str | None = None) -> None:
        self._floor: Floor | None = None
        self._thread = Thread(target=self._measure, args=(images, metric), name="floor", daemon=True)
        self._thread.start()

    def then(self, write: Callable[[Floor], object], *, patience: float) -> bool:
        """Waits for the floor for so many seconds, and writes it where it is there; whether it was."""
        self._thread.join(patience)
        if self._floor is not None:
            write(self._floor)
        return self._floor is not None

    def _measure(self, images: ImageSet, metric: str | None) -> None:
        with suppress(InputError, MemoryError, OSError):  # what cannot be read or measured: the trials say so
            self._floor = measure_floor(images, metric=metric)


def _models(task: TaskName, seed: int) -> tuple[Any, Any]:
    """The linear model and the forest of a task."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    if task == "regression":
        return Ridge(), RandomForestRegressor(TREES, random_state=seed, n_jobs=1)
    regression = LogisticRegression(C=0.1, max_iter=100)
    linear = OneVsRestClassifier(regression) if task == "multi_label" else regression
    return linear, RandomForestClassifier(TREES, random_state=seed, n_jobs=1)


def _same_answer(images: ImageSet) -> npt.NDArray[np.float32]:
    """The outputs (K,) that suit most training images, whatever they show."""
    labels = images.train.labels
    if images.task != "single_label":
        return np.asarray(labels.mean(0, dtype=np.float64), np.float32)
    counts = np.bincount(labels, minlength=len(images.classes))
    return np.asarray(np.arange(len(counts)) == counts.argmax(), np.float32)


def _outputs(model: Any, pixels: Rows, labels: Rows, others: Rows, count: int) -> npt.NDArray[np.float32]:
    """Probabilities, or numbers, (N, count) for the images `others` of a model that learnt from `pixels`."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # that a regression has not converged: what it reaches is the floor
        model.fit(pixels, labels)
        if labels.dtype.kind == "f":
            return np.asarray(model.predict(others), np.float32).reshape(len(others), count)
        probabilities = model.predict_proba(others)
    outputs = np.zeros((len(others), count), np.float32)
    if labels.ndim == 1:
        outputs[:, model.classes_] = probabilities
    elif isinstance(probabilities, list):  # a forest's, a table for each label: of one that is always there, a column
        columns = zip(probabilities, model.classes_, strict=True)
        outputs[:] = np.stack([table[:, -1] * classes[-1] for table, classes in columns], 1)
    else:
        outputs[:] = probabilities
    return outputs


def _scored(images: ImageSet, outputs: npt.NDArray[np.float32], truth: Rows, metric: str) -> float | None:
    if (own := images.metrics.get(metric)) is not None:
        value = own(outputs, truth)
        return value if math.isfinite(value) else None
    thresholds = best_thresholds(outputs, truth) if images.task == "multi_label" else None
    return measured(images.task, outputs, truth, thresholds).get(metric)
