"""Images in memory: three splits of uint8 or uint16 arrays, with what is needed to normalise them. NumPy only.

Plain arrays in a plain dataclass: Ray's object store shares them between workers without a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

SplitName = Literal["train", "validation", "test"]
Progress = Callable[[str], None]
Moments = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images (N, C, H, W), uint8 or uint16, contiguous; labels (N,), int64. Raises ValueError for anything else."""

    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype not in (np.uint8, np.uint16) or images.ndim != 4 or not images.flags.c_contiguous:
            raise ValueError(
                f"images are {images.dtype} {images.shape}; allowed: contiguous uint8 or uint16 (N, C, H, W)"
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1] or not len(labels):
            raise ValueError(f"labels are {labels.dtype} {labels.shape}; allowed: int64, one for each image, not empty")

    def __len__(self) -> int:
        return len(self.labels)

    def moments(self) -> Moments:
        """Mean and deviation of each channel, on a scale of 0 to 1."""
        return moments(self.images)


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A data set, split. `mean` and `std` are of the training split's channels, on a scale of 0 to 1."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, *, name: str, classes: tuple[str, ...], train: Split, validation: Split, test: Split) -> Self:
        """Measures the mean and the deviation of `train`. Raises ValueError where splits or labels do not fit."""
        shapes = {(split.images.shape[1:], str(split.images.dtype)) for split in (train, validation, test)}
        if len(shapes) > 1:
            raise ValueError(f"splits have images of several shapes: {sorted(shapes)}")
        for split in (train, validation, test):
            if split.labels.min() < 0 or split.labels.max() >= len(classes):
                raise ValueError(f"labels reach from {split.labels.min()} to {split.labels.max()}, "
                                 f"but there are {len(classes)} classes")  # fmt: skip
        mean, std = train.moments()
        return cls(name=name, classes=classes, train=train, validation=validation, test=test, mean=mean, std=std)

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
        """Bytes of all images and labels."""
        return sum(s.images.nbytes + s.labels.nbytes for s in (self.train, self.validation, self.test))

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits, equal for the same classes, images, labels and splits."""
        sha = hashlib.sha256(repr((self.name, self.classes)).encode())
        for split in (self.train, self.validation, self.test):
            sha.update(repr(split.images.shape).encode())
            sha.update(split.images.data)
            sha.update(np.ascontiguousarray(split.labels).astype("<i8").data)
        return sha.hexdigest()[:16]

    def split(self, name: SplitName) -> Split:
        """The split of this name. Raises ValueError for another."""
        if name not in get_args(SplitName):
            raise ValueError(f"no split {name!r}; allowed: train, validation, test")
        split: Split = getattr(self, name)
        return split


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
