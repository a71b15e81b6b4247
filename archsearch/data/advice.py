"""What settings lose of images without need: the sides that a center crop removes, colours of grey images, bits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from archsearch.data.decoding import form_of, header, problems_of
from archsearch.data.form import WIDE, ImageForm
from archsearch.sources.source import Numbers, Source
from archsearch.space.settings import DataSettings

LOOKED_AT = 200  # images whose headers are read, at most
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
    if settings.bits == 8 and wide:
        messages.append(f"{wide:.0%} of the images have more than 8 bits, scaled to 8: data.bits: 16 keeps 16")
    return tuple(messages)


def sampled_advice(source: Source, numbers: Numbers, settings: DataSettings) -> tuple[str, ...]:
    """`advice` by the headers of some of these images; those that cannot be read, or are arrays, are passed over."""
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), LOOKED_AT)).round().astype(int)].tolist()
    headers: list[Header] = []

    def note(index: int) -> None:
        content = source.read(chosen[index])
        if not isinstance(content, np.ndarray):
            headers.append(header(content, source.name(chosen[index])))

    problems_of(note, len(chosen))
    return advice(headers, settings)


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
