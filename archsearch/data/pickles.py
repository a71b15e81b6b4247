"""CIFAR's pickles, read without running anything: containers, numbers, and arrays of integers.

No name in a pickle is ever looked up in a module. The few that NumPy's arrays need are answered by the
classes below, which only record their arguments; any other name ends the reading. NumPy's own would not do: a crafted
dtype's state makes its C code follow a pointer that the file holds.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

from archsearch.reading.pickles import Reader, Refused

CODES = frozenset({"u1", "i1", "i2", "i4", "i8", "u2", "u4", "u8"})


class _Type:
    """Stands for numpy.dtype: a type code, and the byte order that follows as its state."""

    def __init__(self, code: object, *_: object) -> None:
        self.code, self.order = _text(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = _text(state[1])

    def numpy(self) -> np.dtype[Any]:
        if self.code not in CODES or self.order not in ("|", "<", ">", "="):
            raise Refused(f"an array of type {self.order!r} {self.code!r}")
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """Stands for an array that is being read: empty until its state follows."""

    value: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.fill(raw, dtype, shape, "F" if fortran else "C")

    def fill(self, raw: Any, dtype: _Type, shape: Any, order: Any) -> _Array:
        self.value = _numbers(raw, dtype).reshape(shape, order="F" if order == "F" else "C")
        return self


def _ndarray(*_: object) -> None:
    """Stands for the class numpy.ndarray, which pickles hand to `_reconstruct`; it cannot be called."""
    raise Refused("a call of numpy.ndarray")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(raw: Any, dtype: _Type, shape: Any, order: Any) -> _Array:
    return _Array().fill(raw, dtype, shape, order)


def _scalar(dtype: _Type, raw: Any) -> int:
    return int(_numbers(raw, dtype)[0])


def _numbers(raw: Any, dtype: _Type) -> np.ndarray[Any, Any]:
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else bytes(raw), dtype.numpy())


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """codecs.encode, which Python 3 writes for bytes under protocol 2; of latin1 alone."""
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"the codec {encoding!r}")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _ndarray,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _NAMES[f"{_core}.multiarray", "scalar"] = _scalar
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _from_buffer


def read_pickle(data: bytes) -> dict[str, Any]:
    """A batch's dictionary with keys as text and arrays as arrays; Python 2's and 3's pickles alike.

    Raises ValueError for anything else, having run nothing of it.
    """
    try:
        content = Reader(BytesIO(data), _NAMES).read()
    except Exception as error:  # what a crafted pickle hands to NumPy can raise nearly anything
        raise ValueError(f"its pickle holds {error}" if str(error) else "its pickle is damaged") from error
    if not isinstance(content, dict):
        raise ValueError(f"its pickle holds a {type(content).__name__}, not a dictionary")
    return {_text(key): value.value if isinstance(value, _Array) else value for key, value in content.items()}


def _text(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)
