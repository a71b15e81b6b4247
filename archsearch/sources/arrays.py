"""NumPy files (.npy, .npz) and idx files (MNIST's, gzipped or not) of images and labels, as a source.

An array of images is read in place, image by image. One that is compressed is first unpacked in the user's cache.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular
from archsearch.sources.layout import split_kind
from archsearch.sources.ranges import RangeSource
from archsearch.sources.source import SPLITS, Labels
from archsearch.sources.unpacking import LARGEST_UNPACKED, cached_path, unpack, unzipped

IMAGE_WORDS = frozenset({"images", "image", "imgs", "x", "data", "pixels"})
LABEL_WORDS = frozenset({"labels", "label", "y", "targets", "target"})
LARGEST_HEADER = 10_000  # characters
LARGEST_LABELS = 2**32  # bytes
NUMPY = (
    "images and labels of equal length: images.npy and labels.npy, or train_images.npy, train_labels.npy, "
    "test_images.npy, ...; or such names in one .npz; images (N, H, W), (N, H, W, C) or (N, C, H, W)"
)
IDX = (
    "idx files of images and labels, gzipped or not: train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "and such files of t10k or test"
)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An array in a file: its values begin at `offset`, in C order. `title` is what messages call it."""

    file: Path
    title: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def values(self) -> npt.NDArray[Any]:
        """All values. Raises InputError for more than a few GiB, and for a file that is shorter."""
        if self.nbytes > LARGEST_LABELS:
            raise refuse(f"labels of {self.nbytes:,} bytes", allowed=f"{LARGEST_LABELS:,}", file=self.title)
        with _explained(Path(self.title), NUMPY), open_regular(self.file) as file:
            file.seek(self.offset)
            content = file.read(self.nbytes)
            if len(content) < self.nbytes:
                raise ValueError(f"{len(content)} bytes of values, not {self.nbytes}")
        return np.frombuffer(content, self.dtype).reshape(self.shape)


def open_numpy(path: Path) -> RangeSource:
    """The source in an .npz file, or in a folder of .npy files. Raises InputError."""
    if path.suffix == ".npz":
        arrays = dict(_members(path))
    else:
        files = _listed(path, lambda file: file.suffix == ".npy", NUMPY)
        arrays = {file.stem: _stored(file, str(file)) for file in files}
    return _assembled(path, arrays, NUMPY)


def open_idx(root: Path) -> RangeSource:
    """The source in a folder of idx files. Raises InputError."""
    files = _listed(root, lambda file: re.search(r"idx\d", file.name) is not None, IDX)
    plain = [file for file in files if file.suffix != ".gz" or file.with_suffix("") not in files]
    return _assembled(root, {file.name: _stored_idx(file) for file in plain}, IDX)


def _assembled(path: Path, arrays: dict[str, Stored], laid_out: str) -> RangeSource:
    """The arrays of images, each with the labels whose name is the same in all other words."""

    def refused(problem: str) -> InputError:
        return refuse(problem, allowed=laid_out, file=str(path))

    words = {name: frozenset(re.findall(r"t10k|[a-z]+|\d+", name.lower())) for name in arrays}
    images = {
        words[name] - IMAGE_WORDS - _form(name): array for name, array in arrays.items() if words[name] & IMAGE_WORDS
    }
    labels = {
        words[name] - LABEL_WORDS - _form(name): array for name, array in arrays.items() if words[name] & LABEL_WORDS
    }
    if not images:
        raise refused(f"no images among {', '.join(arrays) or 'no files'}")
    parts = []
    for key, array in images.items():
        if key not in labels:
            raise refused(f"{array.title}, but no labels for it among {', '.join(arrays)}")
        kind = next((kind for word in key if (kind := "test" if word == "t10k" else split_kind(word))), None)
        parts.append((kind, array, labels[key]))
    stated = [kind for kind, _, _ in parts]
    if len(parts) > 1 and ("train" not in stated or None in stated or len(set(stated)) < len(stated)):
        raise refused(f"several arrays of images, {', '.join(array.title for _, array, _ in parts)}, "
                      "whose names are not train, validation and test")  # fmt: skip
    parts.sort(key=lambda part: SPLITS.index(part[0] or "train"))
    kinds, first = [kind for kind, _, _ in parts], parts[0][1]
    for _, array, targets in parts:
        if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
            raise refused(f"{array.title} has {array.dtype} {array.shape}, {first.title} {first.dtype} {first.shape}")
        if targets.shape[:1] != array.shape[:1] or not array.shape[0]:
            raise refused(f"{array.shape[0]} images in {array.title}, {targets.shape[:1]} labels in {targets.title}")
        if len(array.shape) not in (3, 4) or array.dtype.kind not in "buif":
            raise refused(f"{array.title} has {array.dtype} {array.shape}")
    counts = [array.shape[0] for _, array, _ in parts]
    size = math.prod(first.shape[1:]) * first.dtype.itemsize
    return RangeSource(
        shown=str(path),
        files=tuple(str(array.file.absolute()) for _, array, _ in parts),
        which=np.repeat(np.arange(len(parts), dtype=np.int32), counts),
        offsets=np.concatenate([array.offset + size * np.arange(array.shape[0]) for _, array, _ in parts]),
        lengths=np.full(sum(counts), size, np.int64),
        labels=_labels([targets.values() for _, _, targets in parts], refused),
        laid_out=laid_out,
        dtype=first.dtype.str,
        sizes=first.shape[1:],
        splits=None if kinds == [None] else np.repeat(np.array(list(map(SPLITS.index, kinds)), np.int8), counts),
    )


