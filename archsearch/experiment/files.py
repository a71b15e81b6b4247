"""Writing a file so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from archsearch.experiment.crash import crash_point
from archsearch.experiment.opening import folder_inside

TEMPORARY = (".tmp", ".tmp-wal", ".tmp-shm", ".tmp-journal", ".probe")  # ends of the names of what is half written


def write_atomically(path: Path, content: str | bytes, *, root: Path | None = None) -> None:
    """Writes to a temporary name, fsyncs, renames, fsyncs the folder. On OSError leaves no trace.

    `root` is a folder above `path`, below which no link is followed (InputError); left out: the path's own folder.
    """
    data = content.encode() if isinstance(content, str) else content
    half = f".{uuid.uuid4().hex}.tmp"
    with folder_inside(root or path.parent, path.parent) as folder:
        try:
            handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            crash_point("file-written")
            os.replace(half, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            crash_point("file-renamed")
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(half, dir_fd=folder)
            raise
        os.fsync(folder)


def numbered(path: Path) -> Iterator[Path]:
    """The path itself, then with -2, -3 and so on behind its name, there or not."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}-{number}")


def sweep(folder: Path) -> None:
    """Removes what writers that were killed left under temporary names in a folder. Nobody may be writing there."""
    for path in [path for end in TEMPORARY for path in folder.glob(f".*{end}")]:
        with suppress(OSError):
            path.unlink()


def sync_folder(path: Path) -> None:
    """Makes a rename in the folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
