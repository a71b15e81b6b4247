"""An architecture from a file, named by a Path or a str, and from a text."""

from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError


def test_a_path_its_text_and_the_text_of_the_file_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = zoo.get("resnet20_cifar")
    file = tmp_path / "best.yaml"
    file.write_text(network.to_yaml())
    (tmp_path / "no_ending").write_text(network.to_yaml())
    monkeypatch.chdir(tmp_path)
    for source in (file, str(file), "best.yaml", "no_ending", network.to_yaml()):
        assert Architecture.from_yaml(source) == network


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        Architecture.from_yaml("nowhere.yaml")
    for text in ("x" * 5000, "a\0b", "stages: 1"):
        with pytest.raises(InputError):
            Architecture.from_yaml(text)
