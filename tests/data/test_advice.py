"""Folders of grey, wide, rectangular and multispectral images: what is said of them, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.api.initial import initial
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.data.form import OPTIONAL, SUFFIXES
from archsearch.data.surveying import survey_folder
from archsearch.reading.errors import InputError
from archsearch.sources.layout import PICTURES
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings

EACH = 12


def folder(root: Path, write, suffix: str) -> Path:
    """Two classes of images, which `write(path, generator)` makes."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(EACH):
            write(root / name / f"{number}{suffix}", generator)
    return root


def picture(path: Path, generator: np.random.Generator, shape: tuple[int, ...], dtype=np.uint8) -> None:
    Image.fromarray(generator.integers(0, np.iinfo(dtype).max, shape).astype(dtype)).save(path)


def array(path: Path, generator: np.random.Generator, shape: tuple[int, ...], dtype=np.uint8) -> None:
    np.save(path, generator.integers(0, np.iinfo(dtype).max, shape).astype(dtype))


def settings(root: Path, **words) -> DataSettings:
    return DataSettings(**{"name": "folder", "root": str(root), "size": 16} | words)


def told(root: Path, **words) -> list[str]:
    messages: list[str] = []
    load_images(settings(root, **words), progress=messages.append)
    return [message for message in messages if "data." in message]


def test_the_endings_of_pictures_are_the_same_above_and_below():
    assert SUFFIXES.union(OPTIONAL) == PICTURES


def test_much_that_the_center_crop_removes_is_told(tmp_path, capsys):
    root = folder(tmp_path / "wide", lambda path, rng: picture(path, rng, (20, 40, 3)), ".png")
    assert told(root) == [
        "the center crop removes 50% of the median image: data.fit: pad or squash keeps all of it, and so does a "
        "data.size [height, width] of its aspect ratio"
    ]
    assert told(root, fit="pad") == told(root, fit="squash") == told(root, size=(16, 32)) == []
    assert survey_folder(settings(root), print).lost == 0.5
    file = tmp_path / "space.yaml"
    file.write_text(
        f"archsearch: 1\nname: wide\ndata: {{name: folder, root: {root}, size: 16}}\n"
        "space: {stages: 2, depth: 1, width: {choice: [8, 16]}}\n"
    )
    main(["check", str(file), "--no-probe"])
    assert "center crop removes 50% of the median image" in " ".join(capsys.readouterr().out.split())
    main(["check", str(file), "--no-probe", "--json", "--set", "data.fit=pad"])
    assert json.loads(capsys.readouterr().out)["folder"]["advice"] == []


def test_a_photograph_is_judged_as_it_is_shown(tmp_path):
    """Of a camera held upright the file is wide, and turned by its EXIF orientation."""

    def upright(path: Path, rng: np.random.Generator) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)).save(path, exif=exif)

    root = folder(tmp_path / "phone", upright, ".jpg")
    assert told(root, size=(32, 16)) == [] and told(root, size=(16, 32)) != []


def test_grey_images_are_rgb_as_ever_and_that_is_told(tmp_path):
    root = folder(tmp_path / "grey", lambda path, rng: picture(path, rng, (20, 20)), ".png")
    assert load_images(settings(root)).shape == (3, 16, 16) == facts(settings(root)).input
    assert told(root) == ["all images are grey, read as RGB: data.channels: 1 takes a third of the memory"]
    grey = settings(root, channels=1)
    assert load_images(grey).shape == (1, 16, 16) == facts(grey).input and told(root, channels=1) == []
    assert np.array_equal(load_images(grey).train.images, load_images(settings(root)).train.images[:, :1])


def test_init_reads_grey_images_as_grey(tmp_path):
    root = folder(tmp_path / "grey", lambda path, rng: picture(path, rng, (20, 20)), ".png")
    first = initial(root, time="1m", flops=1_000_000, tell=lambda _: None)
    assert first.space.data.channels == 1 and first.space.input == (1, 20, 20)
    assert "channels: 1" in first.text


