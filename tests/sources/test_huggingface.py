"""Parquet files as Hugging Face's hub has them, and folders that `datasets` saved: bytes in rows, read in any order."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archsearch.reading.errors import InputError
from archsearch.sources.columns import Columns
from archsearch.sources.embedded import EmbeddedSource
from archsearch.sources.huggingface import open_folder
from archsearch.sources.table import open_table
from archsearch.sources.unpacking import cached_path
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings
from tests.sources.laid_out import counts, digits, load, png, sums, write_parquet

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "archsearch" / "images"


def expected(count: int) -> set[tuple[int, str]]:
    pixels, labels = digits(count)
    return {(3 * int(image.sum()), NAMES[label]) for image, label in zip(pixels, labels, strict=True)}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("below", ["", "data"])
def test_files_of_splits_are_read_with_the_names_of_their_classes(tmp_path: Path, in_memory: bool, below: str) -> None:
    root = tmp_path / "set"
    write_parquet(root / below / "train-00000-of-00002.parquet", 0, 40, names=NAMES)
    write_parquet(root / below / "train-00001-of-00002.parquet", 40, 70, names=NAMES)
    write_parquet(root / below / "test-00000-of-00001.parquet", 70, 90, names=NAMES)
    images, messages = load(name="huggingface", root=str(root), in_memory=in_memory)
    assert images.classes == NAMES and counts(images) == [60, 10, 20] and sums(images) == expected(90)
    assert images.test.labels.tolist() == digits(90)[1][70:].tolist()
    assert sum("unpacking 90 images" in message for message in messages) == 1
    again, messages = load(name="huggingface", root=str(root), in_memory=in_memory)
    assert again.digest == images.digest and not any("unpacking" in message for message in messages)
    known = facts(DataSettings(name="huggingface", root=str(root), size=8))
    assert (known.input, known.classes, known.images) == ((3, 8, 8), 10, 70)


def write_saved(folder: Path, first: int, last: int) -> None:
    """What datasets.save_to_disk writes of a split: Arrow's stream format, with the features in the metadata."""
    pixels, labels = digits(last)
    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    table = pa.table({
        "image": [{"bytes": png(image), "path": None} for image in pixels[first:]], "label": labels[first:],
    }).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})  # fmt: skip
    folder.mkdir(parents=True)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=17)
    (folder / "state.json").write_text("{}")


def test_a_data_set_that_was_saved_is_read(tmp_path: Path) -> None:
    write_saved(tmp_path / "saved" / "train", 0, 60)
    write_saved(tmp_path / "saved" / "test", 60, 80)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    images, _ = load(name="huggingface", root=str(tmp_path / "saved"))
    assert images.classes == NAMES and counts(images) == [51, 9, 20] and sums(images) == expected(80)
    images, _ = load(name="huggingface", root=str(tmp_path / "saved" / "train"))
    assert sums(images) == expected(60)


def test_a_table_of_bytes_has_any_other_columns(tmp_path: Path) -> None:
    pixels, labels = digits(40)
    split = ["train"] * 30 + ["test"] * 10
    columns = {"picture": [png(image) for image in pixels], "digit": labels, "split": split, "size": [8] * 40}
    pq.write_table(pa.table(columns), tmp_path / "digits.parquet")
    images, _ = load(name="table", file=str(tmp_path / "digits.parquet"), columns={"label": "digit"})
    assert counts(images) == [26, 4, 10] and images.classes == tuple("0123456789")


def test_rows_are_read_in_any_order_after_pickling_and_on_a_machine_that_has_not_unpacked_them(
    tmp_path: Path, cache: Path
) -> None:
    file = write_parquet(tmp_path / "rows.parquet", 0, 50, rows=7)
    source = open_table(file, Columns())
    assert isinstance(source, EmbeddedSource) and len(pickle.dumps(source)) < 5000
    for number in (49, 0, 7, 6, 30):
        assert source.read(number) == png(digits(50)[0][number])
    (unpacked,) = cache.iterdir()
    unpacked.unlink()
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "elsewhere")
    assert pickle.loads(pickle.dumps(source)).read(12) == png(digits(50)[0][12])
    assert source.name(12) == f"{file}: row 12" and source.file(12) == file


