"""CIFAR-10 (Krizhevsky 2009) in torchvision's layout: the folder, or the archive, which is never unpacked."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from archsearch.data.download import obtain
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.pickles import read_pickle
from archsearch.data.splitting import assemble
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular, read_regular
from archsearch.space.settings import DataSettings

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST, META = "test_batch", "batches.meta"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LARGEST = 64 * 2**20  # twice the real batches: a file above it is no batch
LARGEST_ARCHIVE = 2**30  # bytes, unpacked or not: five times the real one
BLOCK = 512  # bytes: a tar's headers have as many, and files in it are filled up to a multiple


def load(settings: DataSettings, tell: Progress) -> ImageSet:
    """CIFAR-10 from its folder, its archive or a download, in this order. Raises InputError with the ways out."""
    root = Path(settings.root)
    folder, archive = root / FOLDER, root / ARCHIVE
    if not folder.is_dir() and not archive.is_file():
        obtain("CIFAR-10", URL, [(URL, archive, SHA256)], settings, tell, hint=f"put {ARCHIVE} ({URL})")
    if folder.is_dir():
        return _assembled(dict(_in_folder(folder)), folder, settings)
    tell(f"reading {archive}")
    return _assembled(dict(_in_archive(archive)), archive, settings)


def _wrong(source: Path, name: str, problem: str) -> InputError:
    return refuse(
        f"{name}: {problem}",
        allowed="CIFAR-10's files for Python, as published",
        hint=f"put a whole {ARCHIVE} there ({URL})",
        file=str(source),
    )


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in (*TRAIN, TEST, META):
        path = folder / name
        if not path.exists():
            continue
        try:
            yield name, read_regular(path, LARGEST)
        except OSError as error:
            raise _wrong(folder, name, f"it cannot be read: {error.strerror}") from error


def _in_archive(archive: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each file, in one pass; nothing is unpacked to disk, and other members are skipped."""
    missing = {f"{FOLDER}/{name}" for name in (*TRAIN, TEST, META)}
    try:
        with open_regular(archive) as file, gzip.GzipFile(fileobj=file) as tar:
            while (header := tar.read(BLOCK)).strip(b"\0"):
                # tarfile's own pass would keep whatever a header of extensions announces, in memory and at any size
                member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
                path = member.name.removeprefix("./")
                if not 0 <= member.size <= LARGEST:
                    raise _wrong(archive, path, f"{member.size} bytes; a batch has {LARGEST} at most")
                if tar.tell() + member.size > LARGEST_ARCHIVE:
                    raise _wrong(archive, "archive", f"it holds more than {LARGEST_ARCHIVE} bytes")
                content = tar.read(member.size)
                tar.read(-member.size % BLOCK)
                if path in missing and member.isreg():
                    missing.discard(path)
                    yield PurePosixPath(path).name, content
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _wrong(archive, "archive", f"damaged ({error})") from error


def _assembled(files: dict[str, bytes], source: Path, settings: DataSettings) -> ImageSet:
    for name in (*TRAIN, TEST):
        if name not in files:
            raise _wrong(source, name, "missing")
    batches = [_batch(files.pop(name), source, name) for name in TRAIN]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    test_images, test_labels = _batch(files[TEST], source, TEST)
    return assemble(
        _classes(files.get(META), source),
        Split(images=images, labels=labels),
        Split(images=test_images, labels=test_labels),
        settings,
    )


def _read(data: bytes, source: Path, name: str) -> dict[str, Any]:
    try:
        return read_pickle(data)
    except ValueError as error:
        raise _wrong(source, name, str(error)) from error


def _batch(data: bytes, source: Path, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(images (N, 3, 32, 32), labels (N,)): the rows of 3,072 bytes hold red, then green, then blue."""
    content = _read(data, source, name)
    rows = content.get("data")
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3072:
        kind = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise _wrong(source, name, f"data is {kind}, not uint8 (N, 3072)")
    labels = content.get("labels")
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not isinstance(labels, list) or len(labels) != len(rows) or not len(rows):
        raise _wrong(source, name, f"labels do not fit its {len(rows)} images")
    if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        raise _wrong(source, name, "labels that are no integers from 0 to 9")
    return np.ascontiguousarray(rows).reshape(-1, 3, 32, 32), np.array(labels, np.int64)


def _classes(data: bytes | None, source: Path) -> tuple[str, ...]:
    """The names in batches.meta, which a copy may lack: they are always the same ten."""
    if data is None:
        return CLASSES
    names = _read(data, source, META).get("label_names")
    names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names or ()]
    if len(names) != len(CLASSES) or not all(isinstance(name, str) for name in names):
        raise _wrong(source, META, f"label_names hold {len(names)} names, not {len(CLASSES)}")
    return tuple(names)
