"""Small pictures of single images for a page, as data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 96  # pixels, at most
LOSSLESS = 48  # sides up to which a picture is a PNG; larger ones are JPEGs
QUALITY = 80


def data_uri(pixels: npt.NDArray[Any]) -> tuple[str, int, int]:
    """(URI, width, height) of an image (C, H, W), uint8 or uint16, its longer side at most SIDE pixels. Of other than 1
    or 3 channels the first 3 (or the first alone) are shown; 16 bits are scaled from the lowest to the highest value.
    """
    from PIL import Image

    shown = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    if shown.dtype != np.uint8:
        low, high = float(shown.min()), float(shown.max())
        shown = ((shown - low) * (255 / max(high - low, 1.0))).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0).squeeze(-1) if len(shown) == 1 else
                                                 shown.transpose(1, 2, 0)))  # fmt: skip
    image.thumbnail((SIDE, SIDE))
    form = "PNG" if max(image.size) <= LOSSLESS else "JPEG"
    file = io.BytesIO()
    image.save(file, form, **({"optimize": True} if form == "PNG" else {"quality": QUALITY}))
    coded = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{form.lower()};base64,{coded}", image.width, image.height
