"""`data.size`, the height and width of a network's images: how a file writes it, and how a trial's choices do.

A rectangle is [height, width] in a file. Where `data.size` varies, its values are plain: 48 for a square, the text
`48x64` for a rectangle, which a domain in a file may have too.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel

SIZE = "data.size"  # the parameter's name
MOST_SIZES = 16
DESCRIPTION = (
    "Image files only: side in pixels that images get, or [height, width]; `fit` says how. A domain, such as "
    "{choice: [32, 48, 64]}, searches the resolution together with the network."
)

_TEXT = re.compile(r"(\d{1,4})x(\d{1,4})")


def _pair(size: Any) -> Any:
    """`48x64` as (48, 64); anything else as it is."""
    matched = _TEXT.fullmatch(size) if isinstance(size, str) else None
    return size if matched is None else (int(matched[1]), int(matched[2]))


Side = Annotated[int, Field(ge=8, le=1024), Allowed("an integer from 8 to 1024")]
Rectangle = Annotated[tuple[Side, Side], Field(strict=False), Allowed("[height, width], each from 8 to 1024")]
Named = Annotated[str, Field(pattern=_TEXT.pattern)]


class Resolution(StrictModel):
    """`size` as a value of its domain."""

    size: Side | Annotated[Rectangle, BeforeValidator(_pair, json_schema_input_type=Rectangle | Named)] = Field(
        64, description=DESCRIPTION
    )


def sides(size: Any) -> tuple[int, int]:
    """(height, width) of a size: of 48, (48, 64) or `48x64`."""
    height, width = (size, size) if isinstance(size, int) else _pair(size)
    return height, width


def as_value(height: int, width: int) -> int | str:
    """The size as a plain value: 48, or `48x64`."""
    return height if height == width else f"{height}x{width}"


def plain(size: Any) -> Any:
    """What a file has for `data.size` with plain values for rectangles, also in a domain; anything else as it is."""
    if isinstance(size, dict) and isinstance(size.get("choice"), list):
        return {**size, "choice": [plain(option) for option in size["choice"]]}
    pair = _pair(size)
    is_pair = isinstance(pair, list | tuple) and len(pair) == 2 and all(type(side) is int for side in pair)
    return as_value(*pair) if is_pair else size
