"""A table of images and labels as a source: paths of image files, relative to the table, or the images' bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError, refuse
from archsearch.sources import tables
from archsearch.sources.columnar import PARQUET, ColumnarTable, open_columnar
from archsearch.sources.columns import Columns
from archsearch.sources.embedded import EmbeddedSource
from archsearch.sources.labelling import groups_of, labels_of, no_rows, splits_of, weights_of
from archsearch.sources.source import Labels, Numbers, Source, identity_of_files


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """Image files that a table names. `names` are the paths as they stand in it, as the file system's bytes; relative
    ones are below `folder`, the table's own. `positions` are the rows' lines; `shown` is the table as it was named."""

    table: tables.Table
    folder: str
    names: npt.NDArray[np.bytes_]
    positions: npt.NDArray[np.int64]
    labels: Labels
    splits: npt.NDArray[np.int8] | None = None
    weights: npt.NDArray[np.float32] | None = None
    groups: npt.NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    shape: None = None

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        """The row, and the path that stands in it."""
        path = os.fsdecode(bytes(self.names[number]))
        return f"{self.table.position(int(self.positions[number]))}: {path}"

    def file(self, number: int) -> Path:
        """The image's file, by its absolute path."""
        return Path(self.folder) / os.fsdecode(bytes(self.names[number]))

    def read(self, number: int) -> Path:
        """The image's file."""
        return self.file(number)

    def identity(self, numbers: Numbers) -> Iterable[bytes]:
        """The paths in the table, and the lengths of the files. Raises OSError for a file that is missing."""
        return identity_of_files(self.names[numbers], map(self.file, numbers.tolist()))

    def refused(self, problem: str, number: int | None = None) -> InputError:
        """The refusal of the table, or of one row."""
        file = str(self.table.path) if number is None else self.name(number)
        return refuse(
            problem, allowed="a table with a row for each image, such as: path,label", hint=tables.ELSEWHERE, file=file
        )

    def prepare(self) -> Iterable[str]:
        """Raises InputError for rows whose files do not exist."""
        yield from self.notes
        messages = [
            (number, f"no such file: {os.fsdecode(bytes(self.names[number]))}")
            for number in range(len(self))
            if not os.path.isfile(self.file(number))  # noqa: PTH113 (five times as fast)
        ]
        if messages:
            allowed = f"paths of image files, relative to {self.folder}"
            raise tables.bad_rows(
                self.table, self.positions, messages, allowed=allowed, hint="correct the paths, or move the table"
            )


def open_table(path: Path, columns: Columns) -> Source:
    """The table's source. Raises InputError for a file that is no table, a column that is missing, and for bad rows,
    which it names by their lines."""
    suffix = path.suffix.lower()
    if suffix not in tables.SUFFIXES:
        raise refuse(f"data.file: {path.name!r:.80}", allowed=tables.ALLOWED, hint=tables.ELSEWHERE, file=str(path))
    return source_of(open_columnar(path, [path]) if suffix in PARQUET else tables.open_text(path), columns)


def source_of(
    table: tables.Table, columns: Columns, *, splits: npt.NDArray[np.int8] | None = None, notes: tuple[str, ...] = ()
) -> Source:
    """The source of a table that is open. `splits` are those of its rows, where its files state them."""
    embedded = table.images if isinstance(table, ColumnarTable) else ()
    image = tables.column_of(table, "image", columns.image)
    if image is None or (columns.image is None and embedded and image not in embedded):
        image = embedded[0] if embedded else tables.required_column(table, "image", None)
    labels = _label_columns(table, columns.label)
    roles = {role: tables.column_of(table, role, getattr(columns, role)) for role in ("split", "weight", "group")}
    present = {role: name for role, name in roles.items() if name is not None}
    paths = [] if image in embedded else [image]
    cells, positions = table.values([*labels, *present.values(), *paths])
    if not len(positions):
        raise no_rows(table)
    extra = dict(zip(present, cells[len(labels) :], strict=False))
    names = table.classes.get(labels[0], ()) if isinstance(table, ColumnarTable) else ()
    shared: dict[str, Any] = {
        "labels": labels_of(table, labels, cells[: len(labels)], positions, separator=columns.separator, names=names),
        "splits": splits_of(table, extra["split"], positions) if "split" in extra else splits,
        "weights": weights_of(table, extra["weight"], positions) if "weight" in extra else None,
        "groups": groups_of(table, extra["group"], positions) if "group" in extra else None,
        "notes": notes,
    }
    if isinstance(table, ColumnarTable) and image in embedded:
        return EmbeddedSource(table=table, column=image, **shared)
    return TableSource(
        table=table,
        folder=str(table.path.absolute() if table.path.is_dir() else table.path.parent.absolute()),
        names=_paths(table, cells[-1], positions),
        positions=positions,
        **shared,
    )


def _label_columns(table: tables.Table, stated: str | tuple[str, ...] | None) -> list[str]:
    if isinstance(stated, tuple):
        return [tables.required_column(table, "label", column) for column in stated]
    return [tables.required_column(table, "label", stated)]


def _paths(table: tables.Table, cells: Sequence[Any], positions: npt.NDArray[np.int64]) -> npt.NDArray[np.bytes_]:
    bad = [
        (index, f"{cell!r:.60} instead of a path")
        for index, cell in enumerate(cells)
        if not isinstance(cell, str) or not cell or "\0" in cell
    ]
    if bad:
        raise tables.bad_rows(table, positions, bad, allowed="the path of an image file", hint="correct these rows")
    return np.array([os.fsencode(cell) for cell in cells], dtype=np.bytes_)
