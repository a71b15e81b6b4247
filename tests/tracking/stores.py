"""MLflow's stores for tests: making one's tables takes seconds, so they are made once and copied."""

import sqlite3
from contextlib import closing
from pathlib import Path


def a_copy(uri: str, path: Path) -> str:
    """The address of a copy of a SQLite store in the file `path`, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source, target = sqlite3.connect(uri.removeprefix("sqlite:///")), sqlite3.connect(path)
    with closing(source), closing(target):
        source.backup(target)
    return f"sqlite:///{path}"
