"""Tables of labels: CSV, TSV and JSON lines as rows of strings or values, with the line of each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.files import open_regular
from archsearch.reading.nearest import did_you_mean

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
ALLOWED = f"a table: {', '.join(SUFFIXES)}"
DELIMITERS = ",;\t|"
LONGEST_LINE = 2**24  # bytes of a JSON value
NAMED = 20  # rows that an error names each
ELSEWHERE = "name another file: --set data.file=FILE, or --root DIR for an existing experiment"

ROLES = {
    "image": ("image", "images", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "img",
              "image_file", "image_name", "img_path", "jpg", "png"),
    "label": ("label", "labels", "class", "class_name", "target", "category", "fine_label", "y"),
    "split": ("split", "subset", "partition"),
    "weight": ("weight", "sample_weight"),
    "group": ("group", "group_id"),
}  # fmt: skip


class Rows(Protocol):
    """Rows of a file or a folder, as messages name them."""

    @property
    def path(self) -> Path:
        """The file, or the folder."""

    def position(self, number: int) -> str:
        """What a message calls the row at this position: its line, its number or its key."""


class Table(Rows, Protocol):
    """A table whose columns are known, and whose rows are read when they are asked for."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""

    def values(self, columns: Sequence[str]) -> tuple[list[list[Any]], npt.NDArray[np.int64]]:
        """(a list of values for each of these columns, the rows' positions). Raises InputError for a broken row."""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table in lines of text; `delimiter` is None for JSON lines, else what stands between the cells."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str | None

    def values(self, columns: Sequence[str]) -> tuple[list[list[Any]], npt.NDArray[np.int64]]:
        """The cells of these columns as strings, or as JSON has them, and the line of each row."""
        cells: list[list[Any]] = [[] for _ in columns]
        lines: list[int] = []
        for line, row in _json_rows(self.path) if self.delimiter is None else self._rows(columns):
            lines.append(line)
            for column, name in zip(cells, columns, strict=True):
                column.append(row.get(name))
        return cells, np.array(lines, np.int64)

    def position(self, number: int) -> str:
        """The line, as compilers write it."""
        return f"{self.path}:{number}"

    def _rows(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
        chosen = [(name, self.columns.index(name)) for name in columns]
        rows = _csv_rows(self.path, self.delimiter or ",")
        next(rows)
        for line, row in rows:
            if len(row) != len(self.columns):
                raise bad_row(self.path, line, f"{len(row)} cells", allowed=f"{len(self.columns)}, as in the header")
            yield line, {name: row[index].strip() for name, index in chosen}


def open_text(path: Path) -> TextTable:
    """A CSV or TSV file with a header, or a file of JSON lines. Raises InputError."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        _, first = next(_json_rows(path), (0, {}))
        return TextTable(path=path, columns=_named(path, tuple(first)), delimiter=None)
    with _lines(path) as file:
        header = file.readline(csv.field_size_limit())
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=header.count)
    _, columns = next(_csv_rows(path, delimiter), (0, []))
    return TextTable(path=path, columns=_named(path, tuple(name.strip() for name in columns)), delimiter=delimiter)


def column_of(table: Table, role: str, stated: str | None) -> str | None:
    """The column that is stated, or the one whose name is usual for the role; None where there is none. Raises
    InputError for one that the table does not have."""
    if stated is not None:
        if stated not in table.columns:
            raise refuse(
                f"data.columns.{role}: the table has no column {stated!r:.80}",
                allowed=_listed(table.columns),
                hint=did_you_mean(stated, table.columns),
                file=str(table.path),
            )
        return stated
    lower = {name.lower().strip(): name for name in reversed(table.columns)}
    return next((lower[name] for name in ROLES[role] if name in lower), None)


def required_column(table: Table, role: str, stated: str | None) -> str:
    """As `column_of`. Raises InputError where there is none."""
    column = column_of(table, role, stated)
    if column is None:
        raise refuse(
            f"no column that is called {role}, or usually is it; the columns are {_listed(table.columns)}",
            allowed=", ".join(ROLES[role]),
            hint=f"--set data.columns.{role}=NAME",
            file=str(table.path),
        )
    return column


def bad_row(path: Path, line: int, message: str, *, allowed: str = "", hint: str = "") -> InputError:
    """The refusal of one row of a table, by its line."""
    return InputError(
        Problem(message=message, allowed=allowed, hint=hint or "correct the row", file=str(path), line=line)
    )


def bad_rows(
    rows: Rows, positions: npt.NDArray[np.int64], messages: Sequence[tuple[int, str]], *, allowed: str, hint: str
) -> InputError:
    """The refusal of rows, which `messages` name by their index: the first are named each, then their number."""
    problems = [
        Problem(message=message, file=rows.position(int(positions[index]))) for index, message in messages[:NAMED]
    ]
    if len(messages) == 1:
        return InputError(Problem(message=messages[0][1], allowed=allowed, hint=hint, file=problems[0].file))
    count = f"{len(messages)} rows like these" + ("" if len(messages) <= NAMED else f", {NAMED} of them listed above")
    return InputError(*problems, Problem(message=count, allowed=allowed, hint=hint, file=str(rows.path)))


def _named(path: Path, columns: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in name or "\udcff" in name for name in columns):
        raise bad_row(path, 1, "it is not text in UTF-8", allowed=ALLOWED, hint="save the table as UTF-8")
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if not any(columns) or repeated:
        problem = f"the column {repeated[0]!r} twice" if any(columns) else "no columns"
        raise bad_row(path, 1, problem, allowed="a first line that names each column once")
    return columns


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(repr(name)[:80] for name in columns[:NAMED]) + (", ..." if len(columns) > NAMED else "")


def _lines(path: Path) -> io.TextIOWrapper:
    """The file as UTF-8 text, with or without a byte order mark; bytes that are none are escaped, as in names of
    files. Raises InputError for what cannot be opened."""
    try:
        return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """The refusal of a table that cannot be opened."""
    return refuse(
        f"data.file: it cannot be read: {error.strerror or error}", allowed=ALLOWED, hint=ELSEWHERE, file=str(path)
    )


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row that is not empty."""
    with _lines(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if any(map(str.strip, row)):
                    yield reader.line_num, row
        except csv.Error as error:
            raise bad_row(path, reader.line_num, str(error), allowed="a row of cells") from error
        except OSError as error:
            raise unreadable(path, error) from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of each line that is not empty."""
    with _lines(path) as file:
        line = 0
        try:
            while text := file.readline(LONGEST_LINE + 1):
                line += 1
                if len(text) > LONGEST_LINE:
                    raise ValueError(f"more than {LONGEST_LINE:,} characters in a line")
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise ValueError(f"a {type(row).__name__}")
                    yield line, row
        except (ValueError, RecursionError) as error:
            problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise bad_row(path, max(1, line), problem, allowed="one JSON object in each line, such as "
                          '{"image": "a.png", "label": "cat"}') from error  # fmt: skip
        except OSError as error:
            raise unreadable(path, error) from error
