"""Tar files of images, each beside its label (KEY.jpg, KEY.cls or KEY.json), as WebDataset has them, as a source.

A tar file is indexed by its headers and read in place: no name in it is ever a path. A gzipped one, in which nothing
can be read by its position, is first unpacked to a plain tar file in the user's cache.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular
from archsearch.sources.columns import Columns
from archsearch.sources.labelling import labels_of
from archsearch.sources.layout import split_kind
from archsearch.sources.ranges import RangeSource, as_tar, read_range
from archsearch.sources.source import SPLITS
from archsearch.sources.tables import ROLES, bad_rows

BLOCK = 512  # bytes: a header has as many, and members are filled up to a multiple
LARGEST_NAME, LARGEST_LABEL = 2**16, 2**20  # bytes
OCTAL = re.compile(rb"[ \0]*([0-7]+)[ \0]*")  # a number in a header
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "gif", "ppm", "pgm", "tif", "tiff", "npy", "avif", "img"})
LABELS = ("cls", "json", "txt")
SHARD = re.compile(r"\.(tar|tar\.gz|tgz)$", re.IGNORECASE)  # at a name's end
PACKED = re.compile(r"\.tar\.(zst|bz2|xz|lz4)$", re.IGNORECASE)
ALLOWED = (
    "a folder of tar files, plain or gzipped, in each KEY.jpg (or .png, ...) beside KEY.cls or KEY.json with a label"
)


@dataclass
class Sample:
    """What a tar file holds of one key: (offset, length) of the image and of the labels, by their endings."""

    shard: int
    key: str
    image: tuple[int, int] | None = None
    labels: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shards:
    """The samples as rows, for messages."""

    path: Path
    files: tuple[Path, ...]
    samples: list[Sample]

    def position(self, number: int) -> str:
        """The tar file, and the key in it."""
        return f"{self.files[self.samples[number].shard]}: {self.samples[number].key}"


def open_shards(root: Path, columns: Columns) -> RangeSource:
    """The source in a folder of tar files; splits are those that their names state (train-0000.tar).

    Raises InputError for a folder without tar files, a damaged one, and images without a label.
    """
    try:
        given = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise _refused(root, f"it cannot be read: {error.strerror or error}") from error
    files = tuple(path for path in given if SHARD.search(path.name))
    if not files:
        packed = next((path.name for path in given if PACKED.search(path.name)), None)
        raise _refused(root, "no tar files" + (f", but {packed}, which has to be unpacked first" if packed else ""))
    samples = [sample for shard, file in enumerate(files) for sample in _samples(shard, file)]
    read = tuple(map(as_tar, files))
    chosen = [sample for sample in samples if sample.image is not None]
    if not chosen:
        raise _refused(root, f"no images in {len(files)} tar files")
    table = Shards(root, files, chosen)
    positions = np.arange(len(chosen))
    cells: list[Any] = []
    bad: list[tuple[int, str]] = []
    for index, sample in enumerate(chosen):
        try:
            cells.append(_label(str(read[sample.shard]), sample, columns))
        except ValueError as error:
            bad.append((index, str(error)))
    if bad:
        raise bad_rows(table, positions, bad, allowed=ALLOWED, hint="write these samples again")
    kinds = [split_kind(SHARD.sub("", file.name)) for file in files]
    of_shard = np.array([SPLITS.index(kind or "train") for kind in kinds], np.int8)
    if any(kinds) and "train" not in kinds:
        raise _refused(root, "no tar file for training")
    which = np.array([sample.shard for sample in chosen], np.int32)
    ranges = np.array([sample.image for sample in chosen], np.int64)
    unused = len(samples) - len(chosen)
    return RangeSource(
        shown=str(root),
        files=tuple(str(file.absolute()) for file in read),
        given=() if read == files else tuple(str(file.absolute()) for file in files),
        which=which,
        offsets=np.ascontiguousarray(ranges[:, 0]),
        lengths=np.ascontiguousarray(ranges[:, 1]),
        labels=labels_of(table, ["label"], [cells], positions, separator=columns.separator),
        laid_out=ALLOWED,
        names=np.array([os.fsencode(sample.key) for sample in chosen], dtype=np.bytes_),
        notes=(f"{root}: {unused} keys ignored, which have no image",) if unused else (),
        splits=of_shard[which] if any(kinds) else None,
    )


def _samples(shard: int, file: Path) -> Iterator[Sample]:
    """The samples of a tar file: members that follow one another and have one key."""
    current: Sample | None = None
    for name, offset, length in members(file):
        folder, _, base = name.rpartition("/")
        stem, _, ending = base.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        if not stem or not ending:
            continue
        if current is None or current.key != key:
            if current is not None:
                yield current
            current = Sample(shard, key)
        if ending.lower() in IMAGES:
            current.image = (offset, length)
        elif ending.lower() in LABELS:
            current.labels[ending.lower()] = (offset, length)
    if current is not None:
        yield current


def members(file: Path) -> Iterator[tuple[str, int, int]]:
    """(name, offset, length) of each regular file in a tar file, by its headers alone. Raises InputError."""
    try:
        with open_regular(as_tar(file)) as tar:
            end, position, name = os.fstat(tar.fileno()).st_size, 0, None
            while (header := os.pread(tar.fileno(), BLOCK, position)).strip(b"\0"):
                # tarfile's own pass would keep whatever a header of extensions announces, in memory, at any size
                kind, own_name, size = _fields(header)
                start = position + BLOCK
                if size < 0 or start + size > end:
                    raise ValueError(f"{size} bytes at {start}, but the file ends at {end}")
                if kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
                    name = _long_name(kind, os.pread(tar.fileno(), min(size, LARGEST_NAME), start))
                elif kind in REGULAR:
                    yield (name or own_name).removeprefix("./"), start, size
                    name = None
                position = start + size + -size % BLOCK
            if len(header) < BLOCK:
                raise ValueError("it is cut: no mark of its end")
    except InputError:
        raise
    except (OSError, tarfile.TarError, ValueError) as error:
        raise refuse(
            f"not a tar file that can be read: {error}",
            allowed="a tar file, plain or gzipped (.tar.gz, .tgz)",
            hint="write it again",
            file=str(file),
        ) from error


def _fields(header: bytes) -> tuple[bytes, str, int]:
    """(type, name, size) of a member. A regular file's plain header is read here, what else there is by tarfile, which
    takes ten times as long and raises its errors for a damaged one."""
    plain = len(header) == BLOCK and header[156:157] == tarfile.REGTYPE and not header[345]
    size, checksum = (OCTAL.fullmatch(header[start:end]) for start, end in ((124, 136), (148, 156)))
    if plain and size and checksum and int(checksum[1], 8) == sum(header) - sum(header[148:156]) + 8 * ord(" "):
        return tarfile.REGTYPE, header[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape"), int(size[1], 8)
    member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    return member.type, member.name, member.size


def _long_name(kind: bytes, content: bytes) -> str | None:
    """The name of the member that follows, in a header of extensions (pax or GNU); None where it has none."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return os.fsdecode(content.rstrip(b"\0"))
    for record in content.split(b"\n"):
        _, _, pair = record.partition(b" ")
        if pair.startswith(b"path="):
            return os.fsdecode(pair.removeprefix(b"path="))
    return None


def _label(file: str, sample: Sample, columns: Columns) -> Any:
    """The label as its file has it. Raises ValueError where there is none."""
    ending = next((ending for ending in LABELS if ending in sample.labels), None)
    if ending is None:
        raise ValueError(f"an image without a label: no {sample.key}.cls or {sample.key}.json")
    offset, length = sample.labels[ending]
    if length > LARGEST_LABEL:
        raise ValueError(f"{length:,} bytes in .{ending}, more than {LARGEST_LABEL:,}")
    content = read_range(file, offset, length)
    text = content.decode("utf-8", "surrogateescape").strip()
    if ending != "json":
        return text
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        return value
    if isinstance(columns.label, tuple):
        return [float(value[name]) for name in columns.label]
    usual = ("cls", *ROLES["label"]) if columns.label is None else (columns.label,)
    name = next((name for name in usual if name in value), None)
    if name is None:
        raise ValueError(f"no {columns.label or 'label'} in {sample.key}.json, which has {', '.join(value)!s:.100}")
    return value[name]


def _refused(root: Path, problem: str) -> InputError:
    return refuse(
        f"data.root: {problem}", allowed=ALLOWED, hint="name another folder: --set data.root=DIR", file=str(root)
    )
