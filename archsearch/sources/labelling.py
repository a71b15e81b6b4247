"""The cells of a table's columns as labels, splits, weights and groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError, refuse
from archsearch.sources.layout import split_kind
from archsearch.sources.source import ANY_SPLIT, SPLITS, Labels
from archsearch.sources.tables import Rows, bad_rows

WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")  # as Python writes it: 007 is a name
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?")
Positions = npt.NDArray[np.int64]
Checked = Callable[[Any], Any]


def labels_of(
    rows: Rows,
    columns: Sequence[str],
    cells: Sequence[Sequence[Any]],
    positions: Positions,
    *,
    separator: str | None = None,
    names: tuple[str, ...] = (),
) -> Labels:
    """Labels from one column or several. Of one: strings, whole numbers, numbers, or several labels a row (lists, or
    strings that `separator` divides). Of several: numbers. `names` are those of the classes that whole numbers are
    indices of, where the file states them. Raises InputError, which names the rows, for cells that are empty or of
    another kind than the rest."""
    if len(columns) > 1:
        numbers = [_checked(rows, positions, column, _number, f"a number in {name!r}")
                   for name, column in zip(columns, cells, strict=True)]  # fmt: skip
        return Labels(values=np.array(numbers, np.float64).T, names=tuple(columns))
    (column,) = cells
    if separator is not None:
        parts = _checked(rows, positions, column, lambda cell: _divided(cell, separator), "a string")
        return _tags(parts, names)
    if any(isinstance(cell, list | tuple) for cell in column):
        lists = _checked(rows, positions, column, _list, "a list of labels")
        if not names and all(isinstance(value, float) for row in lists for value in row):
            lengths = {len(row) for row in lists}
            if len(lengths) > 1:
                raise refuse(f"rows of {sorted(lengths)} numbers", allowed="as many in each row", file=str(rows.path))
            stem = columns[0]
            return Labels(values=np.array(lists), names=tuple(f"{stem} {n}" for n in range(1, lengths.pop() + 1)))
        return _tags(lists, names)
    values = _checked(rows, positions, column, _label, "a class's name or number")
    if all(type(value) is int or (isinstance(value, str) and WHOLE.fullmatch(value)) for value in values):
        return Labels(values=np.array([int(value) for value in values], np.int64), names=names, title=columns[0])
    if all(type(value) is float or NUMBER.fullmatch(str(value)) for value in values):
        return Labels(values=np.array([float(value) for value in values]), names=tuple(columns), title=columns[0])
    return Labels(values=np.array([str(value) for value in values]))


def splits_of(rows: Rows, cells: Sequence[Any], positions: Positions) -> npt.NDArray[np.int8]:
    """The split of each row: any of its usual names (training, valid, test_set); an empty cell states none."""

    def index(cell: Any) -> int:
        if cell is None or not str(cell).strip():
            return ANY_SPLIT
        kind = split_kind(str(cell))
        if kind is None:
            raise ValueError(f"the split {str(cell)!r:.60}")
        return SPLITS.index(kind)

    allowed = f"{', '.join(SPLITS)}, or an empty cell"
    splits = np.array(_checked(rows, positions, cells, index, allowed), np.int8)
    if not np.isin(splits, (ANY_SPLIT, 0)).any():
        raise refuse("no row of the split train", allowed=allowed, file=str(rows.path))
    return splits


def weights_of(rows: Rows, cells: Sequence[Any], positions: Positions) -> npt.NDArray[np.float32]:
    """The weight of each row, above 0."""

    def weight(cell: Any) -> float:
        number = _number(cell)
        if number <= 0:
            raise ValueError(f"the weight {number:g}")
        return number

    return np.array(_checked(rows, positions, cells, weight, "a number above 0"), np.float32)


def groups_of(rows: Rows, cells: Sequence[Any], positions: Positions) -> npt.NDArray[np.int64]:
    """The number of each row's group; rows with an equal cell are of one group."""
    names = _checked(rows, positions, cells, lambda cell: str(_label(cell)), "a group's name or number")
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _checked(rows: Rows, positions: Positions, cells: Sequence[Any], check: Checked, allowed: str) -> list[Any]:
    """`check` of each cell. Raises InputError for those rows for which it raises ValueError."""
    values, messages = [], []
    for index, cell in enumerate(cells):
        try:
            values.append(check(cell))
        except ValueError as error:
            messages.append((index, str(error)))
    if messages:
        raise bad_rows(rows, positions, messages, allowed=allowed, hint="correct these rows, or remove them")
    return values


def _label(cell: Any) -> str | int | float:
    match cell:
        case None | "":
            raise ValueError("an empty label")
        case bool():
            return str(cell).lower()
        case int() if abs(cell) < 10**18:
            return cell
        case float() if np.isfinite(cell):
            return cell
        case str():
            try:
                cell.encode()
            except UnicodeEncodeError:
                raise ValueError(f"a label that is not valid UTF-8: {cell!a:.60}") from None
            return cell
    raise ValueError(f"the label {cell!r:.60}")


def _number(cell: Any) -> float:
    try:
        number = float(cell)
    except (ValueError, TypeError):
        raise ValueError(f"{cell!r:.60} instead of a number" if cell not in (None, "") else "an empty cell") from None
    if not np.isfinite(number):
        raise ValueError(f"{cell!r:.60} instead of a finite number")
    return number


def _divided(cell: Any, separator: str) -> list[str]:
    if cell is None:
        return []
    return [str(_label(part.strip())) for part in str(cell).split(separator) if part.strip()]


def _list(cell: Any) -> list[str | int | float]:
    if cell is None:
        return []
    if not isinstance(cell, list | tuple):
        raise ValueError(f"{cell!r:.60} instead of a list")
    return [_label(value) for value in cell]


def _tags(rows: Sequence[Sequence[str | int | float]], names: tuple[str, ...]) -> Labels:
    """Several labels an image: a column for each of them, 1 where it applies. `names` are those of the numbers."""
    vocabulary: dict[Any, int] = {}
    if names and all(type(value) is int and 0 <= value < len(names) for row in rows for value in row):
        vocabulary = {number: number for number in range(len(names))}
    else:
        distinct = {value for row in rows for value in row}
        kinds = {type(value) for value in distinct}
        ordered = sorted(distinct) if kinds <= {int, float} or kinds == {str} else sorted(distinct, key=str)
        vocabulary, names = {value: index for index, value in enumerate(ordered)}, tuple(map(str, ordered))
    values = np.zeros((len(rows), len(vocabulary)), np.uint8)
    for index, row in enumerate(rows):
        values[index, [vocabulary[value] for value in row]] = 1
    return Labels(values=values, names=names)


def no_rows(rows: Rows) -> InputError:
    """The refusal of a table without rows."""
    return refuse("no rows", allowed="a row for each image", file=str(rows.path))
