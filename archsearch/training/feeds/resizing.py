"""Random resized crops (Szegedy 2015, arXiv:1409.4842): a box of random area and ratio, resized to the whole image.

The boxes are distributed as those of torchvision's RandomResizedCrop(size, scale=(smallest, 1), ratio=(3/4, 4/3)), the
ratio times the aspect ratio of images that are no squares: resized, a box is stretched by a third at most.
A box is never larger than its image, so it is only ever enlarged, and there antialiasing changes nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from archsearch.training.feeds.pixels import as_float

RATIO = (3 / 4, 4 / 3)  # width / height
ATTEMPTS = 10


def draw_boxes(
    count: int, size: tuple[int, int], smallest: float, generator: torch.Generator, *, aspect: float = 1.0
) -> Tensor:
    """(count, 4), int64: top, left, height, width of boxes in images of `size` (height, width).

    The area is a uniform share of the image's from `smallest` to 1, the ratio `aspect` times one that is uniform in its
    logarithm. What does not fit is drawn again; after ten attempts the box is in the middle, as large as the ratios let
    it be.
    """
    (height, width), device = size, generator.device

    def uniform(amount: int, low: float, high: float) -> Tensor:
        drawn = torch.rand(amount, dtype=torch.float64, generator=generator, device=device)
        return drawn * (high - low) + low

    boxes = torch.tensor(middle(size, aspect), device=device).repeat(count, 1)
    waiting = torch.arange(count, device=device)
    for _ in range(ATTEMPTS):
        missing = len(waiting)
        if not missing:
            break
        area = uniform(missing, smallest, 1) * (height * width)
        ratio = uniform(missing, math.log(RATIO[0] * aspect), math.log(RATIO[1] * aspect)).exp()
        wide, high = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
        fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
        row = (uniform(missing, 0, 1) * (height - high + 1)).long()
        column = (uniform(missing, 0, 1) * (width - wide + 1)).long()
        boxes[waiting[fits]] = torch.stack([row, column, high, wide], 1)[fits]
        waiting = waiting[~fits]
    return boxes


def middle(size: tuple[int, int], aspect: float = 1.0) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest box in the middle whose ratio is within RATIO times `aspect`."""
    height, width = size
    low, high = (ratio * aspect for ratio in RATIO)
    if width / height < low:
        height = round(width / low)
    elif width / height > high:
        width = round(height * high)
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


def resized(pixels: Tensor, index: Tensor, boxes: Tensor, flipped: Tensor) -> Tensor:
    """Boxes (B, 4) of images `index` of `pixels` (N, H, W, C), resized: float (B, H, W, C), of the same range.

    Bilinear, sample points at the pixels' centres, nothing read from beyond the box; `flipped` ones mirrored.
    Rows first, then columns, so that each output costs two reads of either.
    """
    _, height, width, channels = pixels.shape
    count = len(index)
    row, column, high, wide = boxes.unbind(1)
    upper, lower, down = _between(torch.arange(height, device=pixels.device), row, high, height)
    across = torch.arange(width, device=pixels.device)
    across = torch.where(flipped[:, None], width - 1 - across, across)
    first, second, aside = _between(across, column, wide, width)
    rows, base = pixels.reshape(-1, width * channels), index[:, None] * height
    above, below = (as_float(rows.index_select(0, (base + at).view(-1))) for at in (upper, lower))
    between = torch.lerp(above, below, down.reshape(-1, 1)).view(-1, channels)
    base = (torch.arange(count * height, device=pixels.device) * width).view(count, height, 1)
    values, following = (
        between.index_select(0, (base + at[:, None]).view(-1)).view(count, height, width * channels)
        for at in (first, second)
    )
    weight = aside.repeat_interleave(channels, 1, output_size=width * channels)[:, None]
    return torch.lerp(values, following, weight).view(count, height, width, channels)


def _between(outputs: Tensor, start: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """(the pixel before, the pixel after, how far between), each (B, size), on one axis, of the outputs whose indices
    are `outputs`: (size,) or (B, size)."""
    at = (outputs + 0.5) * (length / size)[:, None] - 0.5
    last = (length - 1)[:, None]
    at = torch.minimum(at.clamp(min=0), last)
    before = at.long()
    after = torch.minimum(before + 1, last)
    return before + start[:, None], after + start[:, None], at - before
