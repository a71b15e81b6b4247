"""Batches for a training, wherever the images lie: on the device, in the host's memory, or on disk.

One interface, and the same batches from all three; only files on disk can be cropped at their own size.
The images lie on the device where they take a quarter of its free memory at most; else batches are sent to it, each
while the one before is in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from archsearch.data.images import ImageSet, SplitName
from archsearch.data.laid_out import RowsSplit, fill_of, rows_of
from archsearch.data.streaming import StreamedImages
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows
from archsearch.training.feeds.batches import Batch, SentFeed, draws_for, gathered, parts
from archsearch.training.feeds.pixels import as_pixels, tensor_of

DEVICE_SHARE = 0.25  # of a GPU's free memory: networks, and other trials' images, need the rest


class Feed(Protocol):
    """Batches (float (N, C, H, W), channels_last, normalised; labels as the split has them) on a device. It keeps no
    state of a training: several may use it, one after another or in turns."""

    @property
    def count(self) -> int:
        """How many training images there are."""
        ...

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """Training images `order` (on the CPU), augmented; the last batch may be smaller.

        All draws of the epoch are taken from `generator` before the first batch.
        """
        ...

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """A split as it is, in its own order; the last batch may be smaller."""
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
    """All images on the device, as stored; a batch is a gather of windows."""

    def __init__(self, images: ImageSet, settings: TrainingSettings, device: torch.device) -> None:
        self.images, self.settings, self.device = images, settings, device
        self.count = len(images.train)
        train, normalise = images.train, Normaliser(images.mean, images.std, device, images.white)
        if not isinstance(train, RowsSplit) or train.padding != settings.crop_padding:
            train = rows_of(train, settings.crop_padding, fill_of(images))
        self._windows = Windows(Store.of(train, device), normalise, settings)
        self._labels = torch.tensor(images.train.labels, device=device)
        self._evaluated: dict[SplitName, Batch] = {}

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """Augmented batches of the training images `order`, cut from the store."""
        draws = draws_for(self.images, self.settings, len(order), generator, self.images.shape[1:]).to(self.device)
        order = order.to(self.device, non_blocking=True)
        labels = self._labels[order]
        for part in parts(len(order), batch_size):
            yield self._windows.batch(order[part], draws[part]), labels[part]

    def tables(self, order: Tensor, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """What the whole batches of `training` are made of, (batches, batch_size, ...) each, on the CPU."""
        draws = draws_for(self.images, self.settings, len(order), generator, self.images.shape[1:])
        values = {"index": order} | {name: value for name, value in vars(draws).items() if value is not None}
        return {name: value.view(-1, batch_size, *value.shape[1:]) for name, value in values.items()}

    def batch(self, row: dict[str, Tensor]) -> Batch:
        """The batch of one row of the tables, which lies on the device."""
        index = row["index"]
        draws = Draws(**{name: value for name, value in row.items() if name != "index"})
        return self._windows.batch(index, draws), self._labels.index_select(0, index)

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """Normalised batches of a split, which is put on the device when it is first evaluated."""
        if split not in self._evaluated:
            source = self.images.split(split)
            labels = torch.tensor(source.labels, device=self.device)
            self._evaluated[split] = as_pixels(source.images, self.device), labels
        pixels, labels = self._evaluated[split]
        for part in parts(len(labels), batch_size):
            yield self._windows.normalise(pixels[part]), labels[part]


class HostFeed(SentFeed):
    """Images in the host's memory: each batch is gathered there, for a GPU into pinned memory and by another thread.

    A batch is pinned, not the set: pages that are locked for good are lost to everybody else.
    """

    def _batches(
        self, split: SplitName, order: Tensor, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        batches = self._gathered(split, order, batch_size)
        return gathered(batches, self.device) if self.device.type == "cuda" else batches

    def _gathered(self, split: SplitName, order: Tensor, batch_size: int) -> Iterator[Batch]:
        source, pinned = self.images.split(split), self.device.type == "cuda"
        kind = tensor_of(source.images[:0]).dtype
        for part in parts(len(order), batch_size):
            index = order[part].numpy()
            pixels = torch.empty((len(index), *self.images.shape), dtype=kind, pin_memory=pinned)
            labels = torch.from_numpy(source.labels[index])
            out = pixels.numpy().view(source.images.dtype)
            np.take(source.images, index, 0, out=out, mode="clip")  # clip: straight into `out`
            labels = labels.pin_memory() if pinned else labels
            yield pixels, labels