def test_a_file_that_has_changed_is_unpacked_anew(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "rows.parquet", 0, 20)
    first = open_table(file, Columns())
    before = b"".join(first.identity(np.arange(5))), cached_path([file], "image")
    assert first.read(0) == png(digits(20)[0][0])
    write_parquet(file, 5, 25)
    second = open_table(file, Columns())
    after = b"".join(second.identity(np.arange(5))), cached_path([file], "image")
    assert before[0] != after[0] and before[1] != after[1]
    assert second.read(0) == png(digits(20)[0][5])


def test_a_broken_image_is_named_by_its_row(tmp_path: Path) -> None:
    values = [{"bytes": png(image), "path": None} for image in digits(60)[0]]
    values[13] = {"bytes": b"no image", "path": None}
    values[17] = {"bytes": None, "path": "elsewhere.png"}
    pq.write_table(pa.table({"image": values, "label": digits(60)[1]}), tmp_path / "rows.parquet")
    with pytest.raises(InputError) as caught:
        load(name="table", file=str(tmp_path / "rows.parquet"))
    files = [problem.file for problem in caught.value.problems[:2]]
    assert sorted(files) == [f"{tmp_path}/rows.parquet: row {row}" for row in (13, 17)]
    images, _ = load(name="table", file=str(tmp_path / "rows.parquet"), broken="skip")
    assert sum(counts(images)) == 58


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:4] + b[8:], lambda b: b"", lambda b: b[:60] + b[90:]]
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, damage) -> None:
    file = write_parquet(tmp_path / "set" / "train-0.parquet", 0, 20)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"train-0\.parquet") as caught:
        load(name="huggingface", root=str(tmp_path / "set"))
    assert len(str(caught.value)) < 1500


def test_a_damaged_arrow_file_is_refused(tmp_path: Path) -> None:
    write_saved(tmp_path / "set", 0, 20)
    file = tmp_path / "set" / "data-00000-of-00001.arrow"
    content, generator = file.read_bytes(), np.random.default_rng(0)
    for _ in range(20):
        hurt = bytearray(content)
        for position in generator.integers(0, len(hurt), 30):
            hurt[position] ^= 255
        file.write_bytes(hurt)
        try:
            load(name="huggingface", root=str(tmp_path / "set"))
        except InputError:
            continue


def test_folders_without_training_files_and_other_columns_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a" / "test-0.parquet", 0, 10)
    with pytest.raises(InputError, match="files of the splits test, but none for training"):
        open_folder(tmp_path / "a", Columns())
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="no Parquet or Arrow files"):
        open_folder(tmp_path / "b", Columns())
    write_parquet(tmp_path / "c" / "train-0.parquet", 0, 10)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "c" / "train-1.parquet")
    with pytest.raises(InputError, match=r"the columns x; allowed: those of train-0\.parquet: image, label"):
        open_folder(tmp_path / "c", Columns())


def test_images_that_nobody_used_for_long_are_deleted_when_others_are_unpacked(tmp_path: Path, cache: Path) -> None:
    one, two = (write_parquet(tmp_path / f"{name}.parquet", 0, 10) for name in "ab")
    open_table(one, Columns()).read(0)
    (old,) = cache.iterdir()
    os.utime(old, (1e9, 1e9))
    open_table(two, Columns()).read(0)
    assert not old.exists() and len(list(cache.iterdir())) == 1
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not CIFAR.is_dir(), reason="shared/data/cifar10-jpeg is not there")
def test_cifar_10_as_the_hub_has_it() -> None:
    images, _ = load(name="huggingface", root=str(CIFAR), size=32, limit=500, validation=1000, in_memory=False)
    assert counts(images) == [500, 1000, 10_000] and images.classes[3] == "cat"
    assert np.bincount(images.test.labels).tolist() == [1000] * 10
    assert images.mean[0] == pytest.approx(0.49, abs=0.02)
