"""Images without labels, from the files, folders and tables that a person names: what a trained network predicts."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np

from archsearch.data.form import suffixes
from archsearch.reading.errors import InputError, refuse
from archsearch.sources import tables
from archsearch.sources.columnar import PARQUET, ColumnarTable, open_columnar
from archsearch.sources.embedded import EmbeddedSource
from archsearch.sources.layout import is_hidden
from archsearch.sources.source import Content, Labels

ARRAYS = ".npy"
HINT = "correct the table; its column of paths, or of image bytes, can be named image, path or file"


class Images(Protocol):
    """Images, numbered from 0, of which none is decoded yet."""

    def __len__(self) -> int:
        """How many there are."""

    def name(self, number: int) -> str:
        """What the image is called in a result."""

    def read(self, number: int) -> Content:
        """The bytes of an image file, the path of one, or its pixels. Raises InputError for one that is missing."""


@dataclass(frozen=True)
class Files:
    """Image files; whether they are there is seen when they are read."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, number: int) -> str:
        """The path, as it was named, or below the folder or beside the table that was named."""
        return str(self.paths[number])

    def read(self, number: int) -> Path:
        """The path."""
        return self.paths[number]


@dataclass(frozen=True)
class Chained:
    """The images of several `parts`, one part after another; `ends` are how many there are up to the end of each."""

    parts: Sequence[Images]
    ends: Sequence[int]

    def __len__(self) -> int:
        return self.ends[-1]

    def name(self, number: int) -> str:
        """As the part calls it."""
        part, index = self._part(number)
        return part.name(index)

    def read(self, number: int) -> Content:
        """As the part reads it."""
        part, index = self._part(number)
        return part.read(index)

    def _part(self, number: int) -> tuple[Images, int]:
        index = bisect_right(self.ends, number)
        return self.parts[index], number - (self.ends[index - 1] if index else 0)


def images_of(arguments: Iterable[str | os.PathLike[str]]) -> Images:
    """The images that are named: each is an image file; a folder with images at any depth, which come in the order of
    their names; or a table (CSV, TSV, JSON lines, Parquet) with a column of their paths, relative to it, or their
    bytes. Raises InputError for a folder or a table without images, and where nothing is named."""
    parts: list[Images] = []
    for path in map(Path, arguments):
        if path.suffix.lower() in tables.SUFFIXES:
            parts.append(_rows(path))
            continue
        below = sorted(_below(path)) if path.is_dir() else [path]
        if not below:
            allowed = f"a folder with image files ({', '.join(sorted(suffixes()))}, {ARRAYS}), at any depth"
            raise refuse("no images", allowed=allowed, file=str(path))
        parts.append(Files(below))
    if not parts:
        raise refuse("no images are named", allowed="image files, folders or tables of them", file="IMAGE")
    return Chained(parts, list(accumulate(map(len, parts))))


def _rows(path: Path) -> Images:
    """The images of a table; its other columns are not read."""
    try:
        table: ColumnarTable | tables.TextTable
        table = open_columnar(path, [path]) if path.suffix.lower() in PARQUET else tables.open_text(path)
        column = tables.column_of(table, "image", None)
        if isinstance(table, ColumnarTable) and table.images:
            column = column if column in table.images else table.images[0]
            no_labels = Labels(values=np.zeros(sum(table.counts), np.int64))
            images: Images = EmbeddedSource(table=table, column=column, labels=no_labels)
        else:
            (cells,), _ = table.values([column or tables.required_column(table, "image", None)])
            images = Files([path.parent / str(cell) for cell in cells])
    except InputError as error:
        raise InputError(*(replace(problem, hint=HINT) for problem in error.problems)) from error
    if not len(images):
        raise refuse("a table without rows", allowed="one row for each image", file=str(path))
    return images


def _below(folder: Path) -> Iterator[Path]:
    """The image files in a folder, at any depth, but not in hidden folders or those of thumbnails."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in names:
            if Path(name).suffix.lower() in {*suffixes(), ARRAYS} and not name.startswith("."):
                yield Path(parent, name)
