"""Pixels in tensors: uint8 as they are, uint16 as int16 of the same bits.

All of torch's kernels, on every device, know int16, few know uint16. Nothing computes with such pixels: they are copied
and gathered, and `as_float` makes numbers of them.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def tensor_of(array: npt.NDArray[Any]) -> Tensor:
    """The same memory as a tensor, which must not be written to: torch has no read-only tensors, and would warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array.view(np.int16) if array.dtype == np.uint16 else array)


def as_pixels(images: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Images (N, C, H, W) -> pixels (N, H, W, C) on the device, without padding."""
    return tensor_of(np.ascontiguousarray(images.transpose(0, 2, 3, 1))).to(device)


def as_float(pixels: Tensor) -> Tensor:
    """Pixels as numbers, 0 to 255 or to 65,535; floats stay as they are."""
    return pixels.int().bitwise_and_(0xFFFF).float() if pixels.dtype == torch.int16 else pixels.float()


def stored(values: Tensor, white: int) -> Tensor:
    """Whole numbers from 0 to `white` as pixels."""
    return values.byte() if white == 255 else values.int().short()
