"""Images that are ranges of bytes in larger files, such as members of a tar file: read in place, in any order."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular
from archsearch.sources.source import Labels, Numbers
from archsearch.sources.unpacking import unzipped

OPEN = 256  # files that a process keeps open


@dataclass(frozen=True, kw_only=True)
class RangeSource:
    """Image `n` is `lengths[n]` bytes from `offsets[n]` on, in the file `files[which[n]]`: an image file's bytes, or,
    with a `dtype` and `sizes`, an image's values, (H, W), (H, W, C) or (C, H, W).

    `names` (N,) are what the images are called in their file; None: by their numbers. `shown` is what a person named,
    `laid_out` says how such files are, and `notes` what is left out. `given` are the files as a person has them, where
    gzipped ones among them were unpacked to `files` of the cache; empty where all are read as they are.
    """

    shown: str
    files: tuple[str, ...]
    which: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    labels: Labels
    laid_out: str
    names: npt.NDArray[np.bytes_] | None = None
    given: tuple[str, ...] = ()
    dtype: str | None = None
    sizes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    splits: npt.NDArray[np.int8] | None = None
    weights: npt.NDArray[np.float32] | None = None
    groups: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.which)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of the arrays: the axis of the channels is the shorter one of the first and the
        last."""
        if self.dtype is None:
            return None
        if len(self.sizes) == 2:
            return 1, self.sizes[0], self.sizes[1]
        first, middle, last = self.sizes
        return (first, middle, last) if first < last else (last, first, middle)

    def name(self, number: int) -> str:
        """The file, and the image's name or number in it."""
        if self.names is not None:
            return f"{self.file(number)}: {os.fsdecode(bytes(self.names[number]))}"
        first = int(np.searchsorted(self.which, self.which[number]))
        return f"{self.file(number)}: image {number - first}"

    def file(self, number: int) -> Path:
        """The file that holds the image, as a person has it."""
        return Path((self.given or self.files)[int(self.which[number])])

    def read(self, number: int) -> bytes | npt.NDArray[Any]:
        """The image's bytes, or its values. Raises InputError where the file is shorter than it was."""
        path, offset, length = self.files[int(self.which[number])], int(self.offsets[number]), int(self.lengths[number])
        try:
            if self.given and not Path(path).exists():  # another machine's cache, or one that was emptied
                path = str(as_tar(self.file(number)))
            content = read_range(path, offset, length)
        except (OSError, ValueError) as error:
            problem = f"it cannot be read: {getattr(error, 'strerror', None) or error}"
            raise refuse(problem, hint="restore the file", file=self.name(number)) from error
        if self.dtype is None:
            return content
        return np.frombuffer(content, self.dtype).reshape(self.sizes)

    def identity(self, numbers: Numbers) -> Iterable[bytes]:
        """The files' names, the images' names in them, and their lengths."""
        yield b"\0".join(os.fsencode(Path(file).name) for file in self.given or self.files)
        yield self.which[numbers].astype("<i4").tobytes()
        yield (self.offsets if self.names is None else self.lengths)[numbers].astype("<i8").tobytes()
        if self.names is not None:
            yield b"\0".join(bytes(name) for name in self.names[numbers])

    def refused(self, problem: str, number: int | None = None) -> InputError:
        """The refusal of the files, or of one image."""
        return refuse(problem, allowed=self.laid_out, file=self.shown if number is None else self.name(number))

    def prepare(self) -> Iterable[str]:
        """What is left out, as messages."""
        return self.notes


def as_tar(file: Path) -> Path:
    """The tar file, unpacked to the cache where it is gzipped. Raises as `unzipped`."""
    return unzipped(file, "tar") if file.suffix in (".gz", ".tgz") else file


@lru_cache(OPEN)
def opened(path: str) -> BinaryIO:
    """The file, open for as long as it is among the last that were used. Raises OSError for what is no regular file."""
    return open_regular(Path(path))


def read_range(path: str, offset: int, length: int) -> bytes:
    """`length` bytes of a file. Raises OSError for a file that cannot be read, or is shorter."""
    file = opened(path)  # a reference, for another thread may cause it to be closed meanwhile
    content = os.pread(file.fileno(), length, offset)
    while len(content) < length:  # one call reads 2 GiB at most, and may read less
        more = os.pread(file.fileno(), length - len(content), offset + len(content))
        if not more:
            raise OSError(f"{len(content)} of {length} bytes at {offset}")
        content += more
    return content
