"""A folder of Parquet files as Hugging Face's hub has them, or one that `datasets` saved, as a source."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from archsearch.reading.errors import InputError, refuse
from archsearch.sources.columnar import ARROW, PARQUET, open_columnar
from archsearch.sources.columns import Columns
from archsearch.sources.layout import split_kind, subfolders
from archsearch.sources.source import ANY_SPLIT, SPLITS, Source
from archsearch.sources.table import source_of

ALLOWED = "a folder of Parquet files such as train-00000-of-00001.parquet, or one that datasets.save_to_disk wrote"


def open_folder(root: Path, columns: Columns) -> Source:
    """The source in a folder: splits are those that the files' names, or the sub-folders' of a saved data set, state.

    Raises InputError for a folder without such files, and as `open_table`.
    """
    try:
        files = files_in(root)
    except OSError as error:
        raise _refused(root, f"it cannot be read: {error.strerror or error}") from error
    if not files:
        raise _refused(root, "no Parquet or Arrow files")
    by_kind: dict[str | None, list[Path]] = defaultdict(list)
    for file in files:
        by_kind[split_kind(file.stem) or split_kind(file.parent.name) if file.parent != root else split_kind(file.stem)
                ].append(file)  # fmt: skip
    unnamed = by_kind.pop(None, [])
    if not by_kind:
        return source_of(open_columnar(root, unnamed), columns)
    if "train" not in by_kind:
        raise _refused(root, f"files of the splits {', '.join(map(str, by_kind))}, but none for training")
    chosen = [file for split in SPLITS for file in by_kind.get(split, [])]
    table = open_columnar(root, chosen)
    kinds = [SPLITS.index(split) for split in SPLITS for _ in by_kind.get(split, [])]
    splits = np.repeat(np.array(kinds, np.int8), table.counts)
    notes = [f"{root}: ignored, since its name is not that of a split: {file.name}" for file in unnamed]
    return source_of(table, columns, splits=splits if (splits != ANY_SPLIT).any() else None, notes=tuple(notes))


def files_in(root: Path) -> list[Path]:
    """The Parquet files in a folder, in its folder `data` or its only sub-folder; or the Arrow files in it, or in the
    sub-folders of a saved DatasetDict. Raises OSError."""
    below = subfolders(root)
    for folder in (root, *(root / name for name in below if name == "data" or len(below) == 1)):
        if files := sorted(path for path in folder.iterdir() if path.suffix.lower() in PARQUET):
            return files
    folders = [root / name for name in below] if (root / "dataset_dict.json").is_file() else [root]
    return [path for folder in folders for path in sorted(folder.iterdir())
            if path.suffix in ARROW and not path.name.startswith("cache-")]  # fmt: skip


def _refused(root: Path, problem: str) -> InputError:
    return refuse(
        f"data.root: {problem}", allowed=ALLOWED, hint="name another folder: --set data.root=DIR", file=str(root)
    )
