"""Arrays and torch Datasets as data: what they become, what is refused, and that a folder gives them back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from archsearch.data import arrays
from archsearch.data.arrays import Arrays, collect, pixels
from archsearch.data.datasets import load_images
from archsearch.reading.errors import InputError
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 8, 8), np.uint8)
COLOUR = RNG.integers(0, 256, (60, 3, 8, 8), np.uint8)
LABELS = np.arange(60) % 3


def test_pixels_of_any_layout_and_type_become_the_same() -> None:
    assert np.array_equal(pixels(GREY, "x"), GREY[:, None])
    for given in (
        COLOUR,
        COLOUR.transpose(0, 2, 3, 1),
        COLOUR.astype(np.int64),
        COLOUR / 255,
        (COLOUR / 255).astype(np.float32),
        torch.from_numpy(COLOUR) / 255,
    ):
        converted = pixels(given, "x")
        assert converted.dtype == np.uint8
        assert converted.flags.c_contiguous
        assert np.array_equal(converted, COLOUR)
    assert np.array_equal(pixels(GREY > 127, "x"), 255 * (GREY[:, None] > 127))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GREY / 16, "float64 from 0 to 15.9375; allowed: whole numbers from 0 to 255"),
        (GREY / 255 - 0.5, "float64 from -0.5"),
        (GREY.astype(np.int16) * 2, "int16"),
        (np.where(GREY > 9, np.nan, 0.5), "float64 from nan"),
        (GREY[0], "images are uint8"),
        (np.zeros((5, 8, 8, 8), np.uint8), "images are uint8"),
        (np.zeros((5, 3, 8, 4), np.uint8), "either axis"),
        (np.zeros((0, 8, 8), np.uint8), "images are uint8"),
        (np.array([["a"]]), "images are <U1"),
        (None, "images are object"),
    ],
)
def test_what_are_no_images_is_refused(images: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        collect((images, LABELS))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((GREY, LABELS[:9]), "for 60 images"),
        ((GREY, np.where(LABELS > 1, np.nan, 1)), "labels are float64"),
        ((GREY, np.eye(3)[LABELS].astype(int) * 2), "a row of 0 and 1"),
        ((GREY, np.zeros((60, 0), int)), "a row of 0 and 1"),
        ({"train": (GREY, LABELS), "task": "multi_label"}, "a row of 0 and 1"),
        ({"train": (GREY, np.eye(3)[LABELS]), "task": "multi_label"}, "a row of 0 and 1"),
        ({"train": (GREY, list("ab") * 30), "task": "regression"}, "one finite number"),
        ({"train": (GREY, LABELS / 2), "task": "single_label"}, "one whole number or string"),
        ({"train": (GREY, LABELS), "task": "ranking"}, "task is 'ranking'"),
        ({"train": (GREY, LABELS), "test": (GREY, LABELS / 2)}, "several tasks"),
        ({"train": (GREY, LABELS / 2), "test": (GREY, np.ones((60, 2)))}, r"rows of \[1, 2\]"),
        ((GREY, np.zeros(60, int)), "a single class"),
        ({"test": (GREY, LABELS)}, "data of 'test'"),
        ({"train": (GREY, LABELS), "dev": (GREY, LABELS)}, "'dev'"),
        ({"train": (GREY, LABELS), "test": (COLOUR, LABELS)}, "several sizes"),
        ({"train": (GREY, LABELS), "test": (GREY, [str(x) for x in LABELS])}, "strings in one split"),
        (7, "data of type int"),
        (GREY, "data of type ndarray"),
        (TensorDataset(torch.rand(3, 1, 8, 8)), "is not a pair"),
    ],
)
def test_what_is_no_data_is_refused(data: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        collect(data)


class Pictures(Dataset):
    """torchvision's face: `classes`, and pairs of an image and an index."""

    classes = ("cat", "dog", "emu", "fox")

    def __init__(self, side: int = 8, count: int = 60) -> None:
        self.side, self.count, self.read = side, count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.read += 1
        return torch.from_numpy(COLOUR[index % 60]).float() / 255, int(LABELS[index % 60])


def test_a_torch_dataset_is_read_once() -> None:
    dataset = Pictures()
    read = collect(dataset)
    assert read.classes == Pictures.classes
    assert np.array_equal(read.splits["train"].images, COLOUR)
    assert np.array_equal(read.splits["train"].labels, LABELS)
    assert dataset.read == 60


def test_a_dataset_larger_than_memory_is_refused_after_one_image(monkeypatch) -> None:
    dataset = Pictures(count=10**6)
    monkeypatch.setattr(arrays, "free_memory", lambda: 2**20)
    with pytest.raises(InputError, match=r"1000000 images of 3x8x8 take 0\.2 GiB"):
        collect(dataset)
    assert dataset.read == 1


def test_labels_of_any_numbers_or_texts_are_classes() -> None:
    assert collect((GREY, LABELS + 5)).classes == ("5", "6", "7")
    texts = collect((GREY, ["b", "a", "b"] * 20))
    assert texts.classes == ("a", "b")
    assert texts.splits["train"].labels[:3].tolist() == [1, 0, 1]


