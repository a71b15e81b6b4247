"""What an image becomes: channels, size, bits and fit, from real files of every kind that is read."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from archsearch.data import form as form_module
from archsearch.data.advice import lost
from archsearch.data.decoding import decode, form_of, header, pixels
from archsearch.data.form import ImageForm, opened
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings
from tests.data.wide_files import wide_png, wide_tiff

RNG = np.random.default_rng(5)


def form(channels: int = 3, height: int = 8, width: int = 8, **words) -> ImageForm:
    return ImageForm(channels=channels, height=height, width=width, **words)


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(1).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return picture if mode == "RGBA" else picture.convert("RGB").convert(mode)


def in_file(picture: Image.Image, kind: str = "PNG", **words) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **words)
    return buffer.getvalue()


def as_npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_the_settings_of_today_are_the_form_of_today():
    assert form_of(DataSettings(name="folder", size=64)) == ImageForm(channels=3, height=64, width=64)
    wanted = ImageForm(channels=5, height=64, width=96, bits=16, fit="pad", pages=True, range=(0.0, 1e4))
    settings = DataSettings(name="folder", size=(64, 96), channels=5, bits=16, fit="pad", range=(0, 1e4))
    assert form_of(settings) == wanted and DataSettings(**settings.to_dict()) == settings


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("stored", ["L", "RGB", "RGBA", "P", "CMYK"])
def test_pictures_have_the_channels_that_are_wanted(channels, mode, stored):
    picture = smooth(8, 8, stored)
    content = in_file(picture, "TIFF" if stored == "CMYK" else "PNG")
    read = decode(content, form(channels), "x")
    assert read.shape == (channels, 8, 8) and read.dtype == np.uint8
    wanted = picture.convert("RGB").convert(mode) if stored != "RGBA" else picture.convert(mode)
    assert np.array_equal(read, np.atleast_3d(np.asarray(wanted)).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(30, 20), (20, 30), (8, 8), (96, 64)])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(8, 8), (12, 8), (8, 20)])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_plain_ramp_lies_where_the_fit_puts_it(size, fit, shape, bits):
    """On slopes in both directions each pixel says where in the picture it comes from."""
    width, height = size
    wanted = form(3, *shape, fit=fit, bits=bits)
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    slopes = np.stack([across * 255 / width, down * 255 / height, np.full_like(across, 255)], 2)
    read = decode(in_file(Image.fromarray(slopes.round().astype(np.uint8))), wanted, "x") / wanted.white
    assert read.shape == (3, *shape)
    ratios = shape[1] / width, shape[0] / height
    scale = {"crop": (max(ratios),) * 2, "pad": (min(ratios),) * 2, "squash": ratios}[fit]
    for axis, channel in ((1, 0), (0, 1)):
        length, target = size[1 - axis], shape[axis]
        position = (np.arange(target) + 0.5 - target / 2) / scale[1 - axis] / length + 0.5
        inside = (position > 0) & (position < 1)
        picture = read[2] > 0
        assert inside.all() or fit == "pad"
        assert abs(int(picture.any(1 - axis).sum()) - int(inside.sum())) <= 1  # its size is rounded
        seen = (read[channel] * picture).sum(1 - axis) / np.maximum(picture.sum(1 - axis), 1)
        middle = np.abs(position - 0.5) < 0.3
        assert np.abs(seen - position)[middle].max() < 0.75 / inside.sum() + 0.02


def test_a_crop_ratio_is_of_the_shorter_side_that_is_resized():
    """As for ImageNet: resized to 256, of which 224 remain; and a large JPEG is not decoded too small for that."""
    picture, wanted = smooth(560, 448), form(3, 224, 224, crop_ratio=0.875)
    resized = picture.resize((320, 256), Image.Resampling.BILINEAR).crop((48, 16, 272, 240))
    assert np.array_equal(decode(in_file(picture), wanted, "x").transpose(1, 2, 0), np.asarray(resized))
    assert opened(in_file(picture, "JPEG"), wanted)[0].size == (560, 448)
    assert opened(in_file(picture, "JPEG"), form(3, 224, 224))[0].size == (280, 224)
    settings = DataSettings(name="folder", size=224, crop_ratio=0.875)
    assert form_of(settings) == form(3, 224, 224, crop_ratio=0.875)
    with pytest.raises(ValueError, match=r"a crop_ratio of 0.875 with fit: pad; allowed: crop_ratio: 1"):
        DataSettings(name="folder", fit="pad", crop_ratio=0.875)


def test_padding_is_black_and_the_whole_picture_is_there():
    read = decode(in_file(Image.new("RGB", (40, 20), (255, 9, 9))), form(fit="pad"), "x")
    assert (read[:, :2] == 0).all() and (read[:, 6:] == 0).all()
    assert (read[0, 2:6] == 255).all() and (read[1:, 2:6] == 9).all()


@pytest.mark.parametrize(
    ("size", "shape", "share"), [((64, 64), (8, 8), 0), ((128, 64), (8, 8), 0.5), ((64, 128), (8, 16), 0.75)]
)
def test_what_the_centre_crop_cuts_away(size, shape, share):
    assert lost(size, form(3, *shape)) == pytest.approx(share)
    assert lost(size, form(3, *shape, fit="pad")) == lost(size, form(3, *shape, fit="squash")) == 0


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_sixteen_bits_are_what_the_file_has(suffix):
    values = RNG.integers(0, 65536, (8, 8), dtype=np.uint16)
    content = in_file(Image.fromarray(values), suffix)
    assert np.array_equal(decode(content, form(1, bits=16), "x"), values[None])
    assert np.array_equal(decode(content, form(3, bits=16), "x"), np.stack([values] * 3))
    assert decode(content, form(1, bits=16), "x").dtype == np.uint16
    assert np.array_equal(decode(content, form(1), "x")[0], np.rint(values / 257).astype(np.uint8))
    halved = decode(content, form(1, 4, 4, bits=16), "x").astype(float)
    assert np.abs(halved.mean() - values.mean()) < 3000


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_eight_bits_become_sixteen_times_257(mode):
    picture = smooth(8, 8, mode)
    channels = len(mode)
    read = decode(in_file(picture), form(channels, bits=16), "x")
    wanted = np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1).astype(np.uint16) * 257
    assert np.array_equal(read, wanted)


WIDE = RNG.integers(0, 65536, (8, 8, 4), dtype=np.uint16)


@pytest.mark.parametrize("content", [wide_png(WIDE[..., :3]), wide_tiff(WIDE[..., :3]), wide_tiff(WIDE[..., :3], ">")])
def test_colours_of_sixteen_bits_are_what_the_file_has(content):
    values = WIDE[..., :3].transpose(2, 0, 1)
    assert np.array_equal(decode(content, form(3, bits=16), "x"), values)
    assert np.array_equal(decode(content, form(4, bits=16), "x"), [*values, np.full((8, 8), 65535)])
    grey = np.tensordot([0.299, 0.587, 0.114], values, 1)
    assert np.abs(decode(content, form(1, bits=16), "x")[0] - grey).max() <= 0.6
    assert np.array_equal(decode(content, form(3), "x"), values >> 8)
    assert header(content, "x") == ((8, 8), "RGB;16")
    smaller = decode(content, form(3, 4, 4, bits=16), "x").astype(float)
    assert np.abs(smaller.mean((1, 2)) - values.mean((1, 2))).max() < 3000


def test_colours_of_sixteen_bits_with_transparency():
    content = wide_png(WIDE)
    assert np.array_equal(decode(content, form(4, bits=16), "x"), WIDE.transpose(2, 0, 1))
    assert np.array_equal(decode(content, form(3, bits=16), "x"), WIDE[..., :3].transpose(2, 0, 1))
    with pytest.raises(InputError, match="unknown raw mode"):
        decode(wide_png(WIDE[..., :2]), form(3, bits=16), "grey with transparency")


def test_planes_of_sixteen_bits_which_pillow_takes_for_eight_are_refused():
    with pytest.raises(
        InputError, match="colours of 16 bits in separate planes: more channels are the pages of a TIFF"
    ):
        decode(wide_tiff(WIDE[..., :3], planes=True), form(3), "scan.tif")


def test_a_tiff_of_many_samples_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="a TIFF that Pillow does not read") as error:
        decode(wide_tiff(np.repeat(WIDE, 2, 2)), form(3), "field.tif")
    assert "save each as a page, or all as .npy" in str(error.value)


def test_a_tiff_of_which_pillow_reads_three_samples_of_five_is_refused():
    content = wide_tiff(np.zeros((4, 6, 5)), bits=8)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "RGB"
    with pytest.raises(InputError, match="5 samples a pixel: more channels are the pages of a TIFF"):
        decode(content, form(3), "field.tif")


def pages(*pictures: Image.Image) -> bytes:
    return in_file(pictures[0], "TIFF", save_all=True, append_images=list(pictures[1:]))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_pages_of_a_tiff_are_channels(bits, depth):
    planes = RNG.integers(0, np.iinfo(depth).max + 1, (5, 8, 8)).astype(depth)
    read = decode(pages(*map(Image.fromarray, planes)), form(5, bits=bits, pages=True), "x")
    wanted = planes.astype(float) / np.iinfo(depth).max * (2**bits - 1)
    assert read.shape == (5, 8, 8) and np.array_equal(read, np.rint(wanted))


def test_a_page_in_colour_and_one_in_grey_are_four_channels():
    colour, grey = smooth(8, 8), smooth(8, 8, "L")
    read = decode(pages(colour, grey), form(4, pages=True), "x")
    assert np.array_equal(read[:3], np.asarray(colour).transpose(2, 0, 1)) and np.array_equal(read[3], np.asarray(grey))


def test_without_a_number_of_channels_a_tiff_is_its_first_page():
    first = smooth(8, 8)
    content = pages(first, smooth(8, 8, "L"))
    assert np.array_equal(decode(content, form(), "x"), np.asarray(first).transpose(2, 0, 1))
    with pytest.raises(InputError, match="2 pages with 4 channels in all, not 3"):
        decode(content, form(pages=True), "x")


def test_smaller_copies_of_a_page_are_no_channels():
    first, small, tags = smooth(8, 8, "L"), smooth(4, 4, "L"), TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    small.encoderinfo = {"tiffinfo": tags}
    content = in_file(first, "TIFF", save_all=True, append_images=[small])
    with Image.open(io.BytesIO(content)) as written:
        written.seek(1)
        if written.tag_v2.get(254) != 1:
            pytest.skip("Pillow 11.0 writes no tags of later pages")
    assert np.array_equal(decode(content, form(1, pages=True), "x")[0], np.asarray(first))


def test_pages_of_several_sizes_are_refused():
    with pytest.raises(InputError, match="several sizes"):
        decode(pages(smooth(8, 8, "L"), smooth(9, 8, "L")), form(2, pages=True), "x")


@pytest.mark.parametrize("first", [True, False], ids=["channels first", "channels last"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16, np.dtype(">u2"), np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_npy_file_has_its_channels_at_either_end(first, depth, bits):
    share = RNG.random((5, 8, 10))
    white = {"u": lambda: np.iinfo(depth).max, "f": lambda: 1, "b": lambda: 1}[np.dtype(depth).kind]()
    array = np.rint(share * white).astype(depth) if white > 1 or depth == np.bool_ else share.astype(depth)
    content = as_npy(array if first else array.transpose(1, 2, 0))
    read = decode(content, form(5, 8, 10, bits=bits), "x")
    assert np.array_equal(read, np.rint(array.astype(float) / white * (2**bits - 1)))
    assert np.array_equal(read, decode(np.load(io.BytesIO(content)), form(5, 8, 10, bits=bits), "x"))


def test_an_array_is_resized_as_a_picture_is():
    picture = smooth(40, 30)
    for fit in ("crop", "pad", "squash"):
        wanted = decode(in_file(picture), form(fit=fit), "x")
        assert np.array_equal(decode(np.asarray(picture), form(fit=fit), "x"), wanted)


def test_a_grey_array_is_grey_or_three_equal_channels():
    array = np.asarray(smooth(8, 8, "L"))
    assert np.array_equal(decode(array, form(1), "x"), array[None])
    assert np.array_equal(decode(array, form(3), "x"), np.stack([array] * 3))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("depth", [np.int16, np.uint16, np.float32])
def test_a_range_says_what_is_black_and_what_is_white(depth, bits):
    values = np.linspace(0, 12_000, 64).reshape(1, 8, 8).astype(depth)
    wanted = np.rint(np.clip((values.astype(float) - 100) / 9900, 0, 1) * (2**bits - 1))
    ranged = form(1, bits=bits, range=(100, 10_000))
    assert np.array_equal(decode(values, ranged, "x"), wanted)
    if depth != np.int16:
        assert np.array_equal(decode(in_file(Image.fromarray(values[0]), "TIFF"), ranged, "x"), wanted)


@pytest.mark.parametrize(
    ("array", "words", "problem"),
    [
        (np.zeros((8, 8), np.int32), {}, "int32, whose value range is not known.*data.range"),
        (np.full((8, 8), 2.0), {}, "float64 from 2 to 2.*data.range"),
        (np.full((8, 8), np.nan), {}, "from nan to nan"),
        (np.full((8, 8), np.nan), {"range": (0, 1)}, "not numbers"),
        (np.zeros((8, 8), complex), {"range": (0, 1)}, "complex"),
        (np.zeros((4, 8, 8), np.uint8), {}, "without 1 channels"),
        (np.zeros((1, 8, 1), np.uint8), {}, "could both be the 1 channels"),
        (np.zeros((0, 8), np.uint8), {}, "without 1 channels"),
    ],
)
def test_arrays_that_are_not_known_to_be_images_are_refused(array, words, problem):
    with pytest.raises(InputError, match=rf"^x\.npy: .*{problem}"):
        decode(as_npy(array), form(1, **words), "x.npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff", as_npy(np.zeros(9))[:-8], b"no"])
def test_cut_files_are_refused_by_name(content):
    with pytest.raises(InputError, match=r"^x\.npy: not a readable image"):
        decode(content, form(1), "x.npy")


def test_pickles_are_never_read():
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable image"):
        decode(buffer.getvalue(), form(1), "x.npy")


def test_the_reading_needs_numpy_and_pillow_alone(tmp_path):
    """Its file runs where archsearch and torch are not installed."""
    smooth(30, 20).save(tmp_path / "x.png")
    (tmp_path / "form.py").write_text(Path(form_module.__file__).read_text())
    script = """
import sys
sys.path.insert(0, ".")
for name in ("archsearch", "torch", "torchvision"):
    sys.modules[name] = None
import form
wanted = form.ImageForm(channels=3, height=8, width=12, fit="pad", bits=16)
form.np.save("read.npy", form.read(open("x.png", "rb"), wanted))
"""
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True)
    wanted = decode(tmp_path / "x.png", form(3, 8, 12, fit="pad", bits=16), "x")
    assert np.array_equal(np.load(tmp_path / "read.npy"), wanted)


def test_one_file_as_a_folders_settings_have_it(tmp_path):
    Image.fromarray(np.tile(np.array([[[255, 0, 0]]], np.uint8), (9, 21, 1))).save(tmp_path / "red.png")
    assert pixels(tmp_path / "red.png", 8).tolist() == [[[255, 0, 0]] * 8] * 8
    with pytest.raises(InputError, match=r"nothing\.png"):
        pixels(tmp_path / "nothing.png", 8)
