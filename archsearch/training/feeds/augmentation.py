"""Crop, flip, colour, cutout and erasing of a whole batch at once, where the data lies; no data loader, no PIL.

The order is torchvision's usual one: crop or resized crop, flip, policy, colour, normalisation, erasing, cutout. The
distributions are those of its RandomCrop(size, padding), RandomHorizontalFlip, RandomResizedCrop, ColorJitter and
RandomErasing, but for the padding: it is the channel's mean (to the nearest value of a pixel), about zero once
normalised, where torchvision's is black.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from archsearch.data.laid_out import RowsSplit, Shape, inner, length
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.colour import draw_jitter, jittered
from archsearch.training.feeds.pixels import as_float, stored, tensor_of
from archsearch.training.feeds.policies import changed, draw_operations
from archsearch.training.feeds.resizing import draw_boxes, draw_erasures, draw_scaled, reduced, resized


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What chance decided, (N,) each: the crop's corner, whether flipped, the cutout's centre; where the recipe has it
    also the resized crop's box (N, 4), the colour's factors and order (N, 3), the box that is erased (N, 4), by how
    much the normalised channels are shifted (N, C), the policy's operations and their strengths (N, n)."""

    rows: Tensor
    columns: Tensor
    flipped: Tensor
    cut_rows: Tensor
    cut_columns: Tensor
    boxes: Tensor | None = None
    factors: Tensor | None = None
    order: Tensor | None = None
    erased: Tensor | None = None
    shifts: Tensor | None = None
    operations: Tensor | None = None
    strengths: Tensor | None = None

    @classmethod
    def draw(
        cls,
        count: int,
        size: tuple[int, int],
        settings: TrainingSettings,
        generator: torch.Generator,
        *,
        components: Tensor | None = None,
    ) -> Draws:
        """Draws for `count` images of `size` (height, width), from one generator, on the generator's device.
        `components` (C, C) are the principal components of their normalised colours, each times its eigenvalue.

        What came later is drawn last, so that recipes without it have the same draws.
        """
        trained = settings.trained_size(*size)

        def integers(below: int) -> Tensor:
            return torch.randint(below, (count,), generator=generator, device=generator.device)

        corners = 2 * settings.crop_padding + 1
        draws = cls(
            rows=integers(corners),
            columns=integers(corners),
            flipped=integers(2).bool() & settings.flip,
            cut_rows=integers(trained[0]),
            cut_columns=integers(trained[1]),
        )
        if settings.resized_crop:
            boxes = draw_boxes(count, size, settings.resized_crop, generator, aspect=size[1] / size[0])
            draws = replace(draws, boxes=boxes)
        if settings.colour_jitter:
            factors, order = draw_jitter(count, settings.colour_jitter, generator)
            draws = replace(draws, factors=factors, order=order)
        if settings.scale_jitter is not None:
            boxes = draw_scaled(count, size, settings.scale_jitter, generator, form=size)
            draws = replace(draws, boxes=boxes)
        if settings.random_erasing:
            draws = replace(draws, erased=draw_erasures(count, trained, settings.random_erasing, generator))
        if components is not None:
            amounts = torch.randn(count, len(components), generator=generator, device=generator.device)
            draws = replace(draws, shifts=settings.pca_colour * amounts @ components)
        if settings.policy != "none":
            number, magnitude, spread = settings.policy_operations, settings.policy_magnitude, settings.policy_spread
            operations, strengths = draw_operations(count, settings.policy, number, magnitude, spread, generator)
            draws = replace(draws, operations=operations, strengths=strengths)
        return draws

    def to(self, device: torch.device) -> Draws:
        """The same draws on another device, but for the operations, which the host chooses by."""
        moved = {name: value.to(device, non_blocking=True) for name, value in self._drawn() if name != "operations"}
        return Draws(**moved, operations=self.operations)

    def __getitem__(self, part: slice) -> Draws:
        return Draws(**{name: value[part] for name, value in self._drawn()})

    def _drawn(self) -> list[tuple[str, Tensor]]:
        return [(name, value) for name, value in vars(self).items() if value is not None]


