"""Images whose bytes are in the rows of Parquet or Arrow files, as a source.

Rows of such files cannot be read one by one. Before the first image is read, all are unpacked into one file, row group
by row group, in the user's cache: behind the images stand their N + 1 offsets and N, as 64-bit numbers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular
from archsearch.sources.columnar import ColumnarTable, batches, image_bytes
from archsearch.sources.ranges import read_range
from archsearch.sources.source import Labels, Numbers
from archsearch.sources.unpacking import cached_path, make


@dataclass(frozen=True, kw_only=True)
class EmbeddedSource:
    """Images in the `column` of a table's rows."""

    table: ColumnarTable
    column: str
    labels: Labels
    splits: npt.NDArray[np.int8] | None = None
    weights: npt.NDArray[np.float32] | None = None
    groups: npt.NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    shape: None = None

    def __len__(self) -> int:
        return sum(self.table.counts)

    def name(self, number: int) -> str:
        """The file, and the row in it."""
        return self.table.position(number)

    def file(self, number: int) -> Path:
        """The file that has the row."""
        last = np.searchsorted(np.cumsum(self.table.counts), number, side="right")
        return self.table.files[int(last)].absolute()

    def read(self, number: int) -> bytes:
        """The image's bytes; unpacks all images first where that has not been done. Raises InputError."""
        path = cached_path(self.table.files, self.column)
        try:
            offsets = _offsets(str(path))
        except OSError:
            unpack(self.table.files, self.column, path)
            offsets = _offsets(str(path))
        start, end = offsets[number : number + 2].tolist()
        try:
            return read_range(str(path), start, end - start)
        except OSError as error:
            raise refuse(f"it cannot be read: {error}", hint=f"delete {path}", file=self.name(number)) from error

    def identity(self, numbers: Numbers) -> Iterable[bytes]:
        """The files' names, lengths and last kilobytes, where Parquet states what is in them; and the rows."""
        for file in self.table.files:
            with open_regular(file) as opened:
                length = os.fstat(opened.fileno()).st_size
                opened.seek(max(0, length - 2**10))
                yield repr((file.name, length)).encode() + hashlib.sha256(opened.read()).digest()
        yield numbers.astype("<i8").tobytes()

    def refused(self, problem: str, number: int | None = None) -> InputError:
        """The refusal of the table, or of one row."""
        file = str(self.table.path) if number is None else self.name(number)
        return refuse(problem, allowed="a table with a row for each image, such as: path,label", file=file)

    def prepare(self) -> Iterable[str]:
        """Unpacks the images, where that has not been done. Raises InputError."""
        yield from self.notes
        path = cached_path(self.table.files, self.column)
        if not path.exists():
            yield f"unpacking {len(self):,} images of {self.table.path} to {path}"
            unpack(self.table.files, self.column, path)


def unpack(files: tuple[Path, ...], column: str, path: Path) -> None:
    """Writes the images of these files to `path`. Raises InputError for a damaged file, and where the disk is full."""

    def write(target: BinaryIO) -> None:
        lengths: list[int] = []
        for file in files:
            for batch in batches(file, [column]):
                for content in image_bytes(batch.column(0)):
                    target.write(content)
                    lengths.append(len(content))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype("<i8")
        target.write(offsets.tobytes() + np.array([len(lengths)], "<i8").tobytes())

    make(path, write, of=str(files[0]))


@lru_cache(8)
def _offsets(path: str) -> npt.NDArray[np.int64]:
    with open_regular(Path(path)) as file:
        end = os.fstat(file.fileno()).st_size
        file.seek(end - 8)
        (count,) = np.frombuffer(file.read(8), "<i8").tolist()
        file.seek(end - 8 * (count + 2))
        return np.frombuffer(file.read(8 * (count + 1)), "<i8").astype(np.int64)
