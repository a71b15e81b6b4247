"""preprocessing.json read back: how an image file becomes a network's input, and its scores an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from archsearch.data.form import ImageForm
from archsearch.reading.errors import InputError, refuse
from archsearch.space.tasks import TASKS, TaskName
from archsearch.training.calibration import probabilities

LARGEST_SIDE = 2**14
EXPORT_AGAIN = "export the network again"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What an image file goes through before and behind a network with one output for each of `labels`.

    The file is read in the `form`; `mean` and `std` of its channels are on a scale of 0 to 1. `thresholds`, one a
    label, are probabilities from which on a label of several is given. `temperature` is 1 where `calibrated` is False.
    """

    task: TaskName
    labels: tuple[str, ...]
    form: ImageForm
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    calibrated: bool
    thresholds: tuple[float, ...] | None

    @classmethod
    def read(cls, document: Any, file: str) -> Self:
        """What preprocessing.json says. Raises InputError, which names the `file`, for anything but what
        `card.preprocessing` writes, and for a network whose data was not known when it was exported."""
        try:
            size, calibration = document["size"], document.get("calibration")
            labels, task = document["labels"], document.get("task", "single_label")
            classes, form = document["output"]["scores"], _form(size, document)
            mean, std = document["mean"], document["std"]
            if mean is None or std is None:
                raise refuse(
                    "the mean and standard deviation of the images are not known, for the network was exported without "
                    "its data",
                    hint="export it from the experiment that trained it",
                    file=file,
                )
            thresholds = document.get("thresholds")
            read = cls(
                task=task,
                labels=tuple(labels or map(str, range(classes))),
                form=form,
                mean=_numbers(mean, form.channels),
                std=_numbers(std, form.channels),
                temperature=1.0 if calibration is None else float(calibration["temperature"]),
                calibrated=calibration is not None,
                thresholds=None if thresholds is None else _numbers(thresholds, classes),
            )
            read._refuse_nonsense(classes)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            problem = f"not a preprocessing.json of archsearch ({type(error).__name__}: {error!s:.100})"
            raise refuse(problem, hint=EXPORT_AGAIN, file=file) from error
        return read

    def _refuse_nonsense(self, classes: int) -> None:
        """Raises ValueError for values that no network has."""
        if self.task not in TASKS or len(self.labels) != classes or not all(isinstance(x, str) for x in self.labels):
            raise ValueError(f"the task {self.task!r:.40} with {len(self.labels)} labels for {classes} outputs")
        if not 0 < self.temperature < math.inf or min(self.std) <= 0:
            raise ValueError(f"a temperature of {self.temperature} and standard deviations of {self.std}"[:100])

    def answers(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (N, K) as probabilities, or as they are where they are numbers in the targets' units."""
        if self.task == "regression":
            return scores
        scaled = scores.astype(np.float64) / self.temperature
        return probabilities(scaled, self.task == "multi_label").astype(np.float32)


def _form(size: Any, document: Any) -> ImageForm:
    shape = [size["channels"], size["height"], size["width"]]
    if any(type(length) is not int or not 0 < length <= LARGEST_SIDE for length in shape):
        raise ValueError(f"a size of {shape}")
    form = ImageForm(**{"channels": shape[0], "height": shape[1], "width": shape[2], **(document.get("form") or {})})
    if list(form.shape) != shape or form.bits not in (8, 16) or form.fit not in ("crop", "pad", "squash"):
        raise ValueError(f"the form {form}")
    if not 0 < form.crop_ratio <= 1:
        raise ValueError(f"a crop ratio of {form.crop_ratio}")
    return replace(form, range=None if form.range is None else (float(form.range[0]), float(form.range[1])))


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{len(numbers)} numbers, {count} are needed, finite")
    return numbers
