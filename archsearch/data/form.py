"""What every image of a data set becomes, and how a file is read so: decoded, turned, resized, cropped or padded.

This file imports NumPy, Pillow and the standard library alone, and nothing of archsearch: `export` copies its text into
a bundle, so that whoever reads an image there runs the very code that training ran. `read` is the whole reading.
"""

from __future__ import annotations

import io
import math
import sys
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    Pixels = np.ndarray[Any, Any]

SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff",
})  # fmt: skip
OPTIONAL = (".avif", ".heic", ".heif")
ARRAY = b"\x93NUMPY"  # how a .npy file begins
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's modes of pictures with so many channels
WIDE = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})  # Pillow's modes of more than 8 bits, which it clips
THIN = 32  # sides of a higher ratio: only the part that remains is resized, to within a step the same
ORIENTATION, SUBFILE, BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 0x0112, 254, 258, 262, 339  # tags of EXIF and TIFF
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
TURNS |= {7: "TRANSVERSE", 8: "ROTATE_90"}


@dataclass(frozen=True, kw_only=True)
class ImageForm:
    """The form of a data set's images: `channels`, `height` and `width`, and `bits` of a value (8: uint8, 16: uint16).

    `fit` says how a picture of another size gets this one. crop: resized until it covers it, or its sides divided by
    `crop_ratio`, the centre cut out; pad: resized until it fits into it, centred, the rest 0 (black); squash: each side
    resized by itself. `pages`: the pages of a TIFF are its channels; otherwise its first page is the picture. `range`
    are the two values that become 0 and the highest value, in .npy files and in pictures of more than 8 bits; None:
    those of the type (0 to 255, 0 to 65,535; floating-point 0 to 1).
    """

    channels: int
    height: int
    width: int
    bits: Literal[8, 16] = 8
    fit: Literal["crop", "pad", "squash"] = "crop"
    pages: bool = False
    range: tuple[float, float] | None = None
    crop_ratio: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of a value."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def white(self) -> int:
        """The highest value, 255 or 65,535: white."""
        return int(2**self.bits - 1)


def read(content: bytes | BinaryIO | Pixels, form: ImageForm) -> Pixels:
    """An image of the form: (channels, height, width) of its dtype, perhaps a view of (height, width, channels).

    `content` is a file's bytes, the open file, or an array as a .npy file holds it: (H, W), (H, W, C) or (C, H, W).
    Raises OSError, ValueError, SyntaxError or Pillow's DecompressionBombError for what is no image, or cannot have this
    form.
    """
    return pixels_of([fitted(plane, form) for plane in opened(content, form)], form)


def normalised(pixels: Pixels, form: ImageForm, mean: list[float], std: list[float]) -> Pixels:
    """An image that was `read`, as the network takes it: float32 (channels, height, width), each channel's values,
    as shares of the highest one, less its mean and divided by its standard deviation."""
    shift, scale = (np.asarray(values, np.float32)[:, None, None] * np.float32(form.white) for values in (mean, std))
    return np.ascontiguousarray((pixels.astype(np.float32) - shift) / scale)


