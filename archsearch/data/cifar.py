"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in torchvision's layout: the folder, or the archive, never unpacked."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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

SITE = "https://www.cs.toronto.edu/~kriz/"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LARGEST_ARCHIVE = 2**30  # bytes, unpacked or not: five times the real ones
BLOCK = 512  # bytes: a tar's headers have as many, and files in it are filled up to a multiple


@dataclass(frozen=True, kw_only=True)
class Published:
    """One of the two data sets as it was published: its files, and the keys of their dictionaries."""

    title: str
    folder: str
    archive: str
    sha256: str  # of the archive
    train: tuple[str, ...]
    test: str
    labels: str
    meta: str
    names: str  # the key of the classes' names in `meta`
    count: int  # of classes
    classes: tuple[str, ...] | None = None  # where a copy may lack `meta`
    largest: int  # bytes of a file, with room to spare: a larger one is none of these

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files, in the order in which they are looked for."""
        return (*self.train, self.test, self.meta)

    @property
    def url(self) -> str:
        """Where the archive is published."""
        return SITE + self.archive


CIFAR_10 = Published(
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    labels="labels",
    meta="batches.meta",
    names="label_names",
    count=10,
    classes=CLASSES,
    largest=64 * 2**20,
)
CIFAR_100 = Published(
    title="CIFAR-100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    train=("train",),
    test="test",
    labels="fine_labels",
    meta="meta",
    names="fine_label_names",
    count=100,
    largest=320 * 2**20,
)


def load(published: Published, settings: DataSettings, tell: Progress) -> ImageSet:
    """The data set from its folder, its archive or a download, in this order. Raises InputError with the ways out."""
    root = Path(settings.root)
    folder, archive = root / published.folder, root / published.archive
    if not folder.is_dir() and not archive.is_file():
        hint = f"put {published.archive} ({published.url})"
        source = (published.url, archive, published.sha256)
        obtain(published.title, published.url, [source], settings, tell, hint=hint)
    if folder.is_dir():
        return _Files(published, folder).from_folder(settings)
    tell(f"reading {archive}")
    return _Files(published, archive).from_archive(settings)


@dataclass(frozen=True)
class _Files:
    """The files of a data set in `source`, its folder or its archive."""

    published: Published
    source: Path

    def from_folder(self, settings: DataSettings) -> ImageSet:
        return self._assembled(dict(self._in_folder()), settings)

    def from_archive(self, settings: DataSettings) -> ImageSet:
        return self._assembled(dict(self._in_archive()), settings)

    def _wrong(self, name: str, problem: str) -> InputError:
        return refuse(
            f"{name}: {problem}",
            allowed=f"{self.published.title}'s files for Python, as published",
            hint=f"put the complete {self.published.archive} there ({self.published.url})",
            file=str(self.source),
        )

    def _in_folder(self) -> Iterator[tuple[str, bytes]]:
        for name in self.published.files:
            path = self.source / name
            if not path.exists():
                continue
            try:
                yield name, read_regular(path, self.published.largest)
            except OSError as error:
                raise self._wrong(name, f"it cannot be read: {error.strerror}") from error

    def _in_archive(self) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of each file, in one pass; nothing is unpacked to disk, and other members are skipped."""
        missing = {f"{self.published.folder}/{name}" for name in self.published.files}
        largest = self.published.largest
        try:
            with open_regular(self.source) as file, gzip.GzipFile(fileobj=file) as tar:
                while (header := tar.read(BLOCK)).strip(b"\0"):
                    # tarfile's own pass would keep whatever a header of extensions announces, in memory, at any size
                    member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
                    path = member.name.removeprefix("./")
                    if not 0 <= member.size <= largest:
                        raise self._wrong(path, f"{member.size} bytes; a batch has {largest} at most")
                    if tar.tell() + member.size > LARGEST_ARCHIVE:
                        raise self._wrong("archive", f"it holds more than {LARGEST_ARCHIVE} bytes")
                    content = tar.read(member.size)
                    tar.read(-member.size % BLOCK)
                    if path in missing and member.isreg():
                        missing.discard(path)
                        yield PurePosixPath(path).name, content
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise self._wrong("archive", f"damaged ({error})") from error

    def _assembled(self, files: dict[str, bytes], settings: DataSettings) -> ImageSet:
        published = self.published
        for name in published.files:
            if name not in files and not (name == published.meta and published.classes):
                raise self._wrong(name, "missing")
        batches = [self._batch(files.pop(name), name) for name in published.train]
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        test_images, test_labels = self._batch(files[published.test], published.test)
        return assemble(
            self._classes(files.get(published.meta)),
            Split(images=images, labels=labels),
            Split(images=test_images, labels=test_labels),
            settings,
        )

    def _read(self, data: bytes, name: str) -> dict[str, Any]:
        try:
            return read_pickle(data)
        except ValueError as error:
            raise self._wrong(name, str(error)) from error

    def _batch(self, data: bytes, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(images (N, 3, 32, 32), labels (N,)): the rows of 3,072 bytes hold red, then green, then blue."""
        content = self._read(data, name)
        rows = content.get("data")
        if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3072:
            kind = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
            raise self._wrong(name, f"data is {kind}, not uint8 (N, 3072)")
        key, count = self.published.labels, self.published.count
        labels = content.get(key)
        if isinstance(labels, np.ndarray):
            labels = labels.tolist()
        if not isinstance(labels, list) or len(labels) != len(rows) or not len(rows):
            raise self._wrong(name, f"{key} do not fit its {len(rows)} images")
        if not all(type(label) is int and 0 <= label < count for label in labels):
            raise self._wrong(name, f"{key} that are no integers from 0 to {count - 1}")
        return np.ascontiguousarray(rows).reshape(-1, 3, 32, 32), np.array(labels, np.int64)

    def _classes(self, data: bytes | None) -> tuple[str, ...]:
        """The names in the file of names, or those that are known where a copy lacks it."""
        if data is None:
            assert self.published.classes is not None, "a file of names that is missing has been refused"
            return self.published.classes
        meta, key, count = self.published.meta, self.published.names, self.published.count
        names = self._read(data, meta).get(key)
        names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names or ()]
        if len(names) != count or not all(isinstance(name, str) for name in names):
            raise self._wrong(meta, f"{key} hold {len(names)} names, not {count}")
        return tuple(names)
