"""Image files of all kinds: what a viewer shows is what is read, or the file is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from archsearch.data import form
from archsearch.data.decoding import decode, open_whole
from archsearch.data.form import ImageForm
from archsearch.reading.errors import InputError

RAMP = np.arange(64, dtype=np.uint32).reshape(8, 8)


def square(side: int, **words) -> ImageForm:
    return ImageForm(**{"channels": 3, "height": side, "width": side} | words)


def read(path: Path) -> np.ndarray:
    (image,) = open_whole(path, square(32), "x")
    return np.asarray(image)


def pixels(path: Path, side: int) -> np.ndarray:
    return decode(path, square(side), str(path)).transpose(1, 2, 0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_never_clipped(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray((RAMP * 1040).astype(np.uint16)).save(path)
    expected = np.rint(RAMP * 1040 * 255 / 65535).astype(np.uint8)
    assert np.array_equal(read(path), np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize(("most", "scale"), [(65535, 1.0), (4095, 65535 / 4095)])
def test_a_portable_greymap_is_scaled_by_its_own_maximum(tmp_path, most, scale):
    path = tmp_path / "x.pgm"
    values = (RAMP * 60).astype(">u2")
    path.write_bytes(b"P5 8 8 %d\n" % most + values.tobytes())
    assert np.abs(read(path)[..., 0] - values * scale * 255 / 65535).max() <= 0.51


def test_white_at_zero_is_white(tmp_path):
    path, tags = tmp_path / "x.tif", TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path, tiffinfo=tags)
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0  # type: ignore[attr-defined]
    assert (read(path) == 255).all()


@pytest.mark.parametrize(("dtype", "name"), [(np.int32, "signed 32-bit"), (np.float32, "floating-point")])
def test_samples_without_a_known_white_are_refused_by_name(tmp_path, dtype, name):
    path = tmp_path / "scan.tif"
    Image.fromarray(RAMP.astype(dtype)).save(path)
    with pytest.raises(InputError, match=rf"scan\.tif.*{name} samples"):
        pixels(path, 8)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_eight_bits_are_read_as_they_are(tmp_path, mode):
    values = np.random.default_rng(0).integers(0, 256, (8, 8) if mode == "L" else (8, 8, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert np.array_equal(
        pixels(tmp_path / "x.png", 8), values if mode == "RGB" else np.repeat(values[..., None], 3, 2)
    )


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path, suffix, orientation):
    """A white corner, at the top left as it is stored, lies where EXIF's table says: (row, column) of 0 and 1."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :16] = 255
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"phone.{suffix}"
    image.save(path, exif=exif)
    shown = read(path)
    corner = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0)][orientation - 1]
    assert shown.shape[:2] == ((32, 64) if orientation < 5 else (64, 32))
    corners = {(y, x): shown[y * -8 :][:8, x * -8 :][:, :8] for y in (0, 1) for x in (0, 1)}
    assert {key for key, part in corners.items() if part.mean() > 200} == {corner}


def test_broken_exif_does_not_make_a_picture_unreadable(tmp_path):
    Image.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / "x.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(tmp_path / "x.jpg").shape == (9, 9, 3)


@pytest.mark.parametrize("shape", [(20_000, 1), (1, 20_000), (3000, 40)])
def test_the_middle_of_a_long_picture_is_resized_alone(tmp_path, monkeypatch, shape):
    """To within a step the pixels of the whole, resized; that one is never made."""
    image = Image.effect_noise(shape, 90).convert("RGB")
    image.save(tmp_path / "strip.png")
    resized_to: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def noted(self: Image.Image, size: tuple[int, int], *more: object) -> Image.Image:
        resized_to.append(size)
        return resize(self, size, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", noted)
    alone = pixels(tmp_path / "strip.png", 16)
    monkeypatch.setattr(form, "THIN", 1e9)
    assert np.abs(alone.astype(int) - pixels(tmp_path / "strip.png", 16)).max() <= 1
    assert resized_to[0] == (16, 16) != resized_to[1]