def written(folder: Path, data: object) -> tuple[Arrays, DataSettings]:
    read = collect(data)
    read.write(folder)
    return read, DataSettings(name="arrays", root=str(folder))


def test_a_folder_gives_them_back_split(tmp_path: Path) -> None:
    _, settings = written(tmp_path, (GREY, LABELS))
    images = load_images(settings)
    known = facts(settings)
    assert (known.input, known.classes, known.images) == ((1, 8, 8), 3, 51)
    assert [len(split) for split in (images.train, images.validation, images.test)] == [43, 8, 9]
    everything = np.concatenate([split.images for split in (images.train, images.validation, images.test)])
    assert sorted(map(bytes, everything)) == sorted(map(bytes, GREY[:, None]))
    assert load_images(settings).digest == images.digest


def test_splits_that_were_given_are_used_as_they_are(tmp_path: Path) -> None:
    parts = {"train": (GREY, LABELS), "validation": (GREY[:20], LABELS[:20]), "test": (GREY[20:30], LABELS[20:30])}
    read, settings = written(tmp_path, parts)
    images = load_images(settings)
    assert [len(split) for split in (images.train, images.validation, images.test)] == [60, 20, 10]
    assert np.array_equal(images.test.images, GREY[20:30, None])
    assert read.training_images == facts(settings).images == 80
    assert len(load_images(settings.model_copy(update={"limit": 12})).train) == 12


def test_files_that_were_changed_are_refused(tmp_path: Path) -> None:
    _, settings = written(tmp_path, (GREY, LABELS))
    np.save(tmp_path / "train-labels.npy", LABELS[::-1])
    with pytest.raises(InputError, match=r"not the one in arrays\.json"):
        load_images(settings)
    (tmp_path / "train-labels.npy").unlink()
    with pytest.raises(InputError, match=r"train-labels\.npy"):
        load_images(settings)


@pytest.mark.parametrize("change", [{"input": [1, 8]}, {"classes": ["a"]}, {"images": "x"}, {"sha256": 3}, None])
def test_a_description_that_is_none_is_refused(tmp_path: Path, change: dict | None) -> None:
    _, settings = written(tmp_path, (GREY, LABELS))
    file = tmp_path / "arrays.json"
    file.write_text("[" if change is None else json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=r"data\.root holds no arrays"):
        load_images(settings)
    with pytest.raises(InputError, match=r"data\.root holds no arrays"):
        facts(settings)


ROWS = (np.arange(120).reshape(60, 2) % 3 == 0).astype(np.int64)
TARGETS = np.linspace(-3, 400, 60)


@pytest.mark.parametrize(
    ("given", "task", "classes", "labels"),
    [
        (ROWS, "multi_label", ("label 1", "label 2"), ROWS.astype(np.uint8)),
        (ROWS > 0, "multi_label", ("label 1", "label 2"), ROWS.astype(np.uint8)),
        (TARGETS, "regression", ("target",), TARGETS.astype(np.float32)[:, None]),
        (np.stack([TARGETS, TARGETS / 7], 1), "regression", ("target 1", "target 2"), None),
        (torch.from_numpy(TARGETS), "regression", ("target",), TARGETS.astype(np.float32)[:, None]),
    ],
)
def test_the_task_follows_from_the_labels(given: object, task: str, classes: tuple[str, ...], labels: object) -> None:
    arrays = collect((GREY, given))
    assert (arrays.task, arrays.classes) == (task, classes)
    if labels is not None:
        assert np.array_equal(arrays.splits["train"].labels, labels)
        assert arrays.splits["train"].labels.dtype == labels.dtype  # type: ignore[attr-defined]


def test_a_task_and_names_may_be_stated() -> None:
    arrays = collect({"train": (GREY, LABELS), "task": "regression", "classes": ["age"]})
    assert (arrays.task, arrays.classes) == ("regression", ("age",))
    assert np.array_equal(arrays.splits["train"].labels, LABELS.astype(np.float32)[:, None])
    assert collect({"train": (GREY, ROWS), "classes": ["cat", "dog"]}).classes == ("cat", "dog")


@pytest.mark.parametrize(("labels", "task"), [(ROWS, "multi_label"), (TARGETS, "regression")])
def test_a_folder_gives_every_task_back(labels: object, task: str, tmp_path: Path) -> None:
    collect((GREY, labels)).write(tmp_path)
    settings = DataSettings(name="arrays", root=str(tmp_path))
    images = load_images(settings)
    assert images.task == task == facts(settings).task and images.train.labels.ndim == 2
    assert facts(settings).classes == len(images.classes) == images.train.labels.shape[1]
    assert len(images.train) + len(images.validation) + len(images.test) == 60
    assert images.digest == load_images(settings.model_copy(update={"task": task})).digest
    with pytest.raises(InputError, match=f"(?s)the labels were given as {task}; .*hint: give them with the task"):
        load_images(settings.model_copy(update={"task": "single_label"}))
