"""Parquet and Arrow files: their columns, and those columns' values, a batch of rows after another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import refuse
from archsearch.reading.files import open_regular

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 256  # rows that are decoded at once
BUFFER = 2**20  # bytes of a column that are read at once
PARQUET, ARROW = (".parquet", ".pq"), (".arrow",)


@dataclass(frozen=True, kw_only=True)
class ColumnarTable:
    """Files of equal columns, one after another: Parquet, or Arrow's as `datasets` saves them. `counts` are their rows.

    `images` are the columns of bytes, or of Hugging Face's {bytes, path}; `classes` maps a column to the names that its
    whole numbers are indices of.
    """

    path: Path
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    columns: tuple[str, ...]
    images: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]

    def values(self, columns: Sequence[str]) -> tuple[list[list[Any]], npt.NDArray[np.int64]]:
        """The values of these columns, as Python has them, and the rows' numbers from 0 on, over all files."""
        cells: list[list[Any]] = [[] for _ in columns]
        for file in self.files:
            for batch in batches(file, columns):
                for column, name in zip(cells, columns, strict=True):
                    column.extend(batch.column(name).to_pylist())
        return cells, np.arange(len(cells[0]) if cells else 0)

    def position(self, number: int) -> str:
        """The file, and the row in it, from 0 on."""
        for file, count in zip(self.files, self.counts, strict=True):
            if number < count:
                return f"{file}: row {number}"
            number -= count
        return str(self.path)


def open_columnar(path: Path, files: Sequence[Path]) -> ColumnarTable:
    """The table in these files. Raises InputError for a damaged one, and for columns that differ."""
    opened = [_schema(file) for file in files]
    schema = opened[0][0]
    for file, (other, _) in zip(files, opened, strict=True):
        if other.names != schema.names:
            raise refuse(
                f"the columns {', '.join(other.names)}", allowed=f"those of {files[0].name}: {', '.join(schema.names)}",
                hint="keep files of other columns in another folder", file=str(file),
            )  # fmt: skip
    return ColumnarTable(
        path=path,
        files=tuple(files),
        counts=tuple(count for _, count in opened),
        columns=tuple(schema.names),
        images=tuple(name for name in schema.names if _bytes_in(schema.field(name).type)),
        classes=_classes(schema),
    )


def batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a file, these columns alone, some hundred at a time: no more of the file is in memory. Of {bytes,
    path} the bytes alone are read. Raises InputError for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _explained(file), open_regular(file) as raw:
        if file.suffix.lower() in PARQUET:
            parquet = pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False)
            schema = parquet.schema_arrow
            leaves = [
                f"{name}.bytes" if pa.types.is_struct(schema.field(name).type) and _bytes_in(schema.field(name).type)
                else name
                for name in columns
            ]  # fmt: skip
            yield from parquet.iter_batches(ROWS, columns=leaves, use_threads=False)
            return
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                chosen = batch.select(list(columns))
                chosen.validate(full=True)  # Arrow's files are not checked as they are read
                for start in range(0, len(chosen), ROWS):
                    yield chosen.slice(start, ROWS)


def image_bytes(column: pa.Array) -> Iterator[memoryview]:
    """The bytes of each image of a column of bytes, or of {bytes, path}; empty where there are none."""
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        column = column.field("bytes")
    for value in column:
        buffer = value.as_buffer()
        yield memoryview(b"" if buffer is None else buffer)


def _schema(file: Path) -> tuple[pa.Schema, int]:
    """The columns of a file, and its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _explained(file), open_regular(file) as raw:
        if file.suffix.lower() in PARQUET:
            parquet = pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False)
            return parquet.schema_arrow, parquet.metadata.num_rows
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
            return stream.schema, sum(len(batch) for batch in stream)


def _bytes_in(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes, or {bytes, path}."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _bytes_in(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _classes(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The names of classes by column, as Hugging Face's `datasets` keeps them in a file's metadata."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        named = {column: feature.get("feature") or feature for column, feature in features.items()}
        found = {column: feature["names"] for column, feature in named.items() if feature.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {
        column: tuple(names)
        for column, names in found.items()
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    }


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Whatever goes wrong with a file in the block is an InputError that names it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, ValueError) and hasattr(error, "problems"):
            raise
        hint = "write the file again"
        if isinstance(error, MemoryError):
            hint = "write it with smaller row groups and pages (pyarrow: row_group_size=1000, write_batch_size=64)"
        raise refuse(
            f"it cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__:.300}",
            allowed="a Parquet file, or an Arrow file as datasets.save_to_disk writes it",
            hint=hint,
            file=str(file),
        ) from error
