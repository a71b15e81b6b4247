"""TrivialAugment (Müller 2021, arXiv:2103.10158) and RandAugment (Cubuk 2019, arXiv:1909.13719) of whole batches.

Operations, their order and their largest magnitudes are those of torchvision's TrivialAugmentWide and RandAugment, on
values of 8 bits, pixels in whole numbers; what an image leaves uncovered is filled with the mean, as timm has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from archsearch.training.feeds.colour import grey
from archsearch.training.feeds.pixels import as_float

PolicyName = Literal["trivial_augment", "rand_augment"]
WHITE, BINS = 255, 31  # BINS: equal steps from none to the largest magnitude
ROUNDING = 2**-10  # of float32: a value that should be whole is not rounded down to the one below
SHARPNESS_CENTRE, SHARPNESS_SUM = 5, 13  # of a 3x3 filter of ones with another centre


def draw_operations(
    count: int, policy: PolicyName, operations: int, magnitude: float, spread: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(operations, strengths), (count, n) each: indices into OPERATIONS, each as likely as any other, and shares of the
    largest magnitude, of which half are negative.

    trivial_augment: one operation, its strength any of the 31; rand_augment: `operations`, their strength `magnitude`
    of ten, or from a normal distribution around it with the standard deviation `spread`, cut off at 0 and 10.
    """
    device, shape = generator.device, (count, 1 if policy == "trivial_augment" else operations)
    chosen = torch.randint(len(OPERATIONS), shape, generator=generator, device=device)
    if policy == "trivial_augment":
        strengths = torch.randint(BINS, shape, generator=generator, device=device) / (BINS - 1)
    else:
        drawn = torch.randn(shape, generator=generator, device=device)
        strengths = (magnitude + spread * drawn).clamp(0, 10) / 10
    positive = torch.randint(2, shape, generator=generator, device=device)
    return chosen, strengths * (2 * positive - 1)


def changed(pixels: Tensor, operations: Tensor, strengths: Tensor, policy: PolicyName, fill: Tensor) -> Tensor:
    """Pixels (N, H, W, C) of 0 to 255 -> float (N, H, W, C) in whole numbers, each image's operations one after
    another; `fill` (C,). The operations lie on the CPU, so that nothing waits for the device."""
    x = as_float(pixels.permute(0, 3, 1, 2)).contiguous().round()
    largest = _largest(policy, *x.shape[2:])
    for step in range(operations.shape[1]):
        for number, (name, change) in enumerate(OPERATIONS.items()):
            chosen = (operations[:, step] == number).nonzero()[:, 0].to(x.device, non_blocking=True)
            if len(chosen) and change is not None:
                amounts = strengths[chosen, step] * largest[name]
                x.index_copy_(0, chosen, change(x.index_select(0, chosen), amounts, fill))
    return x.permute(0, 2, 3, 1)


def _largest(policy: PolicyName, height: int, width: int) -> dict[str, float]:
    """The largest magnitude of each operation: shares, pixels, degrees, or bits that are lost."""
    wide = policy == "trivial_augment"
    shear, colour = (0.99, 0.99) if wide else (0.3, 0.9)
    across, down = (32.0, 32.0) if wide else (150 / 331 * width, 150 / 331 * height)
    geometry = {"shear_x": shear, "shear_y": shear, "translate_x": across, "translate_y": down,
                "rotate": 135.0 if wide else 30.0}  # fmt: skip
    colours = dict.fromkeys(("brightness", "colour", "contrast", "sharpness"), colour)
    return {**geometry, **colours, "posterize": 6.0 if wide else 4.0, "solarize": 1.0,
            **dict.fromkeys(("identity", "autocontrast", "equalize"), 0.0)}  # fmt: skip