def opened(content: bytes | BinaryIO | Pixels, form: ImageForm, least: tuple[int, int] | None = None) -> list[PILImage]:
    """The whole image, turned as its EXIF orientation says: one picture with `channels` bands, or one plane (modes L
    and, of 16 bits, F) for each channel. Raises what `read` does.

    A JPEG may come at 1/2, 1/4 or 1/8 of its size, never below `least` (height, width; None: what the form needs).
    """
    from PIL import Image

    if isinstance(content, bytes):
        content = io.BytesIO(content)
    if not isinstance(content, np.ndarray):
        start = content.read(len(ARRAY))
        content.seek(0)
        if start == ARRAY:
            content = np.load(content, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return [_plane(values, form) for values in _channels_first(content, form.channels)]
    with Image.open(content, formats=formats()) as image:
        height, width = least or (math.ceil(side / form.crop_ratio) for side in (form.height, form.width))
        image.draft(MODES.get(form.channels), (width, height))  # a JPEG decodes at 1/2, 1/4 or 1/8
        if form.pages and image.format == "TIFF" and len(pages := _pages(image)) > 1:
            return _stacked(image, pages, form)
        return _bands(image, form)


def fitted(image: PILImage, form: ImageForm) -> PILImage:
    """The image at the form's height and width."""
    from PIL import Image

    bilinear, size = Image.Resampling.BILINEAR, (form.width, form.height)
    if form.fit == "squash":
        return image.resize(size, bilinear)
    ratios = form.width / image.width, form.height / image.height
    if form.fit == "pad":
        inner = [max(1, min(most, round(side * min(ratios)))) for most, side in zip(size, image.size, strict=True)]
        canvas, corner = Image.new(image.mode, size), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
        canvas.paste(image.resize((inner[0], inner[1]), bilinear), corner)
        return canvas
    ratio = max(ratios) / form.crop_ratio
    width, height = (max(least, round(side * ratio)) for least, side in zip(size, image.size, strict=True))
    x, y = (width - form.width) // 2, (height - form.height) // 2
    if width > THIN * form.width or height > THIN * form.height:  # the whole would be many times what remains
        across, down = image.width / width, image.height / height
        box = (x * across, y * down, (x + form.width) * across, (y + form.height) * down)
        return image.resize(size, bilinear, box)
    return image.resize((width, height), bilinear).crop((x, y, x + form.width, y + form.height))


def pixels_of(images: list[PILImage], form: ImageForm) -> Pixels:
    """The values of pictures or planes of one size: (channels, height, width), perhaps a view of (..., channels)."""
    if form.bits == 16:
        return cast("Pixels", np.rint(np.stack([np.asarray(plane) for plane in images])).astype(np.uint16))
    if len(images) > 1:
        return np.stack([np.asarray(plane) for plane in images])
    values: Pixels = np.asarray(images[0])
    return values.transpose(2, 0, 1) if values.ndim == 3 else values[None]


@cache
def suffixes() -> frozenset[str]:
    """How names of pictures end: `SUFFIXES`, with AVIF and HEIC where this Pillow reads them."""
    from PIL import Image, features

    readable = set(Image.registered_extensions()) - (set() if features.check("avif") else {".avif"})
    return SUFFIXES.union(suffix for suffix in OPTIONAL if suffix in readable)


@cache
def formats() -> tuple[str, ...]:
    """Pillow's formats of those names: whatever a file is called, no other decoder gets it, for one runs programs."""
    from PIL import Image

    return tuple({kind for suffix, kind in Image.registered_extensions().items() if suffix in suffixes()})


def _bands(image: PILImage, form: ImageForm) -> list[PILImage]:
    """A picture, or the page of a TIFF that is open, with the form's channels."""
    from PIL import Image

    if form.channels not in MODES:
        raise ValueError(f"a picture of {len(image.getbands())} channels, not {form.channels}: {STACKS}")
    if has_wide_colours(image) and form.bits == 16:
        planes = _wide_bands(image, form)
    elif image.mode in WIDE:
        planes = _samples(image, form)
        if form.channels > 1:
            planes = planes * 3 + [Image.new(planes[0].mode, planes[0].size, form.white)] * (form.channels - 3)
            planes = planes if form.bits == 16 else [Image.merge(MODES[form.channels], planes)]
    else:
        image.load()
        alpha = form.channels == 4 and not image.has_transparency_data
        planes = [(image.convert("RGB") if alpha else image).convert(MODES[form.channels])]
        if form.bits == 16:
            planes = [_image(np.asarray(band) * np.float32(257), form) for band in planes[0].split()]
    turn = TURNS.get(orientation(image))
    return planes if turn is None else [plane.transpose(Image.Transpose[turn]) for plane in planes]


def has_wide_colours(image: PILImage) -> bool:
    """Whether an open picture, not decoded yet, has colours of 16 bits, of which Pillow reads the higher byte alone."""
    tiles, bits = str(getattr(image, "tile", "")), getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (0,))
    if len(bits) > 4 or (max(bits) > 8 and image.mode not in WIDE and ";16" not in tiles):
        kind = f"{len(bits)} samples a pixel" if len(bits) > 4 else f"colours of {max(bits)} bits in separate planes"
        raise ValueError(f"{kind}: {STACKS}")
    return image.mode not in WIDE and ";16" in tiles


