"""The images that the report shows, from the experiment's data, where that is at hand and is what was searched on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archsearch.analysis.svg import clean
from archsearch.data.images import ImageSet, SplitName
from archsearch.data.recorded import images_record
from archsearch.data.streaming import SourceImages, StreamedImages
from archsearch.experiment.predictions import Predictions
from archsearch.reading.errors import InputError

TINY = 32  # pixels of a side, up to which a picture is enlarged without smoothing
LARGEST = 2**18  # bytes of all pictures of a page
OFF = "left out by --no-images"


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures by (split, index), each a (data URI, width, height); where some are missing `why_not` says why. `names`
    are the files' names."""

    by_image: Mapping[tuple[str, int], tuple[str, int, int]] = field(default_factory=dict)
    names: Mapping[tuple[str, int], str] = field(default_factory=dict)
    why_not: str = ""


def pictures(
    load: Callable[[], ImageSet] | None,
    session: Mapping[str, Any],
    outputs: Predictions,
    listed: Iterable[tuple[str, int]],
) -> Pictures:
    """The pictures of the `listed` images (split, index), as many as LARGEST bytes hold.

    `load` reads the data set (None: no pictures are wanted), `session` is what the ledger has of the images that were
    searched on."""
    if load is None:
        return Pictures(why_not=OFF)
    try:
        images = load()
        if _differs(session, images, outputs):
            return Pictures(why_not="the data is not what the network was trained on")
        return _drawn(images, listed)
    except InputError as error:
        return Pictures(why_not=f"the images cannot be read: {error.problems[0].message}")
    except OSError as error:
        return Pictures(why_not=f"the images cannot be read: {error.strerror or error}")


def _differs(session: Mapping[str, Any], images: ImageSet, outputs: Predictions) -> bool:
    """Whether these are other images, as far as that can be told: by their labels, and by the digest, which images in
    memory and on disk have of different kinds."""
    for name, split in outputs.splits.items():
        if not np.array_equal(split.labels, images.split(_split(name)).labels):
            return True
    comparable = session.get("data") and bool(session.get("streamed")) == isinstance(images, StreamedImages)
    return bool(comparable) and images_record(images)["data"] != session["data"]


def _split(name: str) -> SplitName:
    return "test" if name == "test" else "validation"


def _drawn(images: ImageSet, listed: Iterable[tuple[str, int]]) -> Pictures:
    from archsearch.data.thumbnails import data_uri

    by_image: dict[tuple[str, int], tuple[str, int, int]] = {}
    names: dict[tuple[str, int], str] = {}
    remaining = LARGEST
    for name, index in listed:
        key, split = (name, index), images.split(_split(name))
        if isinstance(split.images, SourceImages):
            names[key] = split.images.source.name(int(split.images.numbers[index]))
        picture = data_uri(split.images[np.array([index])][0])
        if key not in by_image and len(picture[0]) <= remaining:
            by_image[key] = picture
            remaining -= len(picture[0])
    return Pictures(by_image=by_image, names=names)


def gallery(items: Iterable[str]) -> str:
    """The list of these items."""
    return f'<ul class="thumbs">{"".join(items)}</ul>'


def item(pictures: Pictures, image: tuple[str, int], title: str, text: str, name: str) -> str:
    """The image (split, index): its picture, what its label says (`title`), what is predicted, and its name."""
    picture, drawn = pictures.by_image.get(image), ""
    if picture is not None:
        uri, width, height = picture
        css = ' class="tiny"' if max(width, height) <= TINY else ""
        drawn = f'<img{css} src="{uri}" alt="{image[0]} image {image[1]}" width="{width}" height="{height}">'
    return f"<li>{drawn}<div>{clean(title)}</div><div>{clean(text)}</div><small>{clean(name)}</small></li>"
