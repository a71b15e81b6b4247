"""A list of single images with their pictures, where there are some."""

from __future__ import annotations

from collections.abc import Iterable

from archsearch.analysis.report.pictures import Pictures
from archsearch.analysis.svg import clean

TINY = 32  # pixels of a side, up to which a picture is enlarged without smoothing


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
