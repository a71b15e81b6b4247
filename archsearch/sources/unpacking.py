"""Files in the user's cache that are made of others, such as the images of a Parquet file: made once, whole or not."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from archsearch.reading.errors import refuse
from archsearch.reading.files import open_regular

UNUSED_DAYS = 30  # after which such files are deleted, when others are made
LARGEST_UNPACKED = 2**38  # bytes
CHUNK = 2**20


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


def unzipped(file: Path, part: str) -> Path:
    """The file of the cache that a gzipped one is unpacked to, where that has not been done. Raises InputError where
    the disk is full, ValueError for a damaged file, and OSError."""
    path = cached_path([file], part)
    if not path.exists():
        with open_regular(file) as raw, gzip.GzipFile(fileobj=raw) as source:
            unpack(source, path, str(file))
    return path


def unpack(source: Any, path: Path, title: str) -> None:
    """Unpacks an open file in the cache; `title` is what messages call it. Raises ValueError for one that is damaged,
    or of more than `LARGEST_UNPACKED` bytes."""

    def write(target: BinaryIO) -> None:
        total = 0
        while part := _read(source):
            total += len(part)
            if total > LARGEST_UNPACKED:
                raise ValueError(f"more than {LARGEST_UNPACKED:,} bytes, unpacked")
            target.write(part)

    make(path, write, of=title)


def _read(source: Any) -> bytes:
    try:
        return bytes(source.read(CHUNK))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"damaged ({error})") from error


def _delete_unused(folder: Path) -> None:
    for path in folder.glob("*.bin"):
        status = path.stat()
        if time.time() - max(status.st_atime, status.st_mtime) > UNUSED_DAYS * 86400:
            path.unlink(missing_ok=True)
