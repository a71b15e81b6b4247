"""Which kind of source a path is, by what a folder's files are called: nothing is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from archsearch.sources.layout import subfolders
from archsearch.sources.tables import SUFFIXES

COLUMNAR = (".parquet", ".pq", ".arrow")


def settings_of(path: Path) -> dict[str, Any] | None:
    """The keys of `data` that name this source; None for a file that is none. Raises OSError for what cannot be read.

    A folder is one of tar, Parquet, Arrow, .npy or idx files where it has some and no sub-folder of a class beside
    them; otherwise a folder of images.
    """
    if not path.is_dir():
        suffix = path.suffix.lower()
        name = "table" if suffix in SUFFIXES else "numpy" if suffix == ".npz" else None
        return None if name is None or not path.exists() else {"name": name, "file": str(path)}
    return {"name": _kind(path), "root": str(path)}


def _kind(folder: Path) -> str:
    below = subfolders(folder)
    names = [file.name.lower() for file in folder.iterdir()]
    inner = [file.name.lower() for file in (folder / "data").iterdir()] if "data" in below else []
    if "dataset_dict.json" in names or any(name.endswith(COLUMNAR) for name in (*names, *inner)):
        return "huggingface"
    if not below and any(name.endswith((".tar", ".tar.gz", ".tgz")) for name in names):
        return "webdataset"
    if not below and any(name.endswith(".npy") and re.search("label|target|^y|_y", name) for name in names):
        return "numpy"
    if not below and any(re.search(r"idx\d-ubyte", name) for name in names):
        return "idx"
    return "folder"
