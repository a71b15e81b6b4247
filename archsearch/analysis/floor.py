"""The floor that a network has to be above: what takes seconds and no network at all, on the pixels as they are.

The commonest class, logistic regression and a random forest (Breiman 2001), learnt from the training images and judged
by the validation images, as trials are. A search whose best is not above them has found nothing yet.
"""

from __future__ import annotations

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

LEARNT, JUDGED = 4_000, 10_000  # images, at most
SIDE = 14  # pixels to which larger images are averaged
TREES = 100


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Accuracies on so many validation `images`, after learning from `learnt` training images; None where those are of
    a single class."""

    commonest_class: float
    logistic_regression: float | None
    random_forest: float | None
    images: int
    learnt: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure_floor(images: ImageSet, *, seed: int = 0) -> Floor:
    """Learns and judges all three, with one thread; of large sets from a part, drawn by `seed`."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    began = time.monotonic()
    rng = np.random.default_rng(seed)
    learnt = np.sort(rng.permutation(len(images.train))[:LEARNT])
    judged = np.sort(rng.permutation(len(images.validation))[:JUDGED])
    labels, truth = images.train.labels[learnt], images.validation.labels[judged]
    pixels, others = (
        averaged(split, chosen, SIDE).reshape(len(chosen), -1) / images.white
        for split, chosen in ((images.train, learnt), (images.validation, judged))
    )
    regression = LogisticRegression(C=0.1, max_iter=100)
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    several = len(np.unique(labels)) > 1
    accuracies = [
        _accuracy(model, (pixels, labels), (others, truth)) if several else None for model in (regression, forest)
    ]
    return Floor(
        commonest_class=float(np.mean(truth == np.bincount(images.train.labels).argmax())),
        logistic_regression=accuracies[0],
        random_forest=accuracies[1],
        images=len(judged),
        learnt=len(learnt),
        seconds=round(time.monotonic() - began, 2),
    )


class FloorInBackground:
    """A floor that is measured in a thread while other things start."""

    def __init__(self, images: ImageSet) -> None:
        self._floor: Floor | None = None
        self._thread = Thread(target=self._measure, args=(images,), name="floor", daemon=True)
        self._thread.start()

    def then(self, write: Callable[[Floor], object], *, patience: float) -> bool:
        """Waits for the floor for so many seconds, and writes it where it is there; whether it was."""
        self._thread.join(patience)
        if self._floor is not None:
            write(self._floor)
        return self._floor is not None

    def _measure(self, images: ImageSet) -> None:
        with suppress(InputError, MemoryError, OSError):  # images that cannot be read: the trials say so
            self._floor = measure_floor(images)


def _accuracy(
    model: Any, learnt: tuple[npt.NDArray[Any], npt.NDArray[Any]], judged: tuple[npt.NDArray[Any], npt.NDArray[Any]]
) -> float:
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # that a regression has not converged: what it reaches is the floor
        return float(model.fit(*learnt).score(*judged))
