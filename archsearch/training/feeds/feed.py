"""Batches for a training, wherever the images lie: on the device, in the host's memory, or on disk.

One face, the same batches from all three (but for resized crops, which streamed images have of the original):
the loop does not know. The device itself where the set takes a quarter of its free memory at most; else batches
are sent to it, each while the one before is in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from archsearch.data.images import ImageSet, SplitName
from archsearch.data.laid_out import RowsSplit
from archsearch.data.streaming import StreamedImages
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows, as_pixels
from archsearch.training.feeds.batches import Batch, ahead, augmented, channels_last, parts

DEVICE_SHARE = 0.25  # of a GPU's free memory: networks, and other trials' images, need the rest


class Feed(Protocol):
    """Batches (float (N, C, H, W), channels_last, normalised; labels (N,)) on a device. It keeps no state of a
    training: several may use it, one after another or in turns."""

    @property
    def count(self) -> int:
        """Training images."""
        ...

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """Training images `order` (on the CPU), augmented; the last batch may be smaller.

        All draws of the epoch are taken from `generator` before the first batch.
        """
        ...

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """A split as it is, in its own order; the last batch may be smaller."""
        ...

    def with_recipe(self, settings: TrainingSettings) -> Feed:
        """The same images for a training with other settings; shared with this one as far as possible."""
        ...


def feed_of(images: ImageSet, settings: TrainingSettings, device: torch.device, *, workers: int | None = None) -> Feed:
    """The feed of these images for a training on `device`.

    `workers`: processes that read streamed images, 0 for none; left out, one a torch thread (at most 16) for a
    GPU, half as many for a CPU, where training wants the cores itself.
    """
    if isinstance(images, StreamedImages):
        from archsearch.training.feeds.stream_feed import StreamFeed

        return StreamFeed(images, settings, device, workers)
    if device.type == "cuda" and images.nbytes > DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return HostFeed(images, settings, device)
    return DeviceFeed(images, settings, device)


class DeviceFeed:
    """All images on the device as uint8; a batch is a gather of windows."""

    def __init__(self, images: ImageSet, settings: TrainingSettings, device: torch.device) -> None:
        self.images, self.settings, self.device = images, settings, device
        self.count = len(images.train)
        train, normalise = images.train, Normaliser(images.mean, images.std, device)
        held: Store | np.ndarray = train.images
        if isinstance(train, RowsSplit) and train.padding == settings.crop_padding:
            held = Store.of_rows(train, device)
        self._windows = Windows(held, normalise, settings, device)
        self._labels = torch.tensor(images.train.labels, device=device)
        self._evaluated: dict[SplitName, Batch] = {}

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """See Feed."""
        draws = Draws.draw(len(order), self.images.shape[1:], self.settings, generator).to(self.device)
        order = order.to(self.device, non_blocking=True)
        labels = self._labels[order]
        for part in parts(len(order), batch_size):
            yield self._windows.batch(order[part], draws[part]), labels[part]

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """See Feed. A split is put on the device when first asked for."""
        if split not in self._evaluated:
            held = self.images.split(split)
            self._evaluated[split] = as_pixels(held.images, self.device), torch.tensor(held.labels, device=self.device)
        pixels, labels = self._evaluated[split]
        for part in parts(len(labels), batch_size):
            yield self._windows.normalise(pixels[part]), labels[part]

    def with_recipe(self, settings: TrainingSettings) -> DeviceFeed:
        """See Feed. Pixels are copied again only for another padding."""
        other = copy(self)
        other.settings = settings
        normalise, store = self._windows.normalise, self._windows.store
        same = store.padding == settings.crop_padding
        other._windows = Windows(store if same else self.images.train.images, normalise, settings, self.device)
        return other


class HostFeed:
    """Images in the host's memory: each batch is gathered there into pinned memory, sent, and cut on the device.

    A batch is pinned, not the set: pages that are locked for good are lost to everybody else.
    """

    def __init__(self, images: ImageSet, settings: TrainingSettings, device: torch.device) -> None:
        self.images, self.settings, self.device = images, settings, device
        self.count = len(images.train)
        self._normalise = Normaliser(images.mean, images.std, device)

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """See Feed."""
        draws = Draws.draw(len(order), self.images.shape[1:], self.settings, generator).to(self.device)
        batches = self._gathered("train", order.numpy(), batch_size)
        yield from augmented(ahead(batches, self.device), draws, self._normalise, self.settings)

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """See Feed."""
        batches = self._gathered(split, np.arange(len(self.images.split(split))), batch_size)
        for pixels, labels in ahead(batches, self.device):
            yield self._normalise(channels_last(pixels)), labels

    def with_recipe(self, settings: TrainingSettings) -> HostFeed:
        """See Feed."""
        return HostFeed(self.images, settings, self.device)

    def _gathered(self, split: SplitName, order: np.ndarray, batch_size: int) -> Iterator[Batch]:
        held, pinned = self.images.split(split), self.device.type == "cuda"
        for part in parts(len(order), batch_size):
            index = order[part]
            pixels = torch.empty((len(index), *self.images.shape), dtype=torch.uint8, pin_memory=pinned)
            labels = torch.empty(len(index), dtype=torch.int64, pin_memory=pinned)
            np.take(held.images, index, 0, out=pixels.numpy(), mode="clip")  # clip: straight into `out`
            np.take(held.labels, index, 0, out=labels.numpy(), mode="clip")
            yield pixels, labels
