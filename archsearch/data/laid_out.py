"""Images laid out as training reads them, so that all trials of a node map one copy of them, and none makes its own.

Ray's object store maps plain arrays into each process, read-only. An ImageSet's pixels are (N, C, H, W); a training
on a CPU gathers from rows of pixels with padding between them (augmentation.Store): those rows are what is shared
here, and `images` a view of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet, Split
from archsearch.data.streaming import StreamedImages

Shape = tuple[int, int, int, int]  # N, H, W, C


@dataclass(frozen=True, kw_only=True)
class RowsSplit(Split):
    """A split whose images (N, C, H, W) are a view of `flat`, a Store's values with that `padding`."""

    flat: npt.NDArray[Any]
    padding: int
    shape: Shape
    images: npt.NDArray[Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", inner(self.flat, self.shape, self.padding).transpose(0, 3, 1, 2))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles without the view `images`, which would be copied."""
        fields = {name: value for name, value in vars(self).items() if name != "images"}
        return partial(RowsSplit, **fields), ()


def laid_out(images: ImageSet, *, padding: int) -> ImageSet:
    """The same images, the training split's with `padding` pixels of their mean between rows.

    A StreamedImages is returned as it is."""
    if isinstance(images, StreamedImages):
        return images
    fill = fill_of(images)
    return replace(
        images,
        train=rows_of(images.train, padding, fill),
        validation=rows_of(images.validation, 0, fill),
        test=rows_of(images.test, 0, fill),
        others=tuple(laid_out(other, padding=padding) for other in images.others),
    )


def fill_of(images: ImageSet) -> npt.NDArray[Any]:
    """What stands beside a padded image: the mean as a pixel (C,), of the images' type."""
    mean = np.array(images.mean, np.float32) * np.float32(images.white)
    return np.round(mean).astype(images.train.images.dtype)


def rows_of(split: Split, padding: int, fill: npt.NDArray[Any]) -> RowsSplit:
    """The split laid out, with `padding` pixels `fill` (C,) between rows."""
    count, channels, height, width = split.images.shape
    shape = (count, height, width, channels)
    flat = np.tile(fill, length(shape, padding) // channels)
    inner(flat, shape, padding)[:] = split.images.transpose(0, 2, 3, 1)
    return RowsSplit(labels=split.labels, weights=split.weights, flat=flat, padding=padding, shape=shape)


def length(shape: Shape, padding: int) -> int:
    """Values of a Store: `padding` pixels before, and as many behind each row; a row of fill at the end."""
    count, height, width, channels = shape
    return channels * (padding + count * height * (width + padding) + width + 2 * padding)


def inner(flat: Any, shape: Shape, padding: int) -> Any:
    """The view (N, H, W, C) of a Store's values, an array's or a tensor's, in which the images lie."""
    count, height, width, channels = shape
    across, start = width + padding, padding * channels
    rows = flat[start : start + count * height * across * channels]
    return rows.reshape(count, height, across, channels)[:, :, :width]
