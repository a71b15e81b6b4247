"""Random crops that are resized: a box of random area and ratio (Szegedy 2015, arXiv:1409.4842), or of random scale (He
2015, arXiv:1512.03385); and the boxes that random erasing takes away.

The boxes are distributed as those of torchvision's RandomResizedCrop(size, scale=(smallest, 1), ratio=(3/4, 4/3)), the
ratio times the aspect ratio of images that are no squares: resized, a box is stretched by a third at most.
Where a box is resized to its image's size it is only ever enlarged, and there antialiasing changes nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from archsearch.training.feeds.pixels import as_float

RATIO = (3 / 4, 4 / 3)  # width / height
ATTEMPTS = 10
ERASED, ERASED_RATIO = (0.02, 0.33), (1 / 3.3, 1 / 0.3)  # shares of the area, width / height: torchvision's


def draw_boxes(
    count: int, size: tuple[int, int], smallest: float, generator: torch.Generator, *, aspect: float = 1.0
) -> Tensor:
    """(count, 4), int64: top, left, height, width of boxes in images of `size` (height, width).

    The area is a uniform share of the image's from `smallest` to 1, the ratio `aspect` times one that is uniform in its
    logarithm. What does not fit is drawn again; after ten attempts the box is in the middle, as large as the ratios let
    it be.
    """
    boxes = torch.tensor(middle(size, aspect), device=generator.device).repeat(count, 1)
    return _redrawn(boxes, size, (smallest, 1), (RATIO[0] * aspect, RATIO[1] * aspect), generator)


def draw_erasures(count: int, size: tuple[int, int], probability: float, generator: torch.Generator) -> Tensor:
    """(count, 4), int64: as `draw_boxes`, those of torchvision's RandomErasing; all 0 where nothing is erased."""
    boxes = torch.zeros(count, 4, dtype=torch.int64, device=generator.device)
    boxes = _redrawn(boxes, size, ERASED, ERASED_RATIO, generator, margin=1)
    return boxes * (_uniform(count, 0, 1, generator) < probability)[:, None]


def draw_scaled(
    count: int,
    size: tuple[int, int],
    scales: tuple[float, float],
    generator: torch.Generator,
    *,
    form: tuple[int, int],
) -> Tensor:
    """(count, 4), int64: as `draw_boxes`, what a crop of `form` (height, width) shows of an image of `size` that is
    resized until its sides are those of the form, or more, times a number that is uniform between the `scales`; where
    it lies is uniform too."""
    (height, width), scale = size, _uniform(count, *scales, generator)
    pixels = min(height / form[0], width / form[1])  # of the image a pixel of the form, at scale 1
    high, wide = ((side * pixels / scale).round().long().clamp(min=1) for side in form)
    row, column = (
        (_uniform(count, 0, 1, generator) * (side - box + 1)).long() for side, box in ((height, high), (width, wide))
    )
    return torch.stack([row, column, high, wide], 1)


def _uniform(amount: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(amount, dtype=torch.float64, generator=generator, device=generator.device)
    return drawn * (high - low) + low


def _redrawn(
    boxes: Tensor,
    size: tuple[int, int],
    share: tuple[float, float],
    ratios: tuple[float, float],
    generator: torch.Generator,
    *,
    margin: int = 0,
) -> Tensor:
    """Boxes (count, 4), each in place of the given one unless none fits in ten attempts: area and ratio from these
    ranges, each side at least `margin` less than the image's; with
    a margin it may be 0."""
    height, width = size
    waiting = torch.arange(len(boxes), device=boxes.device)
    for _ in range(ATTEMPTS):
        missing = len(waiting)
        if not missing:
            break
        area = _uniform(missing, *share, generator) * (height * width)
        ratio = _uniform(missing, math.log(ratios[0]), math.log(ratios[1]), generator).exp()
        wide, high = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
        fits = (wide > -margin) & (wide <= width - margin) & (high > -margin) & (high <= height - margin)
        row = (_uniform(missing, 0, 1, generator) * (height - high + 1)).long()
        column = (_uniform(missing, 0, 1, generator) * (width - wide + 1)).long()
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


def reduced(pixels: Tensor, index: Tensor, boxes: Tensor, flipped: Tensor, size: tuple[int, int]) -> Tensor:
    """`resized` to another `size` (height, width), smaller than the images': antialiased, as torchvision does it, by
    triangles as wide as a box is larger than the size."""
    _, height, width, channels = pixels.shape
    count = len(index)
    row, column, high, wide = boxes.unbind(1)
    down = _taps(torch.arange(size[0], device=pixels.device), row, high, size[0], height)
    across = torch.arange(size[1], device=pixels.device)
    across = torch.where(flipped[:, None], size[1] - 1 - across, across)
    aside = _taps(across, column, wide, size[1], width)
    rows, base = pixels.reshape(-1, width * channels), index[:, None] * height
    between = torch.zeros(count * size[0], width * channels, device=pixels.device)
    for at, weight in zip(*down, strict=True):
        between += as_float(rows.index_select(0, (base + at).view(-1))) * weight.reshape(-1, 1)
    between = between.view(-1, channels)
    base = (torch.arange(count * size[0], device=pixels.device) * width).view(count, size[0], 1)
    values = torch.zeros(count, size[0], size[1], channels, device=pixels.device)
    for at, weight in zip(*aside, strict=True):
        values += between.index_select(0, (base + at[:, None]).view(-1)).view(values.shape) * weight[:, None, :, None]
    return values


def _taps(outputs: Tensor, start: Tensor, length: Tensor, size: int, most: int) -> tuple[list[Tensor], list[Tensor]]:
    """(pixels, weights), each (B, size) a tap, on one axis of boxes no longer than `most`; `outputs` as in
    `_between`."""
    ratio = (length / size)[:, None]
    reach = ratio.clamp(min=1)
    centre = (outputs + 0.5) * ratio
    first = (centre - reach + 0.5).long().clamp(min=0)
    pixels = [first + tap for tap in range(2 * math.ceil(most / size) + 1)]
    weights = [(1 - ((at + 0.5 - centre) / reach).abs()).clamp(min=0) * (at < length[:, None]) for at in pixels]
    total = torch.stack(weights).sum(0)
    last = (length - 1)[:, None]
    return [torch.minimum(at, last) + start[:, None] for at in pixels], [weight / total for weight in weights]


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
