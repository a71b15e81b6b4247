"""Files of torch.save that are not what they say: refused before torch reads them."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from archsearch.reading.errors import InputError
from archsearch.training.pretrained import read_weights
from archsearch.training.saved import checked

DEEP = b"\x80\x02})" + b"\x85" * 400_000 + b"Ns."
IDS = b"(X\x07\x00\x00\x00storageq\x00ctorch\nFloatStorage\n%sX\x03\x00\x00\x00cpu%stQ"


def saved(value: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def zipped(pickled: bytes, *, compression: int = zipfile.ZIP_STORED, data: bytes = b"\0" * 4) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/data/0", data)
        file.writestr("archive/version", "3\n")
    return buffer.getvalue()


def tensor(*, key: bytes = b"U\x010", count: int = 1, offset: int = 0, size: int = 1, step: int = 1) -> bytes:
    """A pickle of {"a": a tensor} as torch writes it."""
    number = lambda value: b"J" + struct.pack("<i", value)  # noqa: E731
    extent = number(offset) + number(size) + b"\x85" + number(step) + b"\x85\x89ccollections\nOrderedDict\n)R"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + IDS % (key, number(count)) + extent + b"tR"
    return b"\x80\x02}X\x01\x00\x00\x00a" + rebuilt + b"s."


HOSTILE = {
    "a key of tuples in tuples": DEEP,
    "the same in a zip": zipped(DEEP),
    "a storage named by tuples": zipped(tensor(key=b")" + b"\x85" * 400_000)),
    "keys of storages that are tuples": saved({"a": torch.zeros(1)}, _use_new_zipfile_serialization=False).rpartition(
        b"\x80\x02]"
    )[0] + b"\x80\x02](" + b")" + b"\x85" * 400_000 + b"e.",
    "a storage that is larger than the file": zipped(tensor(count=2**30, size=2**30)),
    "a tensor that is larger than its storage": zipped(tensor(size=2**30, step=0)),
    "a tensor that ends outside": zipped(tensor(offset=1)),
    "a tensor that starts outside": zipped(tensor(offset=-1)),
    "a step backwards": zipped(tensor(step=-1)),
    "zeros that were packed": zipped(tensor(), compression=zipfile.ZIP_DEFLATED, data=b"\0" * 2**26),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_file_is_refused_before_torch_reads_it(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch was asked"))
    (tmp_path / "x.pth").write_bytes(HOSTILE[name])
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "x.pth")


def test_the_tensor_that_the_hostile_ones_are_made_of_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(zipped(tensor(), data=struct.pack("<f", 7)))
    assert read_weights(tmp_path / "x.pth").tensors["a"].tolist() == [7]


def test_files_that_share_their_bytes_are_refused() -> None:
    """A zip whose list names one file a thousand times."""
    data = zipped(tensor(), data=b"\0" * 2**16)
    start = data.index(b"PK\x01\x02")
    entries = data[start:-22].split(b"PK\x01\x02")[1:]
    listing = b"".join(b"PK\x01\x02" + entry for entry in entries[:1] + [entries[1]] * 1000 + entries[2:])
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1002, 1002, len(listing), start, 0)
    with pytest.raises(ValueError, match="larger than they look"):
        checked(data[:start] + listing + end)


@pytest.mark.parametrize("zip_file", [True, False])
def test_what_torch_saves_is_read_bit_for_bit(tmp_path: Path, zip_file: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    views = {"whole": torch.arange(12.0).reshape(3, 4), "empty": torch.zeros(0, 3), "scalar": torch.tensor(3)}
    views |= {"turned": views["whole"].T, "part": views["whole"][1:, ::2], "half": torch.ones(3, dtype=torch.bfloat16)}
    for value in (network.state_dict(), OrderedDict(network.named_parameters()), views):
        (tmp_path / "x.pth").write_bytes(saved(value, _use_new_zipfile_serialization=zip_file))
        tensors = read_weights(tmp_path / "x.pth").tensors
        assert tensors.keys() == value.keys()
        assert all(torch.equal(tensors[key], value[key]) for key in value)


def test_torch_itself_would_crash(tmp_path: Path) -> None:
    """Where this fails torch has become safer, and `saved` may have less to do."""
    (tmp_path / "x.pth").write_bytes(zipped(tensor(key=b")" + b"\x85" * 400_000)))
    program = "import sys, torch; torch.load(sys.argv[1], weights_only=True)"
    process = subprocess.run([sys.executable, "-c", program, tmp_path / "x.pth"], capture_output=True, check=False)
    assert process.returncode < 0
