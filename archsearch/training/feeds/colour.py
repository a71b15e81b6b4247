"""Brightness, contrast and saturation of whole batches, as torchvision's ColorJitter changes one image.

Each is a blend f * x + (1 - f) * b, cut off at 0 and white, where b is black for the brightness, the image's mean
grey for the contrast, each pixel's grey for the saturation. So one pass does all three, whichever an image has next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from archsearch.training.feeds.pixels import as_float

GREY = (0.2989, 0.587, 0.114)  # ITU-R 601, the digits that torchvision has
CONTRAST, SATURATION, KINDS = 1, 2, 3


def draw_jitter(count: int, strength: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(factors, order) of `count` images, (count, 3) each.

    Factors of brightness, contrast and saturation, uniform from 1 - strength to 1 + strength; the order in which
    they are applied, every one as likely as any other.
    """
    factors, ranks = (torch.rand(count, KINDS, generator=generator, device=generator.device) for _ in range(2))
    return factors * (2 * strength) + (1 - strength), ranks.argsort(1)


def jittered(images: Tensor, factors: Tensor, order: Tensor, white: int = 255) -> Tensor:
    """Pixels (N, H, W, C) of 0 to `white` -> float (N, H, W, C), each image's three changes in its own order.

    Nothing is rounded: it is torchvision's result on float images. One channel has no saturation to change.
    """
    count, height, width, channels = images.shape
    x = as_float(images.permute(0, 3, 1, 2)).contiguous().view(count, channels, height * width)  # a plane a channel
    for kind in order.unbind(1):
        factor = factors.gather(1, kind[:, None])[:, :, None]
        by_pixel, by_image = ((1 - factor) * (kind == which)[:, None, None] for which in (SATURATION, CONTRAST))
        greys = grey(x)
        base = greys * by_pixel + greys.mean(2, keepdim=True) * by_image
        x = (x * factor).add_(base).clamp_(0, white)
    return x.view(count, channels, height, width).permute(0, 2, 3, 1)


def grey(x: Tensor) -> Tensor:
    """(N, C, ...) -> (N, 1, ...): the grey of colours, the mean of other channels. Sums, no matrix product: that may be
    rounded to bfloat16 or TF32."""
    if x.shape[1] != len(GREY):
        return x.mean(1, keepdim=True)
    seen = x[:, :1] * GREY[0]
    for channel in (1, 2):
        seen.add_(x[:, channel : channel + 1], alpha=GREY[channel])
    return seen
