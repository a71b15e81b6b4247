"""The source of images that a file's `data` names, and its labels as those of a task."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.sources.columns import Columns
from archsearch.sources.source import SPLITS, Labels, Source
from archsearch.space.settings import DataSettings
from archsearch.space.tasks import TaskName

TEST = SPLITS.index("test")
TEST_SHARE = 0.15  # of the images, where no test split is stated


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Labels of a task: classes as int64 (N,), K labels as uint8 (N, K) of 0 and 1, or K targets as float32 (N, K);
    `classes` are the names of the classes, labels or targets."""

    task: TaskName
    classes: tuple[str, ...]
    labels: npt.NDArray[Any]


def open_source(data: DataSettings) -> Source:
    """The source that the settings name. Raises InputError where it cannot be read; no image is looked at.

    Files that have not changed are not read again: a space's facts are asked for several times, and then the images.
    A class of one's own is asked each time, for what it reads is not known."""
    if data.name in ("table", "huggingface", "webdataset", "numpy", "idx"):
        with suppress(OSError):  # which the reader explains
            return _unchanged(data.name, data.location, data.columns, _state(Path(data.location).absolute()))
    return _opened(data.name, data.location, data.columns)


def _state(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, length and time of change of a file, or of all in a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    statuses = ((file, file.stat()) for file in files)
    return tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in statuses)


@lru_cache(2)
def _unchanged(name: str, location: str, columns: Columns, state: tuple[Any, ...]) -> Source:
    return _opened(name, location, columns)


def _opened(name: str, location: str, columns: Columns) -> Source:
    match name:
        case "table":
            from archsearch.sources.table import open_table

            return open_table(Path(location), columns)
        case "huggingface":
            from archsearch.sources.huggingface import open_folder

            return open_folder(Path(location), columns)
        case "webdataset":
            from archsearch.sources.webdataset import open_shards

            return open_shards(Path(location), columns)
        case "numpy":
            from archsearch.sources.arrays import open_numpy

            return open_numpy(Path(location))
        case "idx":
            from archsearch.sources.arrays import open_idx

            return open_idx(Path(location))
        case _:
            from archsearch.sources.own import open_own

            return open_own(name, location)


def without_test(source: Source) -> int:
    """How many images training and validation have together: all but those of the test split, which is drawn where
    the source states none."""
    if source.splits is None or not (source.splits == TEST).any():
        return len(source) - max(1, round(TEST_SHARE * len(source)))
    return int((source.splits != TEST).sum())


def targets_of(source: Source, data: DataSettings) -> Targets:
    """The source's labels as those of the task: the stated one, or the one that they look like. Strings and whole
    numbers are classes; rows of 0 and 1 are labels; other numbers are targets. Raises InputError where they cannot be
    of the stated task, and for less than two classes."""
    labels = source.labels
    task = _likely(labels) if data.task == "auto" else data.task
    values, names = labels.values, labels.names
    match task:
        case "single_label":
            if values.ndim > 1:
                raise source.refused(f"data.task: {task}, but an image has {values.shape[1]} labels or numbers")
            return _classes(values, names, source)
        case "multi_label":
            if values.ndim == 1:
                problem = f"data.task: {task}, but an image has a single label"
                raise source.refused(f"{problem}; columns.separator divides several labels in a cell")
            if not np.isin(values, (0, 1)).all():
                raise source.refused(f"data.task: {task}, but there are labels other than 0 and 1")
            return Targets(task=task, classes=names, labels=values.astype(np.uint8))
        case "regression":
            if values.dtype.kind not in "iufb":
                raise source.refused(f"data.task: {task}, but the label {values.ravel()[0].item()!r:.60} is no number")
            rows = values.reshape(len(values), -1).astype(np.float32)
            return Targets(task=task, classes=names if values.ndim == 2 else (labels.title,), labels=rows)


def _likely(labels: Labels) -> TaskName:
    if labels.values.ndim == 2:
        return "multi_label" if np.isin(labels.values, (0, 1)).all() else "regression"
    return "regression" if labels.values.dtype.kind == "f" else "single_label"


def _classes(values: npt.NDArray[Any], names: tuple[str, ...], source: Source) -> Targets:
    """Classes in the order of their names, of numbers in that of the numbers."""
    if names and values.dtype.kind == "i":
        if values.min() < 0 or values.max() >= len(names):
            wrong = int(values.min() if values.min() < 0 else values.max())
            raise source.refused(f"the label {wrong}, of {len(names)} classes")
        classes, indices = names, values
    else:
        distinct, indices = np.unique(values, return_inverse=True)
        classes = tuple(map(str, distinct.tolist()))
    if len(classes) < 2:
        raise source.refused(f"labels of a single class, {classes[0]!r:.80}")
    return Targets(task="single_label", classes=classes, labels=indices.astype(np.int64))
