"""Image files -> uint8 pixels, by Pillow; a file that cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from archsearch.experiment.machine import cores
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

WIDE = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})  # Pillow's modes of more than 8 bits, which it clips
NAMED = 20  # broken images that an error names each
_SKIP = "--set data.broken=skip"
THIN = 32  # sides of a higher ratio: only the part that is kept is resized, to within a step the same
_ORIENTATION = 0x0112  # of EXIF
_TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
_TURNS |= {7: "TRANSVERSE", 8: "ROTATE_90"}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # of TIFF; photometric 0: the lowest value is white
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff",
})  # fmt: skip
_OPTIONAL = (".avif", ".heic", ".heif")


@cache
def suffixes() -> frozenset[str]:
    """How names of images end: `SUFFIXES`, with AVIF and HEIC where this Pillow reads them."""
    from PIL import Image, features

    readable = set(Image.registered_extensions()) - (set() if features.check("avif") else {".avif"})
    return SUFFIXES.union(suffix for suffix in _OPTIONAL if suffix in readable)


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's formats of those names: whatever a file is called, no other decoder gets it, for one runs programs."""
    from PIL import Image

    known = Image.registered_extensions()
    return tuple({known[suffix] for suffix in suffixes() if suffix in known})


def decoded(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """(N, 3, size, size), each image as `pixels` has it. Raises InputError that names those that cannot be read."""
    images, problems = attempted(paths, size)
    if problems:
        raise broken(list(problems.values()))
    return images


def attempted(paths: Sequence[Path], size: int) -> tuple[npt.NDArray[np.uint8], dict[int, Problem]]:
    """(N, 3, size, size), and what is wrong with those that cannot be read, by index: their pixels are undefined."""
    images = np.empty((len(paths), 3, size, size), np.uint8)

    def decode(index: int) -> None:
        images[index] = pixels(paths[index], size).transpose(2, 0, 1)

    return images, problems_of(decode, len(paths))


def unreadable(paths: Sequence[Path], size: int) -> dict[int, Problem]:
    """What is wrong with the files that cannot be read as images, by index; all are decoded, none is kept."""
    return problems_of(lambda index: opened(paths[index], size), len(paths))


def problems_of(decode: Callable[[int], object], count: int) -> dict[int, Problem]:
    """The problems of those indices below `count` for which `decode` raises InputError. By threads: Pillow decodes
    without Python's lock."""

    def attempt(index: int) -> Problem | None:
        try:
            decode(index)
        except InputError as error:
            return error.problems[0]
        return None

    with ThreadPoolExecutor(cores()) as pool:
        results = enumerate(pool.map(attempt, range(count)))
        return {index: problem for index, problem in results if problem is not None}


def broken(problems: Sequence[Problem]) -> InputError:
    """The refusal of these images: the first are named each, then their number and the ways out."""
    if len(problems) == 1:
        return InputError(replace(problems[0], hint=f"{problems[0].hint}; or skip it: {_SKIP}"))
    named = [replace(problem, allowed="", hint="") for problem in problems[:NAMED]]
    more = f", {len(problems) - NAMED} more than are listed above" if len(problems) > NAMED else ""
    return InputError(
        *named,
        Problem(
            message=f"{len(problems)} images cannot be read{more}",
            hint=f"repair or remove them, or skip them: {_SKIP}",
            file="data.root",
        ),
    )


def pixels(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """(size, size, 3), uint8: the shorter side resized to `size`, the middle cut out. Raises InputError for what is no
    image."""
    from PIL import Image

    rgb = opened(path, size)
    scale = size / min(rgb.size)
    width, height = (max(size, round(side * scale)) for side in rgb.size)
    x, y = (width - size) // 2, (height - size) // 2
    if max(width, height) > THIN * size:  # the whole would be many times what is kept: the middle alone is resized
        across, down = rgb.width / width, rgb.height / height
        box = (x * across, y * down, (x + size) * across, (y + size) * down)
        return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR, box))
    resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((x, y, x + size, y + size)))


def opened(path: Path, side: int) -> PILImage:
    """The whole image in RGB, turned as its EXIF orientation says; a JPEG may come at 1/2, 1/4 or 1/8 of its size, its
    shorter side never below `side`.

    Raises InputError for a file that cannot be read, and for samples whose white no file or type names."""
    from PIL import Image

    with _opening(path) as image:
        image.draft("RGB", (side, side))  # a JPEG decodes at 1/2, 1/4 or 1/8
        image.load()
        turn = _TURNS.get(_orientation(image))
        rgb = (image if image.mode not in WIDE else _grey(image)).convert("RGB")
        return rgb if turn is None else rgb.transpose(Image.Transpose[turn])


def header(path: Path) -> tuple[tuple[int, int], str]:
    """((width, height), Pillow's mode) of an image, of which no more than its header is read. Raises InputError for a
    file that cannot be read."""
    with _opening(path) as image:
        return image.size, image.mode


@contextmanager
def _opening(path: Path) -> Iterator[PILImage]:
    """The file as an image of the formats that are read; what goes wrong with it in the block is an InputError."""
    from PIL import Image

    try:
        with open_regular(path) as file, Image.open(file, formats=_formats()) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise refuse(
            f"not a readable image ({error})",
            allowed=", ".join(sorted(suffixes())),
            hint="repair or remove it",
            file=str(path),
        ) from error


def _orientation(image: PILImage) -> int:
    """The orientation in EXIF or XMP, 1 to 8: 1 where there is none, or where the block cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is written by cameras and phones, and broken in more ways than Pillow names
        return 1


def _grey(image: PILImage) -> PILImage:
    """An image of more than 8 bits a sample as 8-bit grey: 0 is black, the highest value of its type white.

    Raises ValueError for signed, 32-bit and floating-point samples, whose white is a convention of whoever wrote them.
    """
    from PIL import Image

    tags = getattr(image, "tag_v2", {})
    bits = int(np.max(tags.get(_BITS_PER_SAMPLE, 16)))
    unsigned = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not unsigned or bits > 16 or int(np.max(tags.get(_SAMPLE_FORMAT, 1))) != 1:
        kind = "floating-point" if image.mode == "F" else f"signed {bits}-bit" if image.format == "TIFF" else image.mode
        raise ValueError(f"{kind} samples, whose value range is not known: save it with 8 or 16 bits, unsigned")
    white = 2**bits - 1
    values = np.asarray(image).astype(np.uint32)
    if int(values.max()) > white:
        raise ValueError(f"a sample of {values.max()} in an image of {bits} bits")
    grey = ((values * 255 + white // 2) // white).astype(np.uint8)
    return Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == 0 else grey)