def test_bits_that_are_dropped_are_told(tmp_path):
    root = folder(tmp_path / "deep", lambda path, rng: picture(path, rng, (20, 20), np.uint16), ".png")
    assert "100% of the images have more than 8 bits, scaled to 8: data.bits: 16 keeps 16" in told(root, bits=8)
    assert told(root, bits=16, channels=1) == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_keep_their_bits_where_nothing_else_is_said(tmp_path, in_memory):
    deep = folder(tmp_path / "deep", lambda path, rng: picture(path, rng, (20, 20), np.uint16), ".png")
    images = load_images(settings(deep, in_memory=in_memory))
    assert images.white == 65535 and images.form.bits == 16, "what is exported reads them so"
    assert images.digest == load_images(settings(deep, in_memory=in_memory, bits=16)).digest
    assert any("so all are read with 16: data.bits: 8 takes half" in message for message in told(deep))
    flat = folder(tmp_path / "flat", lambda path, rng: picture(path, rng, (20, 20, 3)), ".png")
    for number in range(EACH):  # half of the images
        picture(flat / "a" / f"{number}.png", np.random.default_rng(number), (20, 20), np.uint16)
    images = load_images(settings(flat, in_memory=in_memory))
    assert images.white == 255 and images.digest == load_images(settings(flat, in_memory=in_memory, bits=8)).digest
    assert any("scaled to 8: data.bits: 16 keeps 16" in message for message in told(flat))
    assert survey_folder(settings(deep), lambda _: None).advice[-1].startswith("100% of the images have more than 8")
    stack = folder(tmp_path / "stack", lambda path, rng: array(path, rng, (20, 20, 5), np.uint16), ".npy")
    assert load_images(settings(stack, in_memory=in_memory)).white == 65535


@pytest.mark.parametrize("shape", [(20, 18, 5), (5, 20, 18)], ids=["channels last", "channels first"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_folder_of_npy_files_has_their_channels(tmp_path, shape, in_memory):
    root = folder(tmp_path / "bands", lambda path, rng: array(path, rng, shape, np.uint16), ".npy")
    given = settings(root, in_memory=in_memory, bits=16)
    images = load_images(given)
    assert images.shape == (5, 16, 16) == facts(given).input and images.white == 65535
    assert len(images.mean) == 5 and sum(len(images.split(name)) for name in ("train", "validation", "test")) == 24
    assert survey_folder(given, lambda _: None).channels == 5


def test_npy_files_beside_pictures_are_ignored_as_ever(tmp_path):
    root = folder(tmp_path / "both", lambda path, rng: picture(path, rng, (20, 20, 3)), ".png")
    for number in range(EACH):
        np.save(root / "a" / f"{number}.npy", np.zeros((20, 20, 5), np.uint8))
    messages: list[str] = []
    images = load_images(settings(root), progress=messages.append)
    assert images.shape == (3, 16, 16)
    assert any("12 files ignored" in message and ".npy" in message for message in messages)
    assert sum(len(images.split(name)) for name in ("train", "validation", "test")) == 24


def test_npy_files_whose_channels_are_not_known_are_refused_with_the_way_out(tmp_path):
    root = folder(tmp_path / "cubes", lambda path, rng: array(path, rng, (16, 20, 16)), ".npy")
    with pytest.raises(InputError, match=r"an array \(16, 20, 16\).*\n.*data.channels=N"):
        facts(settings(root))


def test_tiffs_of_five_pages_have_five_channels(tmp_path):
    def stack(path: Path, rng: np.random.Generator) -> None:
        first, *others = (Image.fromarray(rng.integers(0, 256, (20, 18), dtype=np.uint8)) for _ in range(5))
        first.save(path, save_all=True, append_images=others)

    root = folder(tmp_path / "stacks", stack, ".tif")
    images = load_images(settings(root, channels=5))
    assert images.shape == (5, 16, 16) and load_images(settings(root)).shape == (3, 16, 16)
    with pytest.raises(InputError, match="5 pages with 5 channels in all, not 4"):
        load_images(settings(root, channels=4))