class Normaliser:
    """(x - mean) / std of each channel: pixels (N, H, W, C) of 0 to `white` -> float (N, C, H, W), channels_last."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device, white: int = 255) -> None:
        self.white = white
        self.shift = torch.tensor(mean, device=device).mul_(white)
        self.scale = torch.tensor(std, device=device).mul_(white).reciprocal_()
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def fill(self) -> Tensor:
        """The mean as a pixel, as stored: (C,)."""
        return stored(self.shift.round(), self.white)

    def __call__(self, pixels: Tensor) -> Tensor:
        """(x - mean) / std; the strides stay those of the pixels. Float pixels are overwritten."""
        count, height, width, channels = pixels.shape
        if width not in self._rows:  # whole rows at once: six times as fast as three channels at a time
            self._rows[width] = self.shift.repeat(width), self.scale.repeat(width)
        shift, scale = self._rows[width]
        rows = as_float(pixels.reshape(count, height, width * channels))
        return rows.sub_(shift).mul_(scale).view(count, height, width, channels).permute(0, 3, 1, 2)


class Store:
    """Images on a device as rows of pixels, `padding` pixels of fill between them, from which windows are read.

    A row's fill on the right is the next row's on the left, and a row above or below the image is the one row of
    fill at the end; so a window's row is one run of bytes, and a batch of crops one gather of runs.
    """

    def __init__(self, flat: Tensor, shape: tuple[int, int, int, int], padding: int) -> None:
        self.flat, self.padding = flat, padding
        self.count, self.height, self.width, self.channels = shape
        run = self.width * self.channels
        self._runs = flat.as_strided((flat.numel() - run + 1, run), (1, 1))
        self._down = torch.arange(self.height, device=flat.device)

    @classmethod
    def of(cls, split: RowsSplit, device: torch.device) -> Store:
        """A store of a split that is laid out as one: on a CPU its own memory, which may be read-only."""
        return cls(tensor_of(split.flat).to(device), split.shape, split.padding)

    @classmethod
    def of_batch(cls, pixels: Tensor, padding: int, fill: Tensor) -> Store:
        """A store of pixels (N, H, W, C) that are on the device already."""
        shape: Shape = tuple(pixels.shape)  # type: ignore[assignment]  # four numbers
        flat = fill.repeat(length(shape, padding) // shape[-1])
        inner(flat, shape, padding).copy_(pixels)
        return cls(flat, shape, padding)

    def windows(self, index: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Images `index` (B,) as seen from the corners (row, column), (B,) each, of 0 to 2 x padding, as
        stored: (B, H, W, C)."""
        rows = row[:, None] + (self._down - self.padding)
        start = (index[:, None] * self.height + rows) * (self.width + self.padding) + column[:, None]
        beyond = self.padding + self.count * self.height * (self.width + self.padding)
        start = torch.where((rows < 0) | (rows >= self.height), beyond, start) * self.channels
        pixels = self._runs.index_select(0, start.view(-1))
        return pixels.view(len(index), self.height, self.width, self.channels)

    def gathered(self, index: Tensor) -> Tensor:
        """Images `index` (B,) as they are stored: (B, H, W, C); only of a store without padding."""
        return self.images().view(self.count, -1).index_select(0, index).view(len(index), *self.images().shape[1:])

    def images(self) -> Tensor:
        """All images, as stored: (N, H, W, C); only of a store without padding."""
        count = self.count * self.height * self.width * self.channels
        return self.flat[:count].view(self.count, self.height, self.width, self.channels)


class Windows:
    """A store of images from which augmented and normalised batches are cut."""

    def __init__(self, store: Store, normalise: Normaliser, settings: TrainingSettings) -> None:
        self.store, self.normalise, self.settings = store, normalise, settings

    def batch(self, index: Tensor, draws: Draws) -> Tensor:
        """Images `index` (N,), augmented as drawn and normalised: float (N, C, H, W), channels_last."""
        pixels = self._cropped(index, draws)
        if draws.operations is not None and draws.strengths is not None and self.settings.policy != "none":
            fill = as_float(self.normalise.fill)
            pixels = changed(pixels, draws.operations, draws.strengths, self.settings.policy, fill)
        if draws.factors is not None and draws.order is not None:
            pixels = jittered(pixels, draws.factors, draws.order, self.normalise.white)
        images = self.normalise(pixels)
        if draws.shifts is not None:
            images += draws.shifts[:, :, None, None]
        if draws.erased is not None:
            images = without_boxes(images, *draws.erased.unbind(1))
        return without_squares(images, draws, self.settings.cutout) if self.settings.cutout else images

    def _cropped(self, index: Tensor, draws: Draws) -> Tensor:
        store = self.store
        if draws.boxes is not None:
            pixels, size = store.images(), (store.height, store.width)
            if (trained := self.settings.trained_size(*size)) != size:
                return reduced(pixels, index, draws.boxes, draws.flipped, trained)
            return resized(pixels, index, draws.boxes, draws.flipped)
        pixels = store.windows(index, draws.rows, draws.columns) if store.padding else store.gathered(index)
        return _mirrored(pixels, draws.flipped) if self.settings.flip else pixels


def _mirrored(pixels: Tensor, flipped: Tensor) -> Tensor:
    """(N, H, W, C), those that are `flipped` mirrored. All are mirrored, then one of two is chosen: no tensor's shape
    depends on chance."""
    count = len(pixels)
    mirrored = pixels.permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1)
    candidates = torch.cat([pixels, mirrored]).view(2 * count, -1)
    index = torch.arange(count, device=pixels.device) + flipped * count
    return candidates.index_select(0, index).view(pixels.shape)


def without_squares(images: Tensor, draws: Draws, side: int) -> Tensor:
    """Cutout (DeVries 2017, arXiv:1708.04552): squares anywhere, cut off by the border, set to the mean."""
    sides = torch.full_like(draws.cut_rows, side)
    return without_boxes(images, draws.cut_rows - side // 2, draws.cut_columns - side // 2, sides, sides)


def without_boxes(images: Tensor, top: Tensor, left: Tensor, high: Tensor, wide: Tensor) -> Tensor:
    """Normalised images (N, C, H, W) with a box of each, (N,) each, set to the mean, which is 0; in place."""
    count, channels, height, width = images.shape
    down = torch.arange(height, device=images.device) - top[:, None]
    across = torch.arange(width, device=images.device).repeat_interleave(channels) - left[:, None]
    rows, columns = ((distance >= 0) & (distance < side[:, None]) for distance, side in ((down, high), (across, wide)))
    pixels = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    pixels = pixels.masked_fill_(rows[:, :, None] & columns[:, None, :], 0.0)
    return pixels.view(count, height, width, channels).permute(0, 3, 1, 2)
