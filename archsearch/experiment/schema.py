"""The ledger's tables, and opening its file: created whole, or refused with a clear word."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from archsearch.experiment.counting import FILE, read_count
from archsearch.experiment.crash import crash_point
from archsearch.experiment.file_systems import journal_mode
from archsearch.experiment.files import sync_folder
from archsearch.experiment.opening import open_inside, refuse_links, refuse_other_than_databases
from archsearch.experiment.shapes import Damaged
from archsearch.experiment.verifying import verify
from archsearch.reading.errors import InputError, refuse

APPLICATION = 0x41524353  # "ARCS"
VERSION = 3  # 2: trials pause at rungs; 3: a trial has states on disk, the last two of them
_LEAST = 2**16  # bytes: with less a disk is full
_READERS_PATIENCE = 600_000  # milliseconds: with a rollback journal a commit waits until nobody reads
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")  # a journal's end, where it names a file of several databases

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, trial INTEGER, data TEXT NOT NULL,
    FOREIGN KEY (trial) REFERENCES trials (number) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX events_kind ON events (kind);
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TABLE trials (
    number INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'paused', 'finished', 'stopped', 'failed')),
    seed INTEGER NOT NULL, choices TEXT NOT NULL, architecture TEXT NOT NULL, digest TEXT NOT NULL,
    cost TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, started REAL, ended REAL,
    value REAL, epochs INTEGER NOT NULL DEFAULT 0, reason TEXT, rung INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX trials_state ON trials (state, value);
CREATE TABLE epochs (
    trial INTEGER NOT NULL REFERENCES trials (number), epoch INTEGER NOT NULL,
    metrics TEXT NOT NULL, time REAL NOT NULL, PRIMARY KEY (trial, epoch)
) WITHOUT ROWID;
CREATE TABLE states (
    trial INTEGER NOT NULL REFERENCES trials (number), epoch INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (trial, epoch)
) WITHOUT ROWID;
CREATE TABLE rungs (
    bracket INTEGER NOT NULL, epochs INTEGER NOT NULL, trials INTEGER NOT NULL, promoted INTEGER NOT NULL DEFAULT 0,
    correlation REAL, corrected REAL, n INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (bracket, epochs)
) WITHOUT ROWID;
"""


def dumps(value: Any) -> str:
    """JSON text; a number that is not finite raises ValueError rather than be written as NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_dict)


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON: {value!r}")


def create_file(path: Path, meta: Mapping[str, Any]) -> None:
    """Makes the ledger's file whole under another name, then renames it: a crash leaves none or all of it."""
    if os.path.lexists(path):
        hint = "`archsearch resume` continues it; another --output starts a new one"
        raise refuse(f"{path} exists already", hint=hint, file=str(path))
    path.with_name(FILE).unlink(missing_ok=True)  # of a ledger that was deleted
    half = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with translated(path):
            db = sqlite3.connect(half, isolation_level=None)
            try:
                db.execute(f"PRAGMA journal_mode = {journal_mode(half)}")
                db.execute("PRAGMA synchronous = FULL")
                numbers = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
                db.executescript(f"BEGIN; {numbers} {_TABLES}")
                db.executemany("INSERT INTO meta VALUES (?, ?)", [(k, dumps(v)) for k, v in meta.items()])
                db.execute("COMMIT")
            finally:
                db.close()
        crash_point("ledger-made")
        half.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise refuse(f"cannot write {path}: {error.strerror or error}", file=str(path)) from error
    finally:
        for file in (half, *(half.with_name(half.name + end) for end in ("-wal", "-shm", "-journal"))):
            file.unlink(missing_ok=True)


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """Opens the ledger at `path`, which is whole. Raises InputError where there is none, or none of this version, where
    it is damaged or another's, and where a link is in its folder; OSError (ENOSPC) where a full disk leaves no room to
    work with it."""
    if not path.is_file():
        hint = "`archsearch status` lists the experiments"
        raise refuse(f"no ledger at {path}", hint=hint, file=str(path))
    refuse_links(path.parent)
    refuse_other_than_databases(path)
    _refuse_other_journal(path)
    db: sqlite3.Connection | None = None
    try:
        with translated(path):
            promised = read_count(path)
            db, application, version = _open(path, writable)
            _check(path, application, version)
            _refuse_damage(db, path, promised)
            if writable:
                keep_journal(db, path)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
    except (sqlite3.Error, OSError, ValueError) as error:
        if db is not None:
            db.close()
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        if isinstance(error, InputError) or full:
            raise
        problem = ascii(str(getattr(error, "strerror", None) or error))[1:-1]  # SQLite quotes what is in the file
        raise refuse(f"{path} cannot be read as a ledger: {problem:.200}", file=str(path)) from error
    db.row_factory = sqlite3.Row
    return db


def keep_journal(db: sqlite3.Connection, path: Path) -> None:
    """Gives a database that is open for writing the journal that its file system calls for. Raises OperationalError
    where another process has it open and the journal is to change."""
    mode = journal_mode(path)
    if mode == "TRUNCATE":
        db.execute(f"PRAGMA busy_timeout = {_READERS_PATIENCE}")
    now = db.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    db.execute("PRAGMA locking_mode = NORMAL")
    db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # lets go of the lock
    if now.upper() != mode:
        raise sqlite3.OperationalError(f"it keeps the journal {now}, not {mode}: another process has it open")


