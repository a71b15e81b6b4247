"""How far tracking has followed the ledger: one small SQLite file in the experiment's folder.

What it holds can be found again in the tracking store, by tags. Losing it costs time, never a second run: one that
is torn, or is no outbox of archsearch's, is thrown away.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Self

from archsearch.experiment import ExperimentFolder
from archsearch.experiment.opening import refuse_links, refuse_other_than_databases
from archsearch.experiment.schema import connect_uri, has_schema, keep_journal, translated
from archsearch.tracking.identity import Identity, Standing, identify

_TABLES = """
CREATE TABLE IF NOT EXISTS targets (
    uri TEXT PRIMARY KEY, cursor INTEGER NOT NULL DEFAULT 0, experiment TEXT, parent TEXT
);
CREATE TABLE IF NOT EXISTS runs (
    uri TEXT NOT NULL, trial INTEGER NOT NULL, run TEXT NOT NULL, described INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (uri, trial)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS origin (
    id TEXT NOT NULL, folder TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL
);
"""


class Peek(NamedTuple):
    """What an outbox says of a store: the id of the last event that was sent, MLflow's id of the experiment, and which
    search it is there."""

    cursor: int
    experiment: str | None
    identity: Identity


class Outbox:
    """The cursor and the runs of one tracking store; other stores' lines are left alone. Making one raises OSError on a
    full disk, and InputError where a link stands in the file's place."""

    def __init__(self, path: Path, tracking_uri: str) -> None:
        self._uri = without_password(tracking_uri)
        refuse_links(path.parent)
        refuse_other_than_databases(path)
        with translated(path):
            try:
                self._db = self._open(path)
            except sqlite3.OperationalError:
                raise  # locked, or the disk is full: nothing is wrong with the file
            except sqlite3.DatabaseError:
                for end in ("", "-wal", "-shm", "-journal"):
                    path.with_name(path.name + end).unlink(missing_ok=True)
                self._db = self._open(path)

    @classmethod
    def peek(cls, folder: ExperimentFolder, tracking_uri: str) -> Peek:
        """What a folder's outbox says. Nothing was sent where there is none, it cannot be read, or it is of the folder
        that this one is a copy of. Writes nothing. Raises InputError for a link in the file's place."""
        path, row, known = folder.outbox, None, None
        refuse_links(path.parent)
        refuse_other_than_databases(path)
        with suppress(sqlite3.Error), closing(connect_uri(path, "ro")) as db:
            if _sound(db):
                query = "SELECT cursor, experiment FROM targets WHERE uri = ?"
                row, known = db.execute(query, (without_password(tracking_uri),)).fetchone(), _known(db)
        identity = identify(folder.ledger, known)
        cursor, experiment = (0, None) if row is None or identity.original else row
        return Peek(cursor, experiment, identity)

    def _open(self, path: Path) -> sqlite3.Connection:
        """Raises DatabaseError for a file that is torn, or that archsearch has not written."""
        journal = path.with_name(f"{path.name}-journal")
        if journal.exists() and journal.stat().st_size:
            raise sqlite3.DatabaseError(f"{path} was not begun to its end")
        with suppress(FileExistsError):  # SQLite would make it at the end of a link
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        db = connect_uri(path, "rw")
        try:
            keep_journal(db, path)
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError(f"{path} is damaged")
            db.executescript(_TABLES)
            if not _sound(db):
                raise sqlite3.DatabaseError(f"{path} is no outbox of archsearch")
            db.execute("INSERT OR IGNORE INTO targets (uri) VALUES (?)", (self._uri,))
        except BaseException:
            db.close()
            raise
        return db

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @property
    def cursor(self) -> int:
        """Id of the last event that was sent."""
        return int(self._target("cursor") or 0)

    @cursor.setter
    def cursor(self, event: int) -> None:
        self._db.execute("UPDATE targets SET cursor = ? WHERE uri = ?", (event, self._uri))

    @property
    def experiment(self) -> str | None:
        """MLflow's id of the experiment that holds the search."""
        return self._target("experiment")

    @property
    def parent(self) -> str | None:
        """Id of the search's own run."""
        return self._target("parent")

    def remember(self, experiment: str, parent: str) -> None:
        """Remembers where the search lives in the store."""
        self._db.execute("UPDATE targets SET experiment = ?, parent = ? WHERE uri = ?", (experiment, parent, self._uri))

    def run(self, trial: int) -> tuple[str, bool] | None:
        """The trial's run, and whether its params and cost were sent."""
        row = self._db.execute(
            "SELECT run, described FROM runs WHERE uri = ? AND trial = ?", (self._uri, trial)
        ).fetchone()
        return None if row is None else (row[0], bool(row[1]))

    def keep(self, trial: int, run: str, *, described: bool) -> None:
        """Remembers the trial's run."""
        self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", (self._uri, trial, run, described))

    def identity(self, ledger: Path) -> str:
        """The search's id in tracking stores, as `identify` says; with a new one nothing counts as sent."""
        known = _known(self._db)
        search, original = identify(ledger, known)
        current = Standing.of(ledger)
        if original is not None:
            self._db.execute("DELETE FROM runs")
            self._db.execute("DELETE FROM targets")
            self._db.execute("INSERT INTO targets (uri) VALUES (?)", (self._uri,))
        if known is None or known[1].path != current.path:
            self._db.execute("DELETE FROM origin")
            device, inode = current.inode.split(":")
            self._db.execute("INSERT INTO origin VALUES (?, ?, ?, ?)", (search, current.path, device, inode))
        return search

    def drop(self, trial: int) -> None:
        """Forgets the trial's run."""
        self._db.execute("DELETE FROM runs WHERE uri = ? AND trial = ?", (self._uri, trial))

    def forget(self) -> None:
        """Back to the start: the store has lost what was sent."""
        self._db.execute("DELETE FROM runs WHERE uri = ?", (self._uri,))
        self._db.execute("INSERT OR REPLACE INTO targets (uri) VALUES (?)", (self._uri,))

    def _target(self, column: str) -> str | None:
        row = self._db.execute(f"SELECT {column} FROM targets WHERE uri = ?", (self._uri,)).fetchone()
        return None if row is None else row[0]


def _known(db: sqlite3.Connection) -> tuple[str, Standing] | None:
    """The search's id, and where its ledger stood when it got that."""
    row = db.execute("SELECT id, folder, device, inode FROM origin").fetchone()
    return None if row is None else (row[0], Standing(row[1], f"{row[2]}:{row[3]}"))


def _sound(db: sqlite3.Connection) -> bool:
    """Whether the tables are the ones that archsearch makes, and hold what it writes."""
    if not has_schema(db, _TABLES):
        return False
    targets = "typeof(cursor) != 'integer' OR cursor < 0 OR typeof(experiment) NOT IN ('text', 'null')"
    targets += " OR typeof(parent) NOT IN ('text', 'null')"
    runs = "typeof(trial) != 'integer' OR typeof(run) != 'text' OR typeof(described) != 'integer'"
    wrong = f"SELECT EXISTS (SELECT 1 FROM targets WHERE {targets}) OR EXISTS (SELECT 1 FROM runs WHERE {runs})"
    return db.execute(wrong).fetchone()[0] == 0


def without_password(text: str) -> str:
    """A URI, or a text with URIs in it, as it may stand in a file, a log or on a terminal: no user, no password."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)
