"""Random crop, flip and cutout of a whole batch at once, where the data lies; no data loader, no PIL.

Pixels lie as (image, row, column) x channel, padded once, so that a batch of crops is one gather of pixels
and arrives channels_last for free. Crop and flip together only say which pixel is read. The distribution is
that of torchvision's RandomCrop(size, padding) and RandomHorizontalFlip, but for the padding: it is the
channel's mean (to the nearest of 256 values), about zero once normalised, where torchvision's is black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from archsearch.space.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What chance decided, (N,) each: the crop's corner, whether flipped, the cutout's centre."""

    rows: Tensor
    columns: Tensor
    flipped: Tensor
    cut_rows: Tensor
    cut_columns: Tensor

    @classmethod
    def draw(cls, count: int, size: tuple[int, int], settings: TrainingSettings, generator: torch.Generator) -> Draws:
        """For `count` images of this height and width, from one generator, on the generator's device."""

        def integers(below: int) -> Tensor:
            return torch.randint(below, (count,), generator=generator, device=generator.device)

        corners = 2 * settings.crop_padding + 1
        return cls(
            rows=integers(corners),
            columns=integers(corners),
            flipped=integers(2).bool() & settings.flip,
            cut_rows=integers(size[0]),
            cut_columns=integers(size[1]),
        )

    def to(self, device: torch.device) -> Draws:
        """The same on another device."""
        return Draws(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})

    def __getitem__(self, part: slice) -> Draws:
        return Draws(**{name: value[part] for name, value in vars(self).items()})


class Normaliser:
    """(x - mean) / std of each channel: uint8 pixels (N, H, W, C) -> float (N, C, H, W), channels_last."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self.shift = torch.tensor(mean, device=device).mul_(255)
        self.scale = torch.tensor(std, device=device).mul_(255).reciprocal_()

    def __call__(self, pixels: Tensor) -> Tensor:
        """The strides stay those of the pixels: nothing is moved."""
        return pixels.float().sub_(self.shift).mul_(self.scale).permute(0, 3, 1, 2)


class Windows:
    """Images as uint8 pixels on a device, padded, from which batches are cut and normalised."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        normalise: Normaliser,
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self.normalise, self.cutout, self.padding = normalise, settings.cutout, settings.crop_padding
        self.augments = settings.crop_padding > 0 or settings.flip
        count, channels, self.height, self.width = images.shape
        self.rows, self.columns = self.height + 2 * self.padding, self.width + 2 * self.padding
        padded = np.empty((count, self.rows, self.columns, channels), np.uint8)
        padded[:] = normalise.shift.round().byte().cpu().numpy()
        inner = (slice(self.padding, self.padding + side) for side in (self.height, self.width))
        padded[(slice(None), *inner)] = images.transpose(0, 2, 3, 1)
        self.pixels = torch.from_numpy(padded).to(device)
        self.down = torch.arange(self.height, device=device)
        self.across = torch.arange(self.width, device=device)

    def batch(self, index: Tensor, draws: Draws) -> Tensor:
        """Images `index`, cut as drawn: float (N, C, H, W), channels_last."""
        taken = self._cut(index, draws) if self.augments else self.pixels.index_select(0, index)
        images = self.normalise(taken)
        return self._without_squares(images, draws) if self.cutout else images

    def _cut(self, index: Tensor, draws: Draws) -> Tensor:
        rows = draws.rows[:, None] + self.down
        columns = torch.where(draws.flipped[:, None], self.width - 1 - self.across, self.across)
        columns = columns + draws.columns[:, None]
        place = ((index[:, None] * self.rows + rows) * self.columns)[:, :, None] + columns[:, None, :]
        channels = self.pixels.shape[-1]
        taken = self.pixels.view(-1, channels).index_select(0, place.view(-1))
        return taken.view(len(index), self.height, self.width, channels)

    def _without_squares(self, images: Tensor, draws: Draws) -> Tensor:
        """Cutout (DeVries 2017): squares anywhere, cut off by the border, set to the mean."""
        top, left = draws.cut_rows - self.cutout // 2, draws.cut_columns - self.cutout // 2
        down, across = self.down - top[:, None], self.across - left[:, None]
        rows, columns = ((far >= 0) & (far < self.cutout) for far in (down, across))
        return images.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def as_pixels(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C) on the device, for evaluation: nothing padded."""
    return torch.from_numpy(np.array(images.transpose(0, 2, 3, 1), order="C")).to(device)
