"""Images in memory: three splits of uint8 or uint16 arrays, with what is needed to normalise them. NumPy only.

Plain arrays in a plain dataclass: Ray's object store shares them between workers without a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from archsearch.data.form import ImageForm
from archsearch.space.tasks import TaskName

SplitName = Literal["train", "validation", "test"]
Progress = Callable[[str], None]
OwnMetric = Callable[[npt.NDArray[np.float32], npt.NDArray[Any]], float]
Moments = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images (N, C, H, W), uint8 or uint16, contiguous, with the labels of a task: classes as int64 (N,); K labels as
    uint8 (N, K), 0 or 1; K targets as float32 (N, K), finite. `weights` (N,), float32, none negative, say how often
    an image is drawn (sampling: weights); images of one of the `groups` (N,), int64, must not be divided. Raises
    ValueError for anything else."""

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float32] | None = None
    groups: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        images = self.images
        if images.dtype not in (np.uint8, np.uint16) or images.ndim != 4 or not images.flags.c_contiguous:
            raise ValueError(
                f"images are {images.dtype} {images.shape}; allowed: contiguous uint8 or uint16 (N, C, H, W)"
            )
        check_labels(self.labels, self.weights, len(images))

    def __len__(self) -> int:
        return len(self.labels)

    def moments(self) -> Moments:
        """Mean and deviation of each channel, on a scale of 0 to 1."""
        return moments(self.images)


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A data set, split. `mean` and `std` are of the training split's channels, on a scale of 0 to 1.

    `classes` are the names of the classes, labels or targets of its `task`: as many as a network has outputs.
    `metrics` are a person's own, measured beside those of the task: functions of a network's outputs (N, K), which are
    probabilities or numbers in the targets' units, and the labels of a split.
    `form` is how image files were read; None of images of one size that are no files. `others` are the same images at
    the other sizes that networks of a search see: with the same labels, smaller than these.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    task: TaskName = "single_label"
    metrics: Mapping[str, OwnMetric] = field(default_factory=dict)
    form: ImageForm | None = None
    others: tuple[ImageSet, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        name: str,
        classes: tuple[str, ...],
        train: Split,
        validation: Split,
        test: Split,
        task: TaskName = "single_label",
        form: ImageForm | None = None,
    ) -> Self:
        """Measures the mean and the deviation of `train`. Raises ValueError where splits or labels do not fit."""
        shapes = {(split.images.shape[1:], str(split.images.dtype)) for split in (train, validation, test)}
        if len(shapes) > 1:
            raise ValueError(f"splits have images of several shapes: {sorted(shapes)}")
        for split in (train, validation, test):
            _check_task(split.labels, task, len(classes))
        mean, std = train.moments()
        return cls(
            name=name, classes=classes, train=train, validation=validation, test=test, mean=mean, std=std, task=task,
            form=form,
        )  # fmt: skip

    def centred(self) -> Self:
        """The same images, from which the mean alone is subtracted: their `std` is 1."""
        others = tuple(other.centred() for other in self.others)
        return replace(self, std=(1.0,) * len(self.std), others=others)

    def normalised(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """The same images with this mean and deviation of each channel, on a scale of 0 to 1, in place of theirs."""
        others = tuple(other.normalised(mean, std) for other in self.others)
        return replace(self, mean=mean, std=std, others=others)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @property
    def white(self) -> int:
        """The highest value of a pixel: 255, or 65,535 of images of 16 bits."""
        return int(np.iinfo(self.train.images.dtype).max)

    @property
    def nbytes(self) -> int:
        """Bytes of all images and labels, at every size."""
        splits = sum(s.images.nbytes + s.labels.nbytes for s in (self.train, self.validation, self.test))
        return splits + sum(images.nbytes for images in self.others)

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits, equal for the same classes, images, labels and splits."""
        sha = hashlib.sha256(repr((self.name, self.classes)).encode())
        for split in (self.train, self.validation, self.test):
            sha.update(repr(split.images.shape).encode())
            sha.update(split.images.data)
            sha.update(labels_digested(split))
        return sha.hexdigest()[:16]

    @cached_property
    def principal_colours(self) -> npt.NDArray[np.float64]:
        """(C, C): the principal components of the training images' values on a scale of 0 to 1, a row each, times its
        eigenvalue (Krizhevsky 2012, section 4.1). Of 2,048 images at most, and of about 32x32 pixels of each."""
        return principal_components(self.train.images)

    def at(self, shape: tuple[int, int, int]) -> ImageSet:
        """The images as a network of this input (channels, height, width) sees them: these where none has its size."""
        return next((images for images in self.others if images.shape == tuple(shape)), self)

    def with_metrics(self, metrics: Mapping[str, OwnMetric]) -> ImageSet:
        """The same images, at every size, with these metrics besides those that they have."""
        others = tuple(images.with_metrics(metrics) for images in self.others)
        return replace(self, metrics={**self.metrics, **metrics}, others=others) if metrics else self

    def split(self, name: SplitName) -> Split:
        """The split of this name. Raises ValueError for another."""
        if name not in get_args(SplitName):
            raise ValueError(f"no split {name!r}; allowed: train, validation, test")
        split: Split = getattr(self, name)
        return split


LABEL_TYPES: dict[TaskName, Any] = {"single_label": np.int64, "multi_label": np.uint8, "regression": np.float32}


def check_labels(labels: npt.NDArray[Any], weights: npt.NDArray[np.float32] | None, count: int) -> None:
    """Raises ValueError unless these are labels, and weights or None, of so many images."""
    task = next((name for name, kind in LABEL_TYPES.items() if labels.dtype == kind), None)
    dimensions = 1 if task == "single_label" else 2
    if task is None or labels.ndim != dimensions or len(labels) != count or not labels.size:
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}; allowed: int64, one for each image, not empty; "
            "or uint8 or float32, a row for each image"
        )
    if task == "multi_label" and labels.max() > 1:
        raise ValueError(f"labels reach from {labels.min()} to {labels.max()}; allowed: 0 and 1")
    if task == "regression" and not np.isfinite(labels).all():
        raise ValueError("targets that are no finite numbers")
    if weights is not None:
        if weights.dtype != np.float32 or weights.shape != (count,):
            raise ValueError(f"weights are {weights.dtype} {weights.shape}; allowed: float32, one for each image")
        if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
            raise ValueError("weights below 0, or none above 0; allowed: finite numbers from 0 on")


def _check_task(labels: npt.NDArray[Any], task: TaskName, classes: int) -> None:
    """Raises ValueError for labels of another task, or of other classes than so many."""
    if labels.dtype != LABEL_TYPES[task]:
        raise ValueError(f"labels are {labels.dtype}; allowed: {np.dtype(LABEL_TYPES[task])} for the task {task}")
    if task == "single_label" and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels reach from {labels.min()} to {labels.max()}, but there are {classes} classes")
    if task != "single_label" and labels.shape[1] != classes:
        raise ValueError(f"rows of {labels.shape[1]} labels, but there are {classes} names")


def labels_digested(split: Split) -> bytes:
    """What a digest takes in of a split's labels, and of its weights where it has any."""
    labels = np.ascontiguousarray(split.labels)
    if labels.ndim == 1:
        content = labels.astype("<i8").tobytes()
    else:
        content = f"{labels.dtype} {labels.shape}".encode() + labels.astype(labels.dtype.newbyteorder("<")).tobytes()
    return content if split.weights is None else content + split.weights.astype("<f4").tobytes()


def principal_components(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(C, C): eigenvectors of the covariance of the channels' values on a scale of 0 to 1, a row each, times its
    eigenvalue; their largest entries are positive."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:2048])
    rows, columns = (max(1, side // 32) for side in images.shape[2:])
    parts = [images[chosen[start : start + 256]][:, :, ::rows, ::columns] for start in range(0, len(chosen), 256)]
    values = np.concatenate(parts).swapaxes(0, 1).reshape(images.shape[1], -1) / np.iinfo(images.dtype).max
    eigenvalues, vectors = np.linalg.eigh(np.atleast_2d(np.cov(values)))
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(vectors))])
    components: npt.NDArray[np.float64] = (vectors * signs * eigenvalues).T
    return components


def moments(images: npt.NDArray[Any]) -> Moments:
    """Mean and deviation of each channel, on a scale of 0 to 1, exact: from counts of the 256 or 65,536 values.

    A constant channel gets a deviation of 1, so that normalising it gives zeros.
    """
    white = int(np.iinfo(images.dtype).max)
    counts = np.zeros((images.shape[1], white + 1), np.int64)
    for start in range(0, len(images), 1024):  # bincount takes eight bytes a pixel: not all at once
        part = images[start : start + 1024]
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(part[:, channel].ravel(), minlength=white + 1)
    values = np.arange(white + 1) / white
    mean = (counts * values).sum(1) / counts.sum(1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())
