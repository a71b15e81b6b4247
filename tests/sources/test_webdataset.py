"""Tar files as WebDataset has them: indexed by their headers, read in place; gzipped ones through the cache."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from archsearch.reading.errors import InputError
from archsearch.sources import webdataset
from archsearch.sources.columns import Columns
from archsearch.sources.kinds import settings_of
from archsearch.sources.webdataset import members, open_shards
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings
from tests.sources.laid_out import counts, digits, load, png, sums, write_shard


def expected(count: int) -> set[tuple[int, str]]:
    pixels, labels = digits(count)
    return {(3 * int(image.sum()), str(label)) for image, label in zip(pixels, labels, strict=True)}


@pytest.mark.parametrize("ending", ["cls", "json"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_shards_are_read_in_place(tmp_path: Path, ending: str, in_memory: bool) -> None:
    write_shard(tmp_path / "train-000000.tar", 0, 40, ending=ending)
    write_shard(tmp_path / "train-000001.tar", 40, 60, ending=ending, folder="./deep/")
    write_shard(tmp_path / "test-000000.tar", 60, 80, ending=ending)
    before = sorted(path.name for path in tmp_path.iterdir())
    images, _ = load(name="webdataset", root=str(tmp_path), in_memory=in_memory)
    assert images.classes == tuple("0123456789") and counts(images) == [51, 9, 20] and sums(images) == expected(80)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_shards_without_splits_are_drawn_from(tmp_path: Path) -> None:
    write_shard(tmp_path / "digits-0.tar", 0, 60)
    assert counts(load(name="webdataset", root=str(tmp_path))[0]) == [43, 8, 9]
    source = open_shards(tmp_path, Columns())
    assert source.read(17) == png(digits(60)[0][17])
    assert source.name(17) == f"{tmp_path}/digits-0.tar: 00017"


def test_shards_that_have_not_changed_are_indexed_once_for_facts_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed: list[str] = []
    before = webdataset._samples
    monkeypatch.setattr(webdataset, "_samples", lambda n, file: [indexed.append(file.name), *before(n, file)][1:])
    write_shard(tmp_path / "train-0.tar", 0, 60)
    settings = DataSettings(name="webdataset", root=str(tmp_path))
    for _ in range(2):
        assert facts(settings).images == 51 and counts(load(name="webdataset", root=str(tmp_path))[0]) == [43, 8, 9]
    assert indexed == ["train-0.tar"]
    write_shard(tmp_path / "train-1.tar", 60, 80)
    assert facts(settings).images == 68
    assert indexed == ["train-0.tar", "train-0.tar", "train-1.tar"]


def write(file: Path, entries: list[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(file, "w", format=format) as tar:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_and_names_with_dots_are_read(tmp_path: Path, format: int) -> None:
    long = f"{'folder' * 12}/{'x' * 90}" if format == tarfile.USTAR_FORMAT else f"{'folder' * 40}/é{'x' * 200}"
    image = png(digits(1)[0][0])
    write(tmp_path / "a.tar", [(f"{long}.PNG", image), (f"{long}.cls", b"3"), ("b.v2.jpg", b"x"), ("b.jpg", image),
                               ("b.cls", b"4"), ("README", b"text")], format)  # fmt: skip
    source = open_shards(tmp_path, Columns())
    assert source.labels.values.tolist() == [3, 4] and source.name(0).endswith(long)
    assert source.read(0) == source.read(1) == image


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_are_those_that_tarfile_lists(tmp_path: Path, format: int) -> None:
    draws = np.random.default_rng(7)
    names = [f"{'d' * int(draws.integers(1, 9))}/{'é' * int(draws.integers(0, 40))}{n}.png" for n in range(60)]
    names += [f"{'folder' * 12}/{'x' * 90}.png", "y" * 100, "z" * 99]
    file = write(tmp_path / "a.tar", [(name, bytes(int(draws.integers(0, 2000)))) for name in names], format)
    with tarfile.open(file) as tar:
        listed = [(member.name, member.offset_data, member.size) for member in tar.getmembers()]
    assert list(members(file)) == listed and len(listed) == len(names)


def test_each_byte_of_a_header_counts_in_its_checksum(tmp_path: Path) -> None:
    content = write(tmp_path / "a.tar", [("a.png", b"x")]).read_bytes()
    for byte in range(tarfile.BLOCKSIZE):
        (tmp_path / "a.tar").write_bytes(content[:byte] + bytes([content[byte] ^ 1]) + content[byte + 1 :])
        if byte not in (154, 155):  # what ends the checksum's own digits
            with pytest.raises(InputError, match=r"a\.tar: not a tar file that can be read"):
                list(members(tmp_path / "a.tar"))


def test_names_in_a_tar_file_are_never_paths(tmp_path: Path) -> None:
    image, shards = png(digits(1)[0][0]), tmp_path / "shards"
    shards.mkdir()
    names = ["../../evil", "/etc/passwd", "C:\\x", "a/../b"]
    pairs = [((f"{name}.png", image), (f"{name}.cls", str(number % 2).encode())) for number, name in enumerate(names)]
    write(shards / "a.tar", [entry for pair in pairs for entry in pair])
    before = sorted(tmp_path.rglob("*"))
    images, _ = load(name="webdataset", root=str(shards), validation=1)
    assert sum(counts(images)) == 4 and sorted(tmp_path.rglob("*")) == before


def test_links_and_devices_in_a_tar_file_are_no_images(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"{kind.decode()}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert list(members(tmp_path / "a.tar")) == []
    with pytest.raises(InputError, match="no images in 1 tar files"):
        open_shards(tmp_path, Columns())


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([("a.png", b"x")], r"a\.tar: a: an image without a label: no a\.cls or a\.json"),
        ([("a.png", b"x"), ("a.json", b"{")], r"a\.tar: a: .*Expecting"),
        ([("a.png", b"x"), ("a.json", b'{"x": 1}')], r"no label in a\.json, which has x"),
        ([("a.png", b"x"), ("a.json", b"[" * 100_000)], "nested too deeply"),
        ([("a.png", b"x"), ("a.cls", b"7" * (2**20 + 1))], r"1,048,577 bytes in \.cls, more than 1,048,576"),
        ([("a.png", b"x"), ("a.cls", b"")], "an empty label"),
        ([("a.cls", b"1")], "no images in 1 tar files"),
    ],
)
def test_samples_without_an_image_or_a_label_are_refused(tmp_path: Path, entries, problem: str) -> None:
    write(tmp_path / "a.tar", entries)
    with pytest.raises(InputError, match=problem):
        open_shards(tmp_path, Columns())


def test_damaged_and_compressed_files_are_refused_by_name(tmp_path: Path) -> None:
    content = write_shard(tmp_path / "a.tar", 0, 10).read_bytes()
    for hurt in (
        content[: len(content) // 2 - 100],
        b"\x1f\x8b" + content[2:],
        content[:100] + b"\xff" + content[101:],
    ):
        (tmp_path / "a.tar").write_bytes(hurt)
        with pytest.raises(InputError, match=r"a\.tar: not a tar file that can be read"):
            open_shards(tmp_path, Columns())


def test_a_header_that_announces_more_than_the_file_has_takes_no_memory(tmp_path: Path) -> None:
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        member = tarfile.TarInfo("a.png")
        member.type, member.size = kind, 2**40
        (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
        with pytest.raises(InputError, match="but the file ends at"):
            open_shards(tmp_path, Columns())


def test_several_labels_a_sample(tmp_path: Path) -> None:
    image = png(digits(1)[0][0])
    write(tmp_path / "a.tar", [("a.png", image), ("a.json", b'{"label": ["x", "y"]}'),
                               ("b.png", image), ("b.json", b'{"label": ["y"]}')])  # fmt: skip
    labels = open_shards(tmp_path, Columns()).labels
    assert labels.names == ("x", "y") and np.array_equal(labels.values, [[1, 1], [0, 1]])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "archsearch" / "images"


def zipped(file: Path, content: bytes) -> None:
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(content, 1))
    file.unlink()


@pytest.mark.parametrize("in_memory", [True, False])
def test_gzipped_shards_are_unpacked_once_and_read_like_plain_ones(
    tmp_path: Path, cache: Path, in_memory: bool
) -> None:
    for folder in ("plain", "packed"):
        (tmp_path / folder).mkdir()
        write_shard(tmp_path / folder / "train-0.tar", 0, 60)
        write_shard(tmp_path / folder / "test-0.tar", 60, 80)
    zipped(file := tmp_path / "packed" / "train-0.tar", file.read_bytes())
    (file := tmp_path / "packed" / "test-0.tar").rename(tgz := file.with_suffix(".tgz"))
    tgz.write_bytes(gzip.compress(tgz.read_bytes()))
    assert settings_of(tmp_path / "packed") == {"name": "webdataset", "root": str(tmp_path / "packed")}
    plain, packed = (
        load(name="webdataset", root=str(tmp_path / name), in_memory=in_memory)[0] for name in ("plain", "packed")
    )
    assert counts(packed) == counts(plain) and sums(packed) == sums(plain) == expected(80)
    unpacked = sorted((file.name, file.stat().st_mtime_ns) for file in cache.iterdir())
    source = open_shards(tmp_path / "packed", Columns())
    assert len(unpacked) == 2 and unpacked == sorted((file.name, file.stat().st_mtime_ns) for file in cache.iterdir())
    assert source.name(3).startswith(f"{tmp_path}/packed/test-0.tgz: ") and source.file(3).exists()
    shutil.rmtree(cache)
    assert source.read(79) == png(digits(60)[0][59]), "what the cache lost is unpacked again"


def test_shards_that_are_damaged_or_packed_otherwise_are_refused(tmp_path: Path, cache: Path) -> None:
    content = gzip.compress(write_shard(tmp_path / "a.tar", 0, 10).read_bytes())
    (tmp_path / "a.tar").unlink()
    for hurt in (content[: len(content) // 2], b"x" + content, gzip.compress(b"no tar file")):
        (tmp_path / "a.tar.gz").write_bytes(hurt)
        with pytest.raises(InputError, match=r"a\.tar\.gz: not a tar file that can be read"):
            open_shards(tmp_path, Columns())
    (tmp_path / "a.tar.gz").rename(tmp_path / "a.tar.zst")
    with pytest.raises(InputError, match=r"no tar files, but a\.tar\.zst, which has to be unpacked first"):
        open_shards(tmp_path, Columns())
