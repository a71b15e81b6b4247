"""Only regular files are opened, at once, and no more of them is read than is allowed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from archsearch.export.bundle import refuse_other_folders
from archsearch.reading.errors import InputError
from archsearch.reading.files import open_regular, read_json, read_regular
from archsearch.space.loading import load_space
from archsearch.training.checkpoint import CheckpointDamaged, load_checkpoint
from archsearch.training.pretrained import read_weights


def others(folder: Path, suffix: str) -> dict[str, Path]:
    """What is not a regular file, under names with this ending."""
    paths = {kind: folder / f"{kind}{suffix}" for kind in ("pipe", "device", "socket", "folder", "nothing")}
    os.mkfifo(paths["pipe"])
    paths["device"].symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(paths["socket"]))
    paths["folder"].mkdir()
    return paths


def test_pipes_devices_sockets_and_folders_are_no_files(tmp_path: Path) -> None:
    for kind, path in others(tmp_path, "").items():
        with pytest.raises(OSError, match=kind if kind != "nothing" else "No such file"):
            open_regular(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".yaml"])
def test_each_reader_of_a_persons_file_refuses_them_by_name(tmp_path: Path, suffix: str) -> None:
    for path in others(tmp_path, suffix).values():
        with pytest.raises(InputError) as error:
            load_space(path) if suffix == ".yaml" else read_weights(path)
        assert error.value.problems[0].file == str(path)


def test_an_output_folder_with_a_pipe_for_its_manifest_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(InputError, match="holds other files"):
        refuse_other_folders(tmp_path)


def test_a_checkpoint_of_pipes_is_damaged(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(CheckpointDamaged):
        load_checkpoint(tmp_path)


def test_a_file_that_is_larger_than_allowed_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.safetensors"
    with file.open("wb") as stream:
        stream.truncate(2**40)  # a hole, which takes no space
    with pytest.raises(OSError, match="1,099,511,627,776 bytes, more than 10"):
        read_regular(file, 10)
    with pytest.raises(InputError, match="more than"):
        read_weights(file)
    file.write_bytes(b"0123456789")
    assert read_regular(file, 10) == b"0123456789"


def test_a_link_is_followed_unless_told_not_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[1]")
    (tmp_path / "link").symlink_to("file")
    assert read_json(tmp_path / "link") == [1]
    with pytest.raises(OSError, match="a symbolic link"):
        read_regular(tmp_path / "link", 10, follow=False)


def test_json_that_is_nested_too_deeply_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep")
