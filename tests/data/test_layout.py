"""Folders as people and programs leave them: which are splits, which are classes, which hold no images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.data import sourced
from archsearch.data.datasets import load_images
from archsearch.data.folder import parts_in
from archsearch.data.images import ImageSet
from archsearch.data.streaming import StreamedImages
from archsearch.reading.errors import InputError
from archsearch.sources.layout import layout, split_kind
from archsearch.space.datasets import class_folders
from archsearch.space.settings import DataSettings


def fill(
    top: Path, each: int, classes: tuple[str, ...] = ("cats", "dogs"), suffix: str = ".png", seed: int = 0
) -> Path:
    generator = np.random.default_rng(seed)
    for name in classes:
        (top / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(
                top / name / f"{number:03}{suffix}", format="JPEG" if suffix == ".jfif" else None
            )
    return top


def load(root: Path, **settings: object) -> tuple[ImageSet, str]:
    messages: list[str] = []
    data = DataSettings.model_validate({"name": "folder", "root": str(root), "size": 16, **settings})
    return load_images(data, progress=messages.append), "\n".join(messages)


def counts(images: ImageSet) -> list[int]:
    return [len(split) for split in (images.train, images.validation, images.test)]


@pytest.mark.parametrize(
    "names",
    [
        ("Training", "Validation", "Testing"), ("TRAIN", "VAL", "TEST"), ("seg_train", "seg_val", "seg_test"),
        ("training_set", "valid", "test_set"), ("trainset", "dev", "testset"), ("TrainImages", "ValImgs", "TestImages"),
        ("train2017", "val2017", "test2017"), ("training", "validation", "evaluation"),
    ],
)  # fmt: skip
def test_splits_are_known_by_the_names_people_give_them(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for name, each in zip(names, (6, 2, 3), strict=True):
        fill(tmp_path / name, each)
    assert counts(load(tmp_path)[0]) == [12, 4, 6]
    assert class_folders(tmp_path) == ("cats", "dogs")


def test_a_missing_split_is_drawn_and_a_nested_one_is_entered(tmp_path: Path) -> None:
    fill(tmp_path / "seg_train" / "seg_train", 20)
    fill(tmp_path / "seg_test" / "seg_test", 3)
    (tmp_path / "seg_pred").mkdir()
    images, messages = load(tmp_path)
    assert counts(images) == [34, 6, 6] and images.classes == ("cats", "dogs")
    assert "'seg_pred', not used as a split" in messages


def test_unlabelled_test_images_are_left_out_and_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", 20)
    (tmp_path / "test").mkdir()
    shutil.copy(tmp_path / "train" / "cats" / "000.png", tmp_path / "test")
    images, messages = load(tmp_path)
    assert sum(counts(images)) == 40 and "'test', without one sub-folder per class" in messages


def test_splits_without_one_for_training_are_refused(tmp_path: Path) -> None:
    for name in ("Val", "test"):
        fill(tmp_path / name, 4)
    with pytest.raises(InputError, match="the splits Val, test, but none for training"):
        load(tmp_path)
    with pytest.raises(InputError, match="none for training"):
        class_folders(tmp_path)


@pytest.mark.parametrize(
    "classes", [("bus", "train"), ("bus", "train_station"), ("test_tube", "beaker"), ("test", "bus")]
)
def test_classes_whose_names_sound_like_splits_are_classes(tmp_path: Path, classes: tuple[str, str]) -> None:
    fill(tmp_path, 12, classes)
    (tmp_path / classes[1] / "by_day").mkdir() if classes[1] == "train_station" else None
    assert load(tmp_path)[0].classes == tuple(sorted(classes))


def test_a_name_of_two_splits_is_none() -> None:
    assert split_kind("train_val") is None and split_kind("contest") is None and split_kind("valley") is None


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX"])
@pytest.mark.parametrize("depth", ["cats", "cats/indoors", "."])
def test_hidden_and_thumbnail_folders_hold_no_images(tmp_path: Path, name: str, depth: str) -> None:
    fill(tmp_path, 20)
    (tmp_path / depth / name).mkdir(parents=True)
    shutil.copy(tmp_path / "cats" / "000.png", tmp_path / depth / name / "000-checkpoint.png")
    images, _ = load(tmp_path)
    assert sum(counts(images)) == 40 and images.classes == ("cats", "dogs")


def test_files_of_unknown_kind_are_counted_and_named_and_jfif_is_read(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    fill(tmp_path, 10, suffix=".jfif", seed=1)
    for name in ("a.xcf", "b.XCF", "notes", "Thumbs.db", ".DS_Store"):
        (tmp_path / "cats" / name).write_bytes(b"x")
    shutil.copy(tmp_path / "cats" / "000.png", tmp_path / "loose.png")
    images, messages = load(tmp_path)
    assert sum(counts(images)) == 40
    assert (
        "4 files ignored, since their names are not those of images: 2 .xcf, 1 notes, 1 .png outside a class folder"
        in messages
    )


def test_a_class_in_two_unicode_forms_is_one(tmp_path: Path) -> None:
    fill(tmp_path / "train", 8, ("caf\u00e9", "the"))
    fill(tmp_path / "test", 3, ("cafe\u0301", "the"))
    images, _ = load(tmp_path)
    assert images.classes == ("caf\u00e9", "the") and len(images.test) == 6


def test_a_class_whose_name_is_no_utf8_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    fill(tmp_path, 8)
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(InputError, match=r"not valid UTF-8: 'caf\\udce9'"):
        layout(tmp_path)


def test_a_rare_class_is_in_every_split_and_an_absent_one_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 20)
    fill(tmp_path, 3, ("rare",))
    images, messages = load(tmp_path)
    for split in (images.train, images.validation, images.test):
        assert np.bincount(split.labels, minlength=3)[2] == 1
    assert "have no" not in messages
    fill(tmp_path, 1, ("single",))
    messages = load(tmp_path)[1]
    assert "1 of 4 classes have no test image" in messages and "image: 'single'" in messages


def broken_ones(root: Path) -> Path:
    fill(root, 40)
    for name in ("cats/666.png", "dogs/11702.png", "cats/9.png"):
        (root / name).write_bytes(b"")
    return root


def test_broken_images_are_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(broken_ones(tmp_path))
    text = str(caught.value)
    assert all(part in text for part in ("/666.png", "/11702.png", "cats/9.png", "3 images", "--set data.broken=skip"))
    assert len(text) < 1000 + 3 * len(str(tmp_path))
    for number in range(100, 130):
        (tmp_path / "dogs" / f"{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match="33 images cannot be read, 13 more than are listed above"):
        load(tmp_path)


@pytest.mark.parametrize("in_memory", [True, False])
def test_broken_images_are_left_out_where_that_is_asked_for(tmp_path: Path, in_memory: bool) -> None:
    images, messages = load(broken_ones(tmp_path), broken="skip", in_memory=in_memory)
    assert sum(counts(images)) == 80 and "3 unreadable images skipped: " in messages and "11702" in messages
    for split in (images.train, images.validation, images.test):
        for label in (0, 1):
            pixels = split.images[np.flatnonzero(split.labels == label)]
            assert len(pixels) and len(pixels) == len(np.unique(pixels, axis=0))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_class_of_broken_images_alone_is_refused(tmp_path: Path, in_memory: bool) -> None:
    fill(tmp_path, 10)
    for path in (tmp_path / "dogs").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"dogs: data\.root: no readable train image"):
        load(tmp_path, broken="skip", in_memory=in_memory)


def test_images_that_are_in_two_splits_are_counted(tmp_path: Path) -> None:
    for seed, (name, each) in enumerate((("train", 8), ("val", 3), ("test", 4))):
        fill(tmp_path / name, each, seed=seed)
    assert "pixel for pixel" not in load(tmp_path)[1]
    shutil.copy(tmp_path / "train" / "cats" / "000.png", tmp_path / "test" / "cats" / "001.png")
    shutil.copy(tmp_path / "train" / "cats" / "000.png", tmp_path / "test" / "dogs" / "copy.png")
    messages = load(tmp_path)[1]
    assert "2 of 9 test images are also among the train images, pixel for pixel" in messages
    assert "validation images are" not in messages and "are validation images" not in messages


@pytest.mark.parametrize(
    ("source", "copy", "expected"),
    [
        ("train", "val", "1 of 7 validation images are also among the train images"),
        ("train", "test", "1 of 9 test images are also among the train images"),
        ("val", "test", "1 of 9 test images are also among the validation images"),
    ],
)
def test_an_image_in_two_splits_is_told_of_once_for_each_pair(tmp_path, source: str, copy: str, expected: str) -> None:
    for seed, (name, each) in enumerate((("train", 8), ("val", 3), ("test", 4))):
        fill(tmp_path / name, each, seed=seed)
    shutil.copy(tmp_path / source / "cats" / "000.png", tmp_path / copy / "dogs" / "copy.png")
    messages = load(tmp_path)[1]
    assert expected in messages and messages.count("pixel for pixel") == 1


NEEDED = 20 * 3 * 16 * 16  # bytes


@pytest.mark.parametrize(
    ("in_memory", "free", "held"),
    [
        ("auto", 4 * NEEDED, True), ("auto", 4 * NEEDED - 1, False), (True, 2 * NEEDED, True),
        (True, 2 * NEEDED - 1, None), (True, 2 * NEEDED + 1, True), (False, 100 * NEEDED, False), (False, 0, False),
    ],
)  # fmt: skip
def test_images_are_held_in_a_quarter_of_the_free_memory_or_in_half_of_it_where_they_must(
    tmp_path, monkeypatch, in_memory, free: int, held: bool | None
) -> None:
    fill(tmp_path, 10)
    monkeypatch.setattr(sourced, "free_memory", lambda: free)
    if held is None:
        with pytest.raises(InputError, match="data: 20 images of 16x16 take"):
            load(tmp_path, in_memory=in_memory)
        return
    images, messages = load(tmp_path, in_memory=in_memory)
    assert isinstance(images, StreamedImages) != held
    assert ("20 images would take" in messages) == (in_memory == "auto" and not held)


def test_a_validation_split_of_broken_images_alone_is_refused_where_they_are_left_out(tmp_path: Path) -> None:
    for name, each in (("train", 8), ("val", 2)):
        fill(tmp_path / name, each)
    for path in (tmp_path / "val").rglob("*.png"):
        path.write_bytes(b"")
    for in_memory in (True, False):
        with pytest.raises(InputError, match=rf"{tmp_path}: data\.root: no readable validation image"):
            load(tmp_path, broken="skip", in_memory=in_memory)


def test_listing_a_folder_asks_the_file_system_about_no_single_file(tmp_path: Path, monkeypatch) -> None:
    fill(tmp_path, 20)
    (tmp_path / "cats" / "link.png").symlink_to(min((tmp_path / "cats").iterdir()))
    (tmp_path / "cats" / "nowhere.png").symlink_to(tmp_path / "gone")
    asked: list[str] = []
    stat = os.stat

    def counted(path, *args, **kwargs):
        asked.append(str(path))
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", counted)
    _, parts = parts_in(DataSettings(name="folder", root=str(tmp_path)), lambda _: None)
    names = {Path(part.source.name(number)).name for part in parts.values() for number in part.numbers.tolist()}
    assert sum(map(len, parts.values())) == 41 and "link.png" in names and "nowhere.png" not in names
    assert len([path for path in asked if path.endswith(".png")]) <= 6, "to see what the folder holds, not for each"


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch) -> None:
    fill(tmp_path, 3)
    scandir = os.scandir

    def refused(path):
        if Path(path).name == "cats":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("archsearch.data.folder.os.scandir", refused)
    with pytest.raises(InputError, match="it cannot be read: Permission denied"):
        parts_in(DataSettings(name="folder", root=str(tmp_path)), lambda _: None)
