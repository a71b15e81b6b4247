"""The address of an MLflow store, looked at before a search begins: what cannot work is refused within a second."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from archsearch.reading.errors import InputError, refuse
from archsearch.tracking.outbox import without_password
from archsearch.tracking.store import database_path, resolve_tracking_uri

ALLOWED = "sqlite:///PATH.db, another database's URI, or a server's http(s)://"
ALLOWED_BY_USER = "MLFLOW_ALLOW_FILE_STORE"  # MLflow's own switch


def refuse_unusable_store(explicit: str | None) -> None:
    """Raises InputError for a folder (MLflow 3 takes none any more), and for an SQLite file that cannot be made, opened
    or written. Writes nothing. A server is not asked: it may come later, and `sync` sends what is missing."""
    uri = resolve_tracking_uri(explicit)
    database = database_path(uri)
    if database is not None:
        _refuse_unwritable(database)
    elif urlsplit(uri).scheme in ("", "file") and uri != "databricks" and not os.environ.get(ALLOWED_BY_USER):
        path = Path(urlsplit(uri).path)
        database = path if path.suffix else path / "mlflow.db"
        raise _refused(
            f"{without_password(uri)!r:.200} is a folder: MLflow no longer stores runs in folders",
            hint=f"sqlite:///{database}; `mlflow migrate-filestore` converts older runs",
        )


def _refuse_unwritable(database: Path) -> None:
    ancestor = next(path for path in (database, *database.parents) if path.exists())
    if ancestor != database:
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
            raise _refused(f"{database} cannot be created: {ancestor} is not a writable folder")
        return
    if not database.is_file():
        raise _refused(f"{database} is not a file")
    if not os.access(database, os.R_OK | os.W_OK) or not os.access(database.parent, os.W_OK | os.X_OK):
        raise _refused(f"no write permission for {database} or its folder")
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        pass  # busy: it is there, and another process writes it
    except sqlite3.DatabaseError as error:
        raise _refused(f"{database} is not an SQLite database: {error}") from error


def _refused(problem: str, hint: str = "choose another file") -> InputError:
    return refuse(problem, allowed=ALLOWED, hint=hint, file="--tracking-uri or MLFLOW_TRACKING_URI")
