"""A folder of images as a source: names, files, splits as they are stated, and what tells images apart unread."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from archsearch.data.folder import listed
from archsearch.sources.folders import FolderSource
from archsearch.sources.layout import layout
from archsearch.sources.source import Source
from tests.data.test_layout import fill


def source_in(root: Path) -> FolderSource:
    return listed(root, layout(root))[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, each in (("train", 3), ("test", 2)):
        fill(tmp_path / "pets" / name, each)
    return tmp_path / "pets"


def test_a_folder_is_a_source_of_its_files_split_by_split(root: Path) -> None:
    source: Source = source_in(root)
    assert len(source) == 10 and source.splits is not None
    assert source.splits.tolist() == [0] * 6 + [2] * 4
    assert source.labels.names == ("cats", "dogs")
    assert source.labels.values.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
    assert source.file(4) == root / "train" / "dogs" / "001.png" == source.read(4)


def test_errors_name_files_as_the_folder_was_named_and_reading_does_not_depend_on_it(root: Path, monkeypatch) -> None:
    monkeypatch.chdir(root.parent)
    source = source_in(Path("pets"))
    assert source.name(0) == "pets/train/cats/000.png"
    assert "pets/train/cats: no readable" not in str(source.refused("no readable train image"))
    assert str(source.refused("no readable train image", 0)).startswith("pets/train/cats: data.root: no readable train")
    monkeypatch.chdir("/")
    assert source.file(0).is_file()


def test_its_identity_is_names_and_lengths_and_it_is_small_when_pickled(root: Path) -> None:
    source, numbers = source_in(root), np.arange(10)
    before = b"".join(source.identity(numbers))
    assert b"".join(pickle.loads(pickle.dumps(source)).identity(numbers)) == before
    assert b"".join(source.identity(numbers[1:])) != before
    with source.file(3).open("ab") as file:
        file.write(b"more")
    assert b"".join(source.identity(numbers)) != before
    source.file(3).unlink()
    with pytest.raises(OSError, match=r"000\.png"):
        b"".join(source.identity(numbers))
