"""Labels that Python gives beside arrays of images: their task, the names of what they stand for, an array of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import refuse
from archsearch.space.tasks import TaskName


def given_labels(labels: Any, count: int, name: str, task: str) -> npt.NDArray[Any]:
    """Labels as an array: strings or whole numbers (N,), 0 and 1 (N, K), or float32 (N,) or (N, K). Raises
    InputError, also for those that cannot be of the task."""
    array = np.asarray(labels)
    if array.dtype.kind == "O":
        array = np.asarray(array.tolist())
    if array.dtype.kind == "b" and array.ndim == 2:
        array = array.astype(np.uint8)
    if task == "regression" and array.dtype.kind in "iu":
        array = array.astype(np.float32)
    allowed = "one whole number or string for each image"
    sound = array.dtype.kind in "iuUS" and array.ndim == 1
    if task in ("auto", "multi_label") and array.ndim == 2:
        allowed = "a row of 0 and 1 for each image"
        sound = array.dtype.kind in "iu" and array.shape[1] > 0 and bool(np.isin(array, (0, 1)).all())
    if task == "regression" or (task == "auto" and array.dtype.kind == "f"):
        allowed = "one finite number, or a row of them, for each image"
        sound = array.dtype.kind == "f" and array.ndim in (1, 2) and array.size > 0 and bool(np.isfinite(array).all())
    if not sound or len(array) != count or (task == "multi_label" and array.ndim != 2):
        raise refuse(
            f"labels are {array.dtype} {array.shape} for {count} images",
            allowed="a row of 0 and 1 for each image" if task == "multi_label" else allowed,
            file=f"data: {name}",
        )
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def task_of(labels: Mapping[str, npt.NDArray[Any]]) -> TaskName:
    """The task that the labels of all splits are of. Raises InputError where they are of several."""
    tasks: set[TaskName] = {
        "regression" if array.dtype.kind == "f" else "single_label" if array.ndim == 1 else "multi_label"
        for array in labels.values()
    }
    if len(tasks) > 1:
        raise refuse(f"labels of several tasks: {', '.join(sorted(tasks))}", allowed="one task", file="data")
    return tasks.pop()


def as_classes(
    labels: list[npt.NDArray[Any]], names: Any, task: TaskName
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """The classes' names, and each image's class by its index among them."""
    values, indices = np.unique(np.concatenate(labels), return_inverse=True)
    classes = tuple(map(str, values.tolist()))
    if isinstance(names, list | tuple) and values.dtype.kind in "iu" and values[0] >= 0 and values[-1] < len(names):
        classes, indices = tuple(map(str, names)), values[indices]
    if len(classes) < 2:
        raise refuse(f"labels of a single class, {classes[0]}", allowed="two classes or more", file="data")
    return classes, indices


def as_columns(labels: list[npt.NDArray[Any]], names: Any, task: TaskName) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
    """The names of the labels or targets, and a row of them for each image."""
    widths = {array.shape[1] if array.ndim == 2 else 1 for array in labels}
    if len(widths) > 1:
        raise refuse(f"rows of {sorted(widths)} labels", allowed="as many in all splits", file="data")
    count = widths.pop()
    rows = np.concatenate([array.reshape(-1, count) for array in labels])
    if isinstance(names, list | tuple) and len(names) == count:
        return tuple(map(str, names)), rows
    stem = "label" if task == "multi_label" else "target"
    return (stem,) if count == 1 else tuple(f"{stem} {number}" for number in range(1, count + 1)), rows
