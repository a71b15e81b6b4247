"""What settings lose of images without need: the sides that a center crop removes, colours of grey images, bits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Literal

import numpy as np

from archsearch.data.decoding import form_of, header, problems_of
from archsearch.data.form import WIDE, ImageForm
from archsearch.sources.source import Content, Numbers, Source
from archsearch.space.settings import DataSettings

LOOKED_AT = 200  # images whose headers are read, at most
WIDE_FROM = 0.5  # share of images of more than 8 bits, above which bits: auto keeps 16
MUCH = 0.2  # share of an image, above which the center crop is told of

Header = tuple[tuple[int, int], str]  # (width, height), Pillow's mode or an array's type


def advice(headers: Sequence[Header], settings: DataSettings) -> tuple[str, ...]:
    """Messages for a person, none where nothing is lost. `headers` are those of some of the images."""
    if not headers:
        return ()
    messages, form = [], form_of(settings)
    share = median_lost(headers, settings)
    if share > MUCH:
        messages.append(
            f"the center crop removes {share:.0%} of the median image: data.fit: pad or squash keeps all of it, "
            f"and so does a data.size [height, width] of its aspect ratio"
        )
    if settings.channels == "auto" and form.channels == 3 and grey_share(headers) == 1:
        messages.append("all images are grey, read as RGB: data.channels: 1 takes a third of the memory")
    wide = wide_share(headers)
    if wide and bits_of(headers, settings) == 8:
        messages.append(f"{wide:.0%} of the images have more than 8 bits, scaled to 8: data.bits: 16 keeps 16")
    elif wide and settings.bits == "auto":
        messages.append(
            f"{wide:.0%} of the images have more than 8 bits, so all are read with 16: data.bits: 8 takes half of the "
            "memory"
        )
    return tuple(messages)


def bits_of(headers: Sequence[Header], settings: DataSettings) -> Literal[8, 16]:
    """The bits of a value: those of the settings; of auto 16 where more than half of the images have more than 8."""
    if settings.bits != "auto":
        return settings.bits
    return 16 if wide_share(headers) > WIDE_FROM else 8


def sampled_headers(source: Source, numbers: Numbers) -> list[Header]:
    """The headers of some of these images, always the same, in their order; those that cannot be read are passed
    over, and arrays whose shape the source does not state."""
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), LOOKED_AT)).round().astype(int)].tolist()
    headers: dict[int, Header] = {}

    def note(index: int) -> None:
        content = source.read(chosen[index])
        if source.shape is not None or not isinstance(content, np.ndarray):
            headers[index] = header_of(source, chosen[index], content)

    problems_of(note, len(chosen))
    return [headers[index] for index in sorted(headers)]


def header_of(source: Source, number: int, content: Content) -> Header:
    """((width, height), mode) of an image; the mode of an array is that of a picture with as many channels."""
    if not isinstance(content, np.ndarray):
        return header(content, source.name(number))
    channels, height, width = source.shape or (1, *content.shape[:2])
    return (width, height), content.dtype.name if content.dtype.itemsize > 1 else "L" if channels == 1 else "RGB"


def as_seen(source: Source, settings: DataSettings) -> DataSettings:
    """The settings as a source's images have them: arrays keep their size and their channels."""
    if source.shape is None:
        return settings
    return settings.model_copy(update={"channels": source.shape[0], "size": source.shape[1:]})


def median_lost(headers: Sequence[Header], settings: DataSettings) -> float:
    """The median share of an image that the center crop removes."""
    form = form_of(settings)
    return median([lost(size, form) for size, _ in headers] or [0.0])


def grey_share(headers: Sequence[Header]) -> float:
    """The share of images without colours, by their mode."""
    return sum(mode.startswith(("1", "L", "I", "F")) for _, mode in headers) / max(1, len(headers))


def wide_share(headers: Sequence[Header]) -> float:
    """The share of images of more than 8 bits."""
    return sum(mode in WIDE or mode.endswith("16") for _, mode in headers) / max(1, len(headers))


def lost(size: tuple[int, int], form: ImageForm) -> float:
    """The share of a picture of `size` (width, height) that `fit: crop` cuts away: 0 with any other fit."""
    ratio = (size[0] * form.height) / (size[1] * form.width)
    return 1 - min(ratio, 1 / ratio) if form.fit == "crop" else 0.0
