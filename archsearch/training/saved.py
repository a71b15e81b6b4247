"""What torch.save has written, looked through before torch.load reads it: its zip, its pickle, its tensors' extents.

torch.load(weights_only=True) runs no code, but trusts sizes and depths. Only what is a state dict in every part gets
that far.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

from archsearch.reading.pickles import Calls, Named, Reader, Refused

_ZIP, _END, _END64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"
_LARGEST_LISTING = 2**24  # bytes of a zip's own list of its files, and of its pickle: of 100,000 tensors
_ITEM = {"Float": 4, "Double": 8, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1}
_ITEM |= {"Bool": 1}
_PICKLES = 5  # in a file that is no zip: a magic number, a version, the machine, the state dict, its storages' keys


def checked(data: bytes) -> bytes:
    """The file's bytes, or for a zip those of one with the same files and nothing else in it, to be read by torch.

    Raises Refused for a pickle of more than tensors, and ValueError for a file that is damaged."""
    if not data.startswith(_ZIP):
        stream = io.BytesIO(data)
        reader = _Tensors(stream, len(data))
        for _ in range(_PICKLES):
            reader.read()
        return data
    try:
        return _same_zip(data)
    except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, KeyError) as error:
        raise ValueError(f"a damaged zip: {error}") from error


def _same_zip(data: bytes) -> bytes:
    """A zip with the files of this one, which no two readers can take for different ones. Raises BadZipFile."""
    if _listing_bytes(data) > _LARGEST_LISTING:
        raise zipfile.BadZipFile("too long a list of files")
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(result, "w") as target:
        members = source.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > len(data):
            raise zipfile.BadZipFile("files that are larger than they look")
        top = members[0].filename.partition("/")[0]
        for member in members:
            content = source.read(member)
            if member.filename == f"{top}/data.pkl":
                if len(content) > _LARGEST_LISTING:
                    raise Refused(f"{len(content):,} bytes beside its tensors")
                _Tensors(io.BytesIO(content), len(data)).read()
            target.writestr(zipfile.ZipInfo(member.filename), content)
    return result.getvalue()


def _listing_bytes(data: bytes) -> int:
    """Bytes of the list at the end of a zip, as torch writes one: without a comment behind it."""
    if data[-22:-18] != _END:
        raise zipfile.BadZipFile("no end")
    large = struct.unpack("<Q", data[-58:-50])[0] if data[-98:-94] == _END64 else 0
    small = struct.unpack("<I", data[-10:-6])[0]
    return max(large, small if small < 2**32 - 1 else 0)  # 2**32 - 1: the other is meant


class _StorageType:
    """Stands for torch.FloatStorage and the like, which a persistent id names; it cannot be called."""

    def __init__(self, item: int) -> None:
        self.item = item

    def __call__(self, *_: object) -> None:
        raise Refused("a call of a storage")


class _Storage:
    """Stands for a storage of so many elements."""

    def __init__(self, count: int) -> None:
        self.count = count


class _State(dict[Any, Any]):
    """Stands for an OrderedDict, with the attribute that modules add to it."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = ()) -> None:
        for key, value in pairs:
            if not isinstance(key, str | bytes):
                raise Refused(f"a {type(key).__name__} as a key")
            self[key] = value

    def __setstate__(self, _: object) -> None:
        """Attributes are not read."""


class _Tensors(Reader):
    """Reads a pickle of tensors whose storages take no more than `limit` bytes in all."""

    def __init__(self, stream: io.BytesIO, limit: int) -> None:
        super().__init__(stream, _CALLS, self._storage)
        self._remaining = limit
        self._storages: dict[str | bytes, _Storage] = {}

    def _storage(self, identity: Any) -> _Storage:
        kind, named, key, location, count = identity[:5]
        storage_type = named.function if isinstance(named, Named) else None
        if kind not in ("storage", b"storage") or not isinstance(storage_type, _StorageType):
            raise Refused("a storage of an unknown kind")
        if not isinstance(key, str | bytes) or not isinstance(location, str | bytes) or any(identity[5:]):
            raise Refused("a storage of an unknown kind")
        if key not in self._storages:
            self._remaining -= _count(count) * storage_type.item
            if self._remaining < 0:
                raise Refused("storages that are larger than the file")
            self._storages[key] = _Storage(count)
        if count != self._storages[key].count:
            raise Refused("a storage of two sizes")
        return self._storages[key]


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Storage:
    """Stands for a tensor: refused unless all its elements are in its storage, and none twice."""
    steps, product = 0, 1
    for length, step in zip(size, stride, strict=True):
        product *= _count(length)
        steps += (length - 1) * _count(step)
    if not isinstance(storage, _Storage) or product > storage.count or len(size) > 64:
        raise Refused("a tensor that is larger than its storage")
    if product and _count(offset) + steps >= storage.count:
        raise Refused("a tensor outside its storage")
    return storage


def _parameter(tensor: Any, *_: object) -> Any:
    return tensor


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise Refused(f"a size of {value!r:.40}")
    return value


_CALLS: Calls = {
    ("collections", "OrderedDict"): _State,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.nn.parameter", "Parameter"): _parameter,
    **{("torch", f"{name}Storage"): _StorageType(item) for name, item in _ITEM.items()},
}
