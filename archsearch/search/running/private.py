"""Where a search keeps what lives no longer than itself, Ray's session above all: a folder closed to other users."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archsearch.search.running.environment import RayFailed, has_long_tmpdir

PREFIX, LOCK = "as", "archsearch.lock"  # the lock is held by the process whose folder it is


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of mode 0700 with a short name in RAY_TMPDIR, in TMPDIR, or in /tmp where that is too long for sockets.

    It is removed at the end, and at the start those of processes that were killed. Raises RayFailed where none can be
    made."""
    base = Path("/tmp")
    if not has_long_tmpdir():
        base = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or base).absolute()
    try:
        sweep(base)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        handle = os.open(folder / "unlocked", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        hint = "set RAY_TMPDIR to a writable folder with a short path"
        raise RayFailed(f"Ray's session folder cannot be made in {base} ({error.strerror}): {hint}") from error
    try:
        with suppress(OSError):  # where files cannot be locked nothing is swept
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / "unlocked").rename(folder / LOCK)  # nobody finds it unlocked
        yield folder
    finally:
        end_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def end_processes(folder: Path) -> None:
    """Kills this user's processes of the Ray whose session lies in the folder, where there is a /proc: a worker that is
    just starting while its Ray ends or is killed waits for an answer that never comes (Ray 2.60)."""
    mark = f"--temp-dir={folder}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == os.geteuid() and mark in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def sweep(base: Path) -> None:
    """Removes this user's private folders in `base` whose process is gone: the system has freed their lock. What is
    left of their Ray is killed."""
    for folder in base.glob(f"{PREFIX}????????"):
        with suppress(OSError):
            status = folder.lstat()
            if (status.st_mode, status.st_uid) != (stat.S_IFDIR | 0o700, os.geteuid()):
                continue
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                end_processes(folder)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
