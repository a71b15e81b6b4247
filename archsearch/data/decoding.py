"""Image files -> pixels of a form (form.py); a file that cannot be read is named."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from archsearch.data.form import (
    ARRAY,
    MODES,
    ImageForm,
    fitted,
    formats,
    has_wide_colours,
    opened,
    orientation,
    pixels_of,
    read,
    suffixes,
)
from archsearch.experiment.machine import cores
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.files import open_regular
from archsearch.sources.layout import array_header
from archsearch.sources.source import Content, Numbers, Source
from archsearch.space.datasets import file_shape
from archsearch.space.settings import DataSettings

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

NAMED = 20  # broken images that an error names each
TIFF_HINT = (
    "if it has more than 4 samples a pixel: save each as a page, or all as .npy (tifffile.imread reads it); else "
)
_SKIP = "--set data.broken=skip"


def form_of(settings: DataSettings, auto_bits: Literal[8, 16] = 8) -> ImageForm:
    """The form that image files get by these settings; `auto_bits` are those of a value where they are auto."""
    channels, height, width = file_shape(settings)
    return ImageForm(
        channels=channels,
        height=height,
        width=width,
        bits=auto_bits if settings.bits == "auto" else settings.bits,
        fit=settings.fit,
        crop_ratio=settings.crop_ratio,
        pages=settings.channels != "auto",
        range=settings.range,
    )


def decode(content: Content, form: ImageForm, name: str) -> npt.NDArray[Any]:
    """An image of the form: (channels, height, width) of its dtype, perhaps a view of (height, width, channels).

    `content` is a file's path or bytes, or an array as a .npy file holds it; `name` is what an error calls it. Raises
    InputError for what cannot be read, or cannot have this form.
    """
    with _explained(name):
        if not isinstance(content, Path):
            return read(content, form)
        with open_regular(content) as file:
            return read(file, form)


def pixels(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """(size, size, 3), uint8: a file as a folder's usual settings have it, for a look at one. Raises InputError."""
    form = ImageForm(channels=3, height=size, width=size)
    return np.ascontiguousarray(decode(path, form, str(path)).transpose(1, 2, 0))


def decoded(source: Source, numbers: Numbers, form: ImageForm) -> npt.NDArray[Any]:
    """(N, channels, height, width): these images of a source. Raises InputError, which names those that are broken."""
    (images,), problems = attempted(source, numbers, [form])
    if problems:
        raise broken(list(problems.values()))
    return images


def attempted(
    source: Source, numbers: Numbers, forms: Sequence[ImageForm]
) -> tuple[list[npt.NDArray[Any]], dict[int, Problem]]:
    """(N, channels, height, width) of each form, which differ in their sizes, and what is wrong with the images that
    cannot be read, by index: their pixels are undefined."""
    images = [np.empty((len(numbers), *form.shape), form.dtype) for form in forms]

    def fill(index: int) -> None:
        number = int(numbers[index])
        content, name = source.read(number), source.name(number)
        for array, pixels in zip(images, decode_each(content, forms, name), strict=True):
            array[index] = pixels

    return images, problems_of(fill, len(numbers))


def decode_each(content: Content, forms: Sequence[ImageForm], name: str) -> list[npt.NDArray[Any]]:
    """An image at each of several sizes, what `decode` gives for each form; forms for which a JPEG is decoded at the
    same scale share that."""
    if len(forms) == 1:
        return [decode(content, forms[0], name)]
    with _explained(name):
        if isinstance(content, Path):
            with open_regular(content) as file:
                content = file.read()
        planes: dict[Any, list[PILImage]] = {}
        return [pixels_of([fitted(plane, form) for plane in _shared(content, form, planes)], form) for form in forms]


def _shared(content: bytes | npt.NDArray[Any], form: ImageForm, planes: dict[Any, list[PILImage]]) -> list[PILImage]:
    """The planes of an image as `opened` has them for a form, from `planes` where an earlier form had the same."""
    from PIL import Image

    scale: Any = None
    if isinstance(content, bytes) and not content.startswith(ARRAY):
        with Image.open(io.BytesIO(content), formats=formats()) as image:
            scale = image.draft(MODES.get(form.channels), (form.width, form.height))
    if scale not in planes:
        planes[scale] = opened(content, form)
    return planes[scale]


def unreadable(source: Source, numbers: Numbers, form: ImageForm) -> dict[int, Problem]:
    """What is wrong with the images that cannot be read, by index; all are decoded, none is kept."""

    def attempt(index: int) -> None:
        number = int(numbers[index])
        open_whole(source.read(number), form, source.name(number))

    return problems_of(attempt, len(numbers))


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


def open_whole(content: Content, form: ImageForm, name: str, least: tuple[int, int] | None = None) -> list[PILImage]:
    """The whole image, before it is resized: `form.opened`, with InputError for what cannot be read."""
    with _explained(name):
        if not isinstance(content, Path):
            return opened(content, form, least)
        with open_regular(content) as file:
            return opened(file, form, least)


def resized_box(image: PILImage, box: Sequence[int], size: tuple[int, int]) -> PILImage:
    """The box (top, left, height, width) of an image at another size (height, width), bilinear and antialiased."""
    from PIL.Image import Resampling

    top, left, height, width = box
    return image.resize(size[::-1], Resampling.BILINEAR, (left, top, left + width, top + height))


def header(content: bytes | Path, name: str) -> tuple[tuple[int, int], str]:
    """((width, height) as it is shown, Pillow's mode) of an image file, of which no more than its header is read; the
    mode of colours of 16 bits is such as RGB;16, that of a .npy file its type, such as uint16. Raises InputError for
    what cannot be read."""
    with _explained(name):
        if isinstance(content, bytes):
            return _header(io.BytesIO(content))
        with open_regular(content) as file:
            return _header(file)


def _header(file: BinaryIO) -> tuple[tuple[int, int], str]:
    from PIL import Image

    if file.read(len(ARRAY)) == ARRAY:
        file.seek(0)
        shape, kind = array_header(file)
        height, width = shape[:2] if len(shape) == 2 or shape[0] > shape[2] else shape[1:]
        return (width, height), kind.name
    file.seek(0)
    with Image.open(file, formats=formats()) as image:
        turned = image.format in ("JPEG", "MPO") and orientation(image) > 4  # others would be decoded for that
        mode = f"{image.mode};16" if has_wide_colours(image) else image.mode
        return image.size[::-1] if turned else image.size, mode


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever goes wrong with an image in the block is an InputError that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError) and name.lower().endswith((".tif", ".tiff"))
        raise refuse(
            f"not a readable image ({'a TIFF that Pillow does not read' if unknown else error})",
            allowed=", ".join(sorted(suffixes())),
            hint=f"{TIFF_HINT if unknown else ''}repair or remove it",
            file=name,
        ) from error
