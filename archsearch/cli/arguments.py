"""What the verbs' arguments stand for: ARCH, an image's shape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture

LARGEST_SIDE = 65_536


def architecture(text: str) -> Architecture:
    """ARCH: the network of that name in the zoo, or of that YAML file. Raises InputError."""
    from archsearch import zoo
    from archsearch.architecture.spec import Architecture

    path = Path(text)
    if path.is_file() or path.suffix in (".yaml", ".yml") or "/" in text:
        read = Architecture.from_yaml(path)
        return read if read.name else read.model_copy(update={"name": path.stem})
    return zoo.get(text)


def shape(text: str) -> tuple[int, int, int]:
    """(channels, height, width) of a text such as 3x32x32. Raises InputError."""
    if re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}x[1-9]\d{0,4}", text):
        channels, height, width = (int(number) for number in text.split("x"))
        if max(height, width) <= LARGEST_SIDE:
            return channels, height, width
    raise refuse(f"the shape {text!r:.40}", allowed="CHANNELSxHEIGHTxWIDTH, such as 3x32x32", file="--input")
