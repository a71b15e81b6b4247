"""Texts that go to a file, whole or not at all."""

import os
from pathlib import Path

import pytest

from archsearch.api.showing.printing import deliver
from archsearch.reading.errors import InputError


def test_a_text_replaces_a_file_and_ends_with_a_line_break(tmp_path: Path, capsys) -> None:
    file = tmp_path / "a.json"
    for text in ("first", "second\n"):
        deliver(text, file)
        assert file.read_text() == f"{text.strip()}\n"
    deliver("third", None)
    assert capsys.readouterr().out == "third\n"


def test_a_pipe_is_refused_and_a_folder_cannot_be_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a device or a pipe"):
        deliver("text", tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        deliver("text", tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
