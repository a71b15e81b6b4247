"""What the verbs' arguments stand for: an image's shape."""

from __future__ import annotations

import re

from archsearch.reading.errors import refuse

LARGEST_SIDE = 65_536


def shape(text: str) -> tuple[int, int, int]:
    """(channels, height, width) of a text such as 3x32x32. Raises InputError."""
    if re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}x[1-9]\d{0,4}", text):
        channels, height, width = (int(number) for number in text.split("x"))
        if max(height, width) <= LARGEST_SIDE:
            return channels, height, width
    raise refuse(f"the shape {text!r:.40}", allowed="CHANNELSxHEIGHTxWIDTH, such as 3x32x32", file="--input")
