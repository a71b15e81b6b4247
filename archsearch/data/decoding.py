"""Image files -> uint8 pixels, by Pillow; a file that cannot be read is named."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from archsearch.experiment.machine import cores
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})


def decoded(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """(N, 3, size, size), each image as `pixels` has it. By threads: Pillow decodes without Python's lock.

    Raises InputError for the first one that cannot be read.
    """
    images = np.empty((len(paths), 3, size, size), np.uint8)

    def decode(index: int) -> None:
        images[index] = pixels(paths[index], size).transpose(2, 0, 1)

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(decode, range(len(paths))):
            pass
    return images


def pixels(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """(size, size, 3), uint8: the shorter side resized to `size`, the middle cut out. Raises InputError for what is no
    image."""
    from PIL import Image

    rgb = opened(path, size)
    scale = size / min(rgb.size)
    width, height = (max(size, round(side * scale)) for side in rgb.size)
    x, y = (width - size) // 2, (height - size) // 2
    resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((x, y, x + size, y + size)))


def opened(path: Path, side: int) -> PILImage:
    """The whole image in RGB; a JPEG may come at 1/2, 1/4 or 1/8 of its size, its shorter side never below `side`.

    Raises InputError for a file that cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))  # a JPEG decodes at 1/2, 1/4 or 1/8
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise refuse(
            f"an image that cannot be read ({error})",
            allowed=", ".join(sorted(SUFFIXES)),
            hint="mend it or move it away",
            file=str(path),
        ) from error