def _places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (H, 1) and columns (1, W) of images (N, C, H, W), as numbers."""
    rows, columns = (torch.arange(side, device=x.device, dtype=torch.float32) for side in x.shape[2:])
    return rows[:, None], columns[None]


def _moved(x: Tensor, rows: Tensor, columns: Tensor, fill: Tensor) -> Tensor:
    """The nearest pixels to (rows, columns) of each image, which broadcast to (N, H, W); `fill` beyond the border."""
    count, channels, height, width = x.shape
    rows, columns = (at.round().long().expand(count, height, width) for at in (rows, columns))
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).view(count, 1, -1)
    values = x.view(count, channels, -1).gather(2, index.expand(-1, channels, -1)).view(x.shape)
    return torch.where(inside[:, None], values, fill[:, None, None])


def _shear_x(x: Tensor, amounts: Tensor, fill: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _moved(x, rows, columns + amounts[:, None, None] * (rows + 0.5), fill)


def _shear_y(x: Tensor, amounts: Tensor, fill: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _moved(x, rows + amounts[:, None, None] * (columns + 0.5), columns, fill)


def _translate_x(x: Tensor, amounts: Tensor, fill: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _moved(x, rows, columns - amounts.trunc()[:, None, None], fill)


def _translate_y(x: Tensor, amounts: Tensor, fill: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _moved(x, rows - amounts.trunc()[:, None, None], columns, fill)


def _rotate(x: Tensor, amounts: Tensor, fill: Tensor) -> Tensor:
    (down, across), angle = ((side - 1) / 2 for side in x.shape[2:]), (amounts * (math.pi / 180))[:, None, None]
    rows, columns = (place - middle for place, middle in zip(_places(x), (down, across), strict=True))
    cosine, sine = angle.cos(), angle.sin()
    return _moved(x, sine * columns + cosine * rows + down, cosine * columns - sine * rows + across, fill)


def _blended(x: Tensor, base: Tensor | float, amounts: Tensor) -> Tensor:
    """x and what lies beyond it, seen from `base`, in whole numbers: base where the amount is -1, x where it is 0."""
    factors = 1 + amounts[:, None, None, None]
    return (x * factors + base * (1 - factors) + ROUNDING).clamp(0, WHITE).floor()


def _sharpness(x: Tensor, amounts: Tensor, _: Tensor) -> Tensor:
    height, width = x.shape[2:]
    if min(height, width) <= 2:
        return x
    blurred = x[:, :, 1:-1, 1:-1] * (SHARPNESS_CENTRE - 1)
    for row in range(3):
        for column in range(3):
            blurred = blurred + x[:, :, row : row + height - 2, column : column + width - 2]
    base = x.clone()
    base[:, :, 1:-1, 1:-1] = (blurred / SHARPNESS_SUM).round()
    return _blended(x, base, amounts)


def _posterize(x: Tensor, amounts: Tensor, _: Tensor) -> Tensor:
    lost = 2 ** (8 - (8 - amounts.abs()).round())[:, None, None, None]
    return (x / lost).floor() * lost


def _autocontrast(x: Tensor, _: Tensor, __: Tensor) -> Tensor:
    """Each channel stretched from black to white."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    stretched = (x - low) / ((high - low) * (1 / WHITE))
    return torch.where(high > low, stretched.clamp(0, WHITE).floor(), x)


def _equalize(x: Tensor, _: Tensor, __: Tensor) -> Tensor:
    """Each channel with about as many pixels of one value as of any other, by Pillow's rule: of n pixels, without
    those of the highest value, a step of n // 255 is one value."""
    values = x.flatten(2).long()
    counts = torch.zeros(*x.shape[:2], WHITE + 1, dtype=torch.int64, device=x.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    steps = (values.shape[2] - counts.gather(2, values.amax(2, keepdim=True))) // WHITE
    below = counts.cumsum(2) - counts
    table = ((below + steps // 2) // steps.clamp(min=1)).clamp(0, WHITE)
    equalized = table.gather(2, values).view(x.shape).float()
    return torch.where(steps[..., None] > 0, equalized, x)


OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor] | None] = {
    "identity": None,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": lambda x, amounts, _: _blended(x, 0.0, amounts),
    "colour": lambda x, amounts, _: x if x.shape[1] == 1 else _blended(x, grey(x).floor(), amounts),
    "contrast": lambda x, amounts, _: _blended(x, grey(x).floor().mean((1, 2, 3), keepdim=True), amounts),
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": lambda x, amounts, _: torch.where(x >= WHITE * (1 - amounts.abs())[:, None, None, None], WHITE - x, x),
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
