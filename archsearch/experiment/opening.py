"""Opening what lies in an experiment's folder, which may be somebody else's: nothing is reached through a link.

A file is opened by `open_inside`, folder by folder, each relative to the descriptor of the one before it. SQLite takes
paths alone: `refuse_other_than_databases` looks at its files without following a link before it is given one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archsearch.reading.errors import InputError, refuse

_DEEPEST = 6  # levels below an experiment's folder: confirm/random/trials/ID/FILE is at the fifth
_ENTERED = frozenset({"trials", "confirm", "finish"})  # the folders of an experiment's folder that archsearch makes
_DATABASE = ("", "-wal", "-shm", "-journal")  # what SQLite puts behind a database's name


def open_inside(folder: Path, path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of the regular file `path`, which lies in `folder`, opened with `flags` of os.open.

    Raises InputError where a link, a pipe or a device stands in its place or on the way, or where the file has a
    second name (a hard link); OSError as os.open does.
    """
    with folder_inside(folder, path.parent) as parent:
        with suppress(FileNotFoundError):
            _check(os.stat(path.name, dir_fd=parent, follow_symlinks=False), path)
        handle = os.open(path.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=parent)
    try:
        _check(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextmanager
def folder_inside(folder: Path, path: Path) -> Iterator[int]:
    """A descriptor of the folder `path`, which is `folder` or lies in it. `folder` itself may be named by way of links.
    Raises InputError for a link below it, OSError where there is no folder."""
    handle, reached = os.open(folder, os.O_RDONLY | os.O_DIRECTORY), folder
    try:
        for name in path.relative_to(folder).parts:
            reached /= name
            _check(os.stat(name, dir_fd=handle, follow_symlinks=False), reached, folders=True)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def refuse_links(folder: Path) -> None:
    """Raises InputError where an entry of the folder is a link, a pipe or a device, and in trials/ and confirm/ where
    anything is, whoever would open it. Opens folders alone."""
    pending = [(folder, 1)]
    while pending:
        parent, depth = pending.pop()
        with suppress(FileNotFoundError), folder_inside(folder, parent) as handle, os.scandir(handle) as entries:
            for entry in entries:
                path = parent / entry.name
                with suppress(FileNotFoundError):  # a driver removes files at any time
                    _check(entry.stat(follow_symlinks=False), path, folders=True)
                    if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
                        pending += [(path, depth + 1)] if depth > 1 or entry.name in _ENTERED else []


def refuse_other_than_databases(path: Path) -> None:
    """Raises InputError where the file of a database, or one that SQLite would open beside it, is a link, no file, or
    has a second name. Opens nothing: closing a descriptor would take SQLite's locks away."""
    for end in _DATABASE:
        beside = path.with_name(path.name + end)
        with suppress(FileNotFoundError, NotADirectoryError):
            _check(os.lstat(beside), beside)


def _check(status: os.stat_result, path: Path, *, folders: bool = False) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _refusal(path, "is a symbolic link", hint="replace the link by the file or folder itself")
    if stat.S_ISDIR(status.st_mode) and folders:
        return
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "is not a file" if folders is False else "is neither a file nor a folder")
    if status.st_nlink > 1:
        raise _refusal(path, "has another hard link", hint="replace it by a copy")


def _refusal(path: Path, problem: str, hint: str = "") -> InputError:
    return refuse(f"{path} {problem}", allowed="files and folders", hint=hint, file=str(path.parent))