def _refuse_other_journal(path: Path) -> None:
    """Raises InputError where a rollback journal beside the ledger is not one that a killed driver left: SQLite would
    delete what it names. On a local disk there is none with anything in it."""
    journal = path.with_name(f"{path.name}-journal")
    with suppress(FileNotFoundError), os.fdopen(open_inside(path.parent, journal), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - len(_NAMES_ANOTHER)))
        if size and (journal_mode(path) == "WAL" or file.read() == _NAMES_ANOTHER):
            raise refuse(f"{journal} was not written by archsearch", hint="no such file", file=str(path))


_whole: set[tuple[object, ...]] = set()  # ledgers that were verified, as `_moment` tells them apart
_SEVERAL = 64


def _refuse_damage(db: sqlite3.Connection, path: Path, promised: int) -> None:
    """Raises InputError for other tables, rows that archsearch does not write, and an end that is missing."""
    moment = _moment(path)
    if moment not in _whole:
        try:
            if not has_schema(db, _TABLES):
                raise Damaged("its tables are not those of a ledger")
            verify(db)
        except Damaged as error:
            hint = "if there is a copy of the folder, it may be intact"
            raise refuse(f"{path} is damaged: {ascii(str(error))[1:-1]:.200}", hint=hint, file=str(path)) from None
        if len(_whole) >= _SEVERAL:
            _whole.clear()
        _whole.add(moment)
    last = db.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()[0]
    if last < promised:
        raise refuse(
            f"{path} is damaged: {promised:,} events were written, but it has {last:,}",
            allowed=f"the file together with its {path.name}-wal, if that was not copied",
            hint=f"if you delete {FILE}, archsearch continues with the events that are there",
            file=str(path),
        )


def _moment(path: Path) -> tuple[object, ...]:
    """What changes when the ledger is written to."""
    moment: list[object] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):
            status = os.lstat(file)
            moment += [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
    return tuple(moment)


def has_schema(db: sqlite3.Connection, tables: str) -> bool:
    """Whether the database has the tables, indices and triggers of this script, and nothing else."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(tables)
        return _objects(db) == _objects(model)


def _objects(db: sqlite3.Connection) -> set[tuple[object, ...]]:
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return {(*names, " ".join(str(sql).split())) for *names, sql in rows}


def _open(path: Path, writable: bool) -> tuple[sqlite3.Connection, int, int]:
    """The file's connection, its application and its version.

    On a disk that is full, or in a folder that may not be written, SQLite cannot make the shared memory that a WAL
    needs. Where there is no WAL left either, nobody writes, and the file alone is the whole ledger.
    """
    mode = "rw" if writable else "ro"
    try:
        return _numbers(path, mode)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
            _roll_back(path)
            return _numbers(path, mode)
        log = path.with_name(f"{path.name}-wal")
        if writable or (log.exists() and log.stat().st_size):
            raise
        return _numbers(path, f"{mode}&immutable=1")


def _roll_back(path: Path) -> None:
    """Undoes the transaction that a killed driver left in its rollback journal; a reader's own connection may not.
    Raises BlockingIOError where a driver is at work."""
    with os.fdopen(open_inside(path.parent, path.with_name("driver.lock"), os.O_RDWR | os.O_CREAT), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _numbers(path, "rw")[0].close()


def session_after(path: Path, event: int) -> tuple[float | None, float | None, float | None]:
    """When the session that began after this event did so, when it ended, and the share of a GPU that its trials have;
    None for what is not known yet, or cannot be read now.

    Looks at these events alone: for who has verified the ledger, and is told of a search that goes on, however long.
    """
    query = "SELECT kind, time, data FROM events WHERE id > ? AND kind IN ('began', 'ended', 'placed')"
    with suppress(sqlite3.Error), closing(connect_uri(path, "ro")) as db:
        events = {kind: (time, data) for kind, time, data in db.execute(query, (event,))}
        began, ended = (events.get(kind, (None,))[0] for kind in ("began", "ended"))
        return began, ended, json.loads(events["placed"][1])["gpus_per_trial"] if "placed" in events else None
    return None, None, None


def connect_uri(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that trusts nothing in the file: no function is called by its tables, and no pointer believed."""
    name = f"file:{quote(str(path.absolute()))}?mode={mode}"
    db = sqlite3.connect(name, uri=True, isolation_level=None, timeout=10)
    try:
        if mode == "rw" and journal_mode(path) != "WAL":
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # a write-ahead log is taken in without shared memory
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        if hasattr(db, "setconfig"):  # Python 3.12
            db.setconfig(1010, True)  # SQLITE_DBCONFIG_DEFENSIVE
    except BaseException:
        db.close()
        raise
    return db


def _numbers(path: Path, mode: str) -> tuple[sqlite3.Connection, int, int]:
    db = connect_uri(path, mode)
    try:
        application, version = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
    except BaseException:
        db.close()
        raise
    return db, application, version


def _check(path: Path, application: int, version: int) -> None:
    if application != APPLICATION:
        raise refuse(f"{path} is a database, but not a ledger of archsearch", file=str(path))
    if version != VERSION:
        newer = version > VERSION
        problem = f"{path} was written by {'a newer' if newer else 'an older'} archsearch: its format is {version}"
        hint = "use the archsearch that wrote it" + (", or a later one" if newer else "")
        raise refuse(problem, allowed=str(VERSION), hint=hint, file=str(path))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's word for a full or broken disk becomes the system's: OSError, with ENOSPC or EIO."""
    try:
        yield
    except sqlite3.OperationalError as error:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            case sqlite3.SQLITE_IOERR:
                # SQLite says so too where it finds no room for its shared memory.
                number = errno.ENOSPC if shutil.disk_usage(path.parent).free < _LEAST else errno.EIO
                raise OSError(number, os.strerror(number), str(path)) from error
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
                raise OSError(errno.EROFS, "the ledger cannot be written", str(path)) from error
        raise
