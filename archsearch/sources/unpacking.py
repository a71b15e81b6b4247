"""Files in the user's cache that are made of others, such as the images of a Parquet file: made once, whole or not."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from archsearch.reading.errors import refuse

UNUSED_DAYS = 30  # after which such files are deleted, when others are made


def cached_path(files: Sequence[Path], part: str) -> Path:
    """Where what is made of a `part` of these files, as they are now, is. Raises OSError for a file that is missing."""
    states = [(str(file.absolute()), (status := file.stat()).st_size, status.st_mtime_ns) for file in files]
    key = hashlib.sha256(repr((states, part)).encode()).hexdigest()[:32]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "archsearch" / "images" / f"{key}.bin"


def make(path: Path, write: Callable[[BinaryIO], None], *, of: str) -> None:
    """Writes a file of the cache. Raises InputError where the disk is full; `of` names what it is made of."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _delete_unused(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unpacking-")
        try:
            with os.fdopen(handle, "wb") as target:
                write(target)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise refuse(
            f"the images of {of} cannot be unpacked: {error.strerror or error}",
            hint="make room, or set XDG_CACHE_HOME to a folder on a larger disk",
            file=str(path.parent),
        ) from error


def _delete_unused(folder: Path) -> None:
    for path in folder.glob("*.bin"):
        status = path.stat()
        if time.time() - max(status.st_atime, status.st_mtime) > UNUSED_DAYS * 86400:
            path.unlink(missing_ok=True)
