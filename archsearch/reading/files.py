"""Opening files that a person named or that came from a stranger: regular ones, and no more of them than is allowed."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

LARGEST_JSON = 2**24  # bytes

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """The file, to be read; never waits for anybody to write into it. A symbolic link is followed unless told not to.

    Raises OSError for what is no regular file (its `strerror` says what it is) and what cannot be read.
    """
    _refuse_other_kinds(path, path.stat() if follow else path.lstat())  # opening a device may already do something
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    try:
        _refuse_other_kinds(path, os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, limit: int, *, follow: bool = True) -> bytes:
    """All its bytes. Raises OSError as `open_regular`, and for more than `limit` bytes, before any is read."""
    with open_regular(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(limit + 1) if size <= limit else b""  # it may grow meanwhile
    if max(size, len(content)) > limit:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {limit:,}", str(path))
    return content


def read_json(path: Path) -> Any:
    """The file's JSON value. Raises OSError as `read_regular`, ValueError for what is none or is nested too deeply."""
    try:
        return json.loads(read_regular(path, LARGEST_JSON))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_other_kinds(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a symbolic link")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
