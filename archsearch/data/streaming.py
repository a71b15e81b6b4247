"""Data sets larger than memory: an ImageSet whose pixels are read from disk whenever they are indexed.

stream_feed.py reads them for a training, in processes of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.decoding import attempted, broken, decoded
from archsearch.data.form import ImageForm
from archsearch.data.images import ImageSet, Moments, Split, check_labels, labels_digested, moments
from archsearch.sources.source import Numbers, Source

MEASURED = 2048  # training images of which the mean and the deviation are taken
_MEASURED_SEED = 0


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """Images of a source that stand for an array (N, channels, height, width) of a form: indexed by numbers, those
    are decoded.

    `numbers` (N,) are the images' numbers in the source.
    """

    source: Source
    numbers: Numbers
    form: ImageForm

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array that the images stand for."""
        return len(self), *self.form.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array that the images stand for."""
        return self.form.dtype

    @property
    def nbytes(self) -> int:
        """Bytes in memory, which only the numbers take; those of the source are shared by all its images."""
        return self.numbers.nbytes

    def path(self, number: int) -> Path:
        """The file that holds image `number`."""
        return self.source.file(int(self.numbers[number]))

    def __getitem__(self, index: npt.NDArray[np.integer] | slice) -> npt.NDArray[Any]:
        """Images `index`, decoded by threads: (n, channels, height, width). Raises InputError for a broken one."""
        return decoded(self.source, self.numbers[index], self.form)


@dataclass(frozen=True, kw_only=True)
class StreamedSplit(Split):
    """A split whose images lie on disk. Raises ValueError where the labels are not one for each."""

    images: SourceImages  # type: ignore[assignment]  # what of an array is used, it has: shape, nbytes, len, [index]

    def __post_init__(self) -> None:
        check_labels(self.labels, self.weights, len(self.images))

    def moments(self) -> Moments:
        """Those of 2,048 images, drawn once for all. Raises InputError for a broken one among them."""
        (measured,) = sampled_moments(self.images.source, self.images.numbers, [self.images.form])
        return measured


def sampled_moments(source: Source, numbers: Numbers, forms: Sequence[ImageForm]) -> list[Moments]:
    """The moments of 2,048 of the images `numbers`, always the same, at each of several sizes. Raises InputError for a
    broken one among them."""
    drawn = np.random.default_rng(_MEASURED_SEED).permutation(len(numbers))[:MEASURED]
    sized, problems = attempted(source, numbers[np.sort(drawn)], forms)
    if problems:
        raise broken(list(problems.values()))
    return [moments(images) for images in sized]


@dataclass(frozen=True, kw_only=True)
class StreamedImages(ImageSet):
    """A data set on disk, split."""

    train: StreamedSplit
    validation: StreamedSplit
    test: StreamedSplit

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits, equal for the same classes, file names, file lengths, labels, splits and form.

        The pixels are not read: an image changed to another of as many bytes is not noticed.
        """
        sha = hashlib.sha256(repr((self.name, self.classes, "streamed")).encode())
        for split in (self.train, self.validation, self.test):
            form = split.images.form
            sha.update(repr(split.images.shape).encode())
            if (how := (form.bits, form.fit, form.pages, form.range)) != (8, "crop", False, None):
                sha.update(repr(how).encode())
            if form.crop_ratio != 1:
                sha.update(repr(form.crop_ratio).encode())
            for part in split.images.source.identity(split.images.numbers):
                sha.update(part)
            sha.update(labels_digested(split))
        return sha.hexdigest()[:16]


def some_files(images: ImageSet) -> list[str]:
    """Some of the files that a training of these images reads, from each split: none where all are in memory."""
    if not isinstance(images, StreamedImages):
        return []
    splits = [split.images for split in (images.train, images.validation, images.test)]
    return [str(files.path(number)) for files in splits for number in sorted({0, len(files) // 2, len(files) - 1})]
