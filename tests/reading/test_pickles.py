"""Pickles that crash, fill the memory or never end in Python's own reader: refused, in little time and memory."""

from __future__ import annotations

import pickle
import struct
import time
import tracemalloc
from io import BytesIO

import pytest

from archsearch.data.pickles import read_pickle
from archsearch.reading import pickles
from archsearch.reading.pickles import MAX_DEPTH, Reader, Refused

COLLIDING = b"".join(b"\x8a\x08" + (n * (2**61 - 1)).to_bytes(8, "little", signed=True) + b"N" for n in range(4))
TEXT = b"X" + struct.pack("<I", 2**20) + b"x" * 2**20 + b"q\x01"
HOSTILE = {
    "a key of tuples in tuples": b"\x80\x02})" + b"\x85" * 400_000 + b"Ns.",
    "tuples in tuples": b"\x80\x02}U\x01a)" + b"\x85" * 400_000 + b"s.",
    "an index of the memo": b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"(i" + b"os\nsystem\n.",
    "a text that is not there": b"\x80\x02}T" + struct.pack("<I", 2**31 - 1) + b"x.",
    "bytes that are not there": b"\x80\x05}\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "numbers as keys": b"\x80\x02}(" + COLLIDING + b"u.",
    "a number of a gigabyte": b"\x80\x02}\x8b" + struct.pack("<I", 2**30) + b"\x01.",
    "a text handed a thousand times": b"\x80\x02}" + TEXT + b"c_codecs\nencode\nq\x02"
    + b"h\x02h\x01U\x06latin1\x86R" * 1000 + b".",
    "nothing": b"",
    "no end": b"\x80\x02}",
    "a mark that is not there": b"\x80\x02t.",
    "an empty stack": b"\x80\x02s.",
    "a call of a text": b"\x80\x02}U\x01a)R.",
    "a state of a number": b"\x80\x02K\x01}b.",
    "a name in parts": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "an extension": b"\x80\x02\x82\x01.",
    "an instance": b"(ios\nsystem\n.",
    "a set of tuples": b"\x80\x04\x8f(" + b")" + b"\x85" * 400_000 + b"\x90.",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_pickle_is_refused_within_bounds(name: str) -> None:
    data, began = HOSTILE[name], time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="its pickle"):
            read_pickle(data)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 60, "of CPU time, on any machine and while memory is traced"


def test_a_pickle_of_too_many_steps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_STEPS", 1000)
    with pytest.raises(ValueError, match="more than 1,000 steps"):
        read_pickle(b"\x80\x02" + b"]" * 1000 + b".")


@pytest.mark.parametrize("protocol", range(6))
def test_what_python_writes_of_plain_values_is_read(protocol: int) -> None:
    shared = [1, -2, 2**40]
    value = {"a": shared, "b": shared, "c": (1.5, None, True, False, "ä", ()), "d": {}, "e": [(1,), (1, 2), (1, 2, 3)]}
    assert Reader(BytesIO(pickle.dumps(value, protocol)), {}).read() == value


def test_the_depth_that_is_allowed_is_read() -> None:
    value: object = ()
    for _ in range(MAX_DEPTH - 1):
        value = (value,)
    assert Reader(BytesIO(pickle.dumps(value)), {}).read() == value
    with pytest.raises(Refused, match="tuples in each other"):
        Reader(BytesIO(pickle.dumps((value,))), {}).read()
