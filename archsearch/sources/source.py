"""What every source of images gives: names, labels, splits, bytes; each kind of source is a file beside this one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError

Content = bytes | Path | npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]
SPLITS = ("train", "validation", "test")
ANY_SPLIT = -1  # of an image for which no split is stated


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels as they are stated. `values` are (N,) strings, integers or floating-point numbers, one an image; or (N, K)
    numbers, one of each name an image: 0 and 1 where they say which of the `names` apply. `names` are those of the
    classes that integers are indices of, or of the K columns; empty where the values themselves are all that is known.
    `title` is what one number an image is called."""

    values: npt.NDArray[Any]
    names: tuple[str, ...] = ()
    title: str = "target"


def identity_of_files(names: npt.NDArray[np.bytes_], files: Iterable[Path]) -> Iterable[bytes]:
    """The names of image files, and the lengths of `files`, which have them. Raises OSError for one that is missing."""
    yield b"\0".join(bytes(name) for name in names)
    yield np.array([file.stat().st_size for file in files], "<i8").tobytes()


class Source(Protocol):
    """Labelled images, numbered from 0, of which none is decoded yet.

    `splits` (N,) are indices of SPLITS, or ANY_SPLIT; None where no split is stated. `weights` (N,) are positive
    numbers; images of one of the `groups` (N,) belong into one split. A source can be pickled, and is small then: it
    opens its files where it reads.
    """

    @property
    def labels(self) -> Labels:
        """The labels, one row for each image."""

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) where all images are arrays of one shape; None where they are image files."""

    @property
    def splits(self) -> npt.NDArray[np.int8] | None:
        """The stated splits."""

    @property
    def weights(self) -> npt.NDArray[np.float32] | None:
        """How much each image counts, or None where all count the same."""

    @property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """What must not be divided by a split, such as the images of one patient, as numbers of groups."""

    def __len__(self) -> int:
        """How many images there are."""

    def name(self, number: int) -> str:
        """What an error calls the image: its file, or the file and the row in it."""

    def file(self, number: int) -> Path:
        """The file on disk that holds the image."""

    def read(self, number: int) -> Content:
        """The image: the bytes of an image file, the path of one, or its pixels. Raises InputError for an image that
        is missing."""

    def identity(self, numbers: Numbers) -> Iterable[bytes]:
        """Bytes that differ where these images are others, as far as names and lengths tell: no image is read."""

    def refused(self, problem: str, number: int | None = None) -> InputError:
        """The refusal of the source, or of one image, with how such a source is laid out."""

    def prepare(self) -> Iterable[str]:
        """Makes the images ready to be read in any order; yields messages of what is done and left out. Raises
        InputError for images that are missing, as far as that is known without reading them."""