def _wide_bands(image: Any, form: ImageForm) -> list[PILImage]:
    """A picture of 16-bit colours as planes. It is decoded twice: for the higher bytes, as Pillow does it, and for the
    lower ones, as if the bytes of a sample were in the other order."""
    from PIL import Image

    file, page, other = image.fp, image.tell(), {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    image.load()
    file.seek(0)
    with Image.open(file, formats=formats()) as lower:
        lower.seek(page)
        for index, tile in enumerate(tiles := cast("Any", lower).tile):
            raw, *more = [tile.args] if isinstance(tile.args, str) else tile.args
            tiles[index] = tile._replace(args=(raw[:-1] + other[raw[-1]], *more))
        values = np.asarray(image).astype(np.float32) * 256 + np.asarray(lower)
    grey = [np.rint(values[..., :3] @ np.array([0.299, 0.587, 0.114]))]
    bands = [*np.moveaxis(values, 2, 0), np.full_like(values[..., 0], form.white)][: form.channels]
    return [_image(band, form) for band in (bands if form.channels > 1 else grey)]


def _stacked(image: PILImage, pages: list[int], form: ImageForm) -> list[PILImage]:
    """The bands of all pages, one after another, as planes."""
    planes = []
    for page in pages:
        image.seek(page)
        count = 1 if image.mode in WIDE else {"1": 1, "L": 1}.get(image.mode, 4 if image.has_transparency_data else 3)
        bands = _bands(image, replace(form, channels=count))
        planes += bands if form.bits == 16 else [band for picture in bands for band in picture.split()]
    if len(planes) != form.channels:
        raise ValueError(f"a TIFF of {len(pages)} pages with {len(planes)} channels in all, not {form.channels}")
    if len({plane.size for plane in planes}) > 1:
        raise ValueError(f"a TIFF whose pages have several sizes: {sorted({plane.size for plane in planes})}")
    return planes


def _pages(image: PILImage) -> list[int]:
    """The numbers of a TIFF's pages, smaller copies of others (pyramids, thumbnails) left out; at the first one."""
    pages = []
    for page in range(getattr(image, "n_frames", 1)):
        image.seek(page)
        if not int(getattr(image, "tag_v2", {}).get(SUBFILE, 0)) & 1:
            pages.append(page)
    image.seek(0)
    return pages


def orientation(image: PILImage) -> int:
    """The orientation in EXIF or XMP, 1 to 8: 1 where there is none, or where the block cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF is written by cameras and phones, and broken in more ways than Pillow names
        return 1


def _samples(image: PILImage, form: ImageForm) -> list[PILImage]:
    """A picture of more than 8 bits a sample as one plane of grey: 0 is black, the highest value of its type white.

    Raises ValueError for signed, 32-bit and floating-point samples, whose white is not known, without a range.
    """
    tags = getattr(image, "tag_v2", {})
    bits = int(np.max(tags.get(BITS_PER_SAMPLE, 16)))
    inverted = tags.get(PHOTOMETRIC) == 0  # the lowest value is white
    if form.range is not None:
        values = _between(np.asarray(image), form)
        return [_image(form.white - values if inverted else values, form)]
    unsigned = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not unsigned or bits > 16 or int(np.max(tags.get(SAMPLE_FORMAT, 1))) != 1:
        kind = "floating-point" if image.mode == "F" else f"signed {bits}-bit" if image.format == "TIFF" else image.mode
        raise ValueError(f"{kind} samples, whose value range is not known: save it with 8 or 16 bits, unsigned")
    white = 2**bits - 1
    values = np.asarray(image).astype(np.uint32)
    if int(values.max()) > white:
        raise ValueError(f"a sample of {values.max()} in an image of {bits} bits")
    values = (values * form.white + white // 2) // white
    return [_image(form.white - values if inverted else values, form)]


def _channels_first(array: Pixels, channels: int) -> Pixels:
    """An array (H, W), (H, W, C) or (C, H, W) as (C, H, W); of three channels are all that of (H, W). Raises ValueError
    for anything else, and where both ends could be the channels."""
    if array.ndim == 2:
        array = array[None] if channels != 3 else np.stack([array] * 3)
    first, last = (array.ndim == 3 and array.shape[axis] == channels for axis in (0, 2))
    if not (first or last) or 0 in array.shape:
        raise ValueError(f"an array {array.shape} without {channels} channels, first or last")
    if first and last:
        raise ValueError(f"an array {array.shape} whose first and last axes could both be the {channels} channels")
    return array if first else array.transpose(2, 0, 1)


def _plane(values: Pixels, form: ImageForm) -> PILImage:
    """One channel (H, W) of an array as a plane. Raises ValueError for values whose range is not known."""
    kind = values.dtype.newbyteorder("=")
    if kind.kind not in "buif":
        raise ValueError(f"an array of {kind}: {RANGES}")
    if form.range is not None:
        return _image(_between(values, form), form)
    if kind in (np.uint8, np.uint16):
        white = int(np.iinfo(kind).max)
        return _image((values.astype(np.uint32) * form.white + white // 2) // white, form)
    if kind.kind not in "bf":
        raise ValueError(f"an array of {kind}, whose value range is not known: {RANGES}")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"an array of {kind} from {low:g} to {high:g}: {RANGES}")
    return _image(np.rint(values.astype(np.float64) * form.white), form)


def _between(values: Pixels, form: ImageForm) -> Pixels:
    """Values of any type, those of the form's range from 0 to the highest one; those beyond at its ends."""
    assert form.range is not None
    low, high = form.range
    if not np.isfinite(values).all():
        raise ValueError("values that are not numbers (NaN or infinite)")
    return np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * form.white)


def _image(values: Pixels, form: ImageForm) -> PILImage:
    """Whole values (H, W) of the form's bits as a plane that Pillow resizes."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(values.astype(np.uint8 if form.bits == 8 else np.float32)))


STACKS = "more channels are the pages of a TIFF, or a .npy file (H, W, C) or (C, H, W)"
RANGES = "save it as uint8 or uint16, or as floating-point numbers from 0 to 1; or name its range: data.range"
