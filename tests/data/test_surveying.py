"""A folder looked at before anything is decoded: real files, broken ones, copies, splits."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.data.surveying import survey_folder
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings


def picture(path: Path, seed: int, *, size: tuple[int, int] = (20, 16), grey: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *([] if grey else [3])), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    root = tmp_path / "animals"
    for seed in range(12):
        picture(root / "cat" / f"{seed}.png", seed)
        picture(root / "dog" / f"{seed}.png", 100 + seed, size=(40, 16 + seed), grey=True)
    return root


def survey(root: Path):
    return survey_folder(DataSettings(name="folder", root=str(root)), lambda _: None)


def test_what_a_folder_holds(animals: Path) -> None:
    found = survey(animals)
    assert found.classes == ("cat", "dog")
    assert found.total == 24 and [sum(split) for split in zip(*found.images.values(), strict=True)] == [12, 12]
    assert set(found.images) == {"train", "validation", "test"} and found.train == sum(found.images["train"])
    assert (found.headers, found.sides) == (24, (16, 16, 27))
    assert found.grey == 0.5 and 1.25 < found.ratio < 2.5
    assert (found.broken, found.copies, found.across) == ((), 0, 0)
    assert found.to_dict()["images"]["train"] == list(found.images["train"])


def test_broken_files_are_named_all(animals: Path) -> None:
    for name in ("3.png", "7.png"):
        (animals / "dog" / name).write_bytes(b"no image at all")
    assert sorted(Path(problem.file).name for problem in survey(animals).broken) == ["3.png", "7.png"]


def test_copies_are_counted_and_those_across_splits(animals: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    shutil.copytree(animals, split / "train")
    for name in ("1.png", "2.png"):
        target = split / "test" / "cat" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(animals / "cat" / name, target)
    shutil.copy(animals / "dog" / "5.png", split / "train" / "dog" / "again.png")
    picture(split / "test" / "dog" / "new.png", 999)
    found = survey(split)
    assert found.copies == 3
    validation = found.images["validation"]
    assert sum(validation) == 4 and 2 <= found.across <= 3  # the copy in training may have come to validation


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sub-folder"):
        survey(tmp_path)


def test_arrays_which_keep_their_size_and_channels_lose_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 9, 30), np.uint8), labels=np.arange(20) % 2)
    found = survey_folder(DataSettings(name="numpy", file=str(tmp_path / "a.npz")), lambda _: None)
    assert (found.shape, found.grey, found.lost, found.advice) == ((1, 9, 30), 1, 0, ())