def _form(name: str) -> frozenset[str]:
    """The words of a name that state an idx file's type, and no part of the data set."""
    return frozenset(re.findall(r"idx|ubyte|gz|(?<=idx)\d", name.lower()))


def _labels(arrays: list[npt.NDArray[Any]], refused: Callable[[str], InputError]) -> Labels:
    """(N,) strings or numbers, or (N, K) numbers; of one column, that column."""
    arrays = [array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for array in arrays]
    if len({array.shape[1:] for array in arrays}) > 1 or len({array.dtype.kind for array in arrays}) > 1:
        raise refused("labels of several kinds: " + ", ".join(f"{array.dtype} {array.shape}" for array in arrays))
    values = np.concatenate(arrays)
    if values.ndim > 2 or values.dtype.kind not in "buifUS" or (values.ndim == 2 and values.dtype.kind in "US"):
        raise refused(f"labels are {values.dtype} {values.shape}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise refused("labels that are no finite numbers")
    if values.dtype.kind in "bu" or values.dtype.kind == "i":
        values = values.astype(np.int64)
    elif values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    names = tuple(f"label {number}" for number in range(1, values.shape[1] + 1)) if values.ndim == 2 else ()
    return Labels(values=values, names=names)


def _listed(root: Path, matches: Callable[[Path], bool], laid_out: str) -> list[Path]:
    try:
        files = sorted(file for file in root.iterdir() if matches(file) and not file.name.startswith("."))
    except OSError as error:
        raise refuse(f"data.root: it cannot be read: {error.strerror}", allowed=laid_out, file=str(root)) from error
    if not files:
        raise refuse("data.root: no such files", allowed=laid_out, file=str(root))
    return files


def _stored(file: Path, title: str) -> Stored:
    """The array of an .npy file, by its header."""
    with _explained(Path(title), NUMPY), open_regular(file) as opened:
        dtype, shape, offset = _header(opened)
        end = os.fstat(opened.fileno()).st_size
        stored = Stored(file=file, title=title, offset=offset, dtype=dtype, shape=shape)
        if end - offset < stored.nbytes:
            raise ValueError(f"{end - offset} bytes of values, not {stored.nbytes} as its header has it")
        return stored


def _header(file: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """(type, shape, offset of the values) of an array; no object is unpickled."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=LARGEST_HEADER)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if fortran and len(shape) > 1:
        raise ValueError("an array in Fortran order: save numpy.ascontiguousarray(images)")
    return dtype, shape, file.tell()


def _members(path: Path) -> Iterator[tuple[str, Stored]]:
    """The arrays of an .npz file by their names; one that is compressed is unpacked."""
    with _explained(path, NUMPY), open_regular(path) as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                continue
            title = f"{path}: {name}"
            if info.file_size > LARGEST_UNPACKED:
                raise ValueError(f"{name} has {info.file_size:,} bytes, more than {LARGEST_UNPACKED:,}")
            if info.compress_type == zipfile.ZIP_STORED:
                file.seek(info.header_offset + 26)
                lengths = struct.unpack("<HH", file.read(4))
                start = info.header_offset + 30 + sum(lengths)
                file.seek(start)
                header = io.BytesIO(file.read(min(info.file_size, LARGEST_HEADER + 16)))
                dtype, shape, offset = _header(header)
                stored = Stored(file=path, title=title, offset=start + offset, dtype=dtype, shape=shape)
                if offset + stored.nbytes > info.file_size:
                    raise ValueError(f"{name} has {info.file_size} bytes, fewer than its header has it")
                yield name, stored
                continue
            unpacked = cached_path([path], name)
            if not unpacked.exists():
                with archive.open(info) as member:
                    unpack(member, unpacked, title)
            yield name, _stored(unpacked, title)


def _stored_idx(file: Path) -> Stored:
    """The array of an idx file: 0, 0, 8, rank, then each length as four bytes, big end first, then uint8 values."""
    with _explained(file, IDX):
        path = unzipped(file, "idx") if file.suffix == ".gz" else file
        with open_regular(path) as opened:
            head = opened.read(4)
            rank = head[3] if len(head) == 4 and head[:3] == b"\x00\x00\x08" else 0
            if not 1 <= rank <= 4:
                raise ValueError(f"a header of {head.hex() or 'nothing'}")
            shape = struct.unpack(f">{rank}I", opened.read(4 * rank))
            count = os.fstat(opened.fileno()).st_size - 4 - 4 * rank
            if count != math.prod(shape):
                raise ValueError(f"{count} values, not {math.prod(shape)} as its header has it")
        return Stored(file=path, title=str(file), offset=4 + 4 * rank, dtype=np.dtype(np.uint8), shape=shape)


@contextmanager
def _explained(file: Path, laid_out: str) -> Iterator[None]:
    """Whatever goes wrong with a file in the block is an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, struct.error, RuntimeError) as error:
        raise refuse(
            f"it cannot be read: {error}", allowed=laid_out, hint="write the file again", file=str(file)
        ) from error
