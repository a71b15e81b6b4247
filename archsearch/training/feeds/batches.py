"""Batches on their way to a device: cut into runs, sent ahead, augmented where they arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet, SplitName
from archsearch.network.build import Network
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows

Batch = tuple[Tensor, Tensor]

EVALUATED = 4  # an evaluated batch holds so many training batches' images,
PIXELS_AT_ONCE = 2**20  # but no more pixels than these: 1,024 images of 32x32
MOST_EVALUATED = 2048  # images on a GPU: a larger batch hardly saves a launch
SIDE_BY_SIDE = 3  # tensors of the largest size: what a layer reads, what it writes, and a shortcut


def parts(count: int, size: int) -> Iterator[slice]:
    """Slices of `size` that cover `count` elements, the last one perhaps shorter."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def evaluated_at_once(shape: tuple[int, int, int], batch: int, network: Architecture | None = None) -> int:
    """Images of an evaluated batch: they are of this (channels, height, width), a training step has `batch` at once.

    On a GPU, where launches are what a small batch takes, `network` is what is evaluated: then there are as many more
    as half the memory of a training step's activations holds, by their predicted sizes.
    """
    usual = max(1, min(EVALUATED * batch, PIXELS_AT_ONCE // (shape[1] * shape[2])))
    if network is None:
        return usual
    counted = cost(network)
    held = SIDE_BY_SIDE * counted.largest + counted.image
    return max(usual, min(MOST_EVALUATED, batch * (counted.saved + counted.largest) // (2 * held)))


def evaluation_batch(model: nn.Module, shape: tuple[int, int, int], sizes: Sequence[int]) -> int:
    """Images of an evaluated batch of a model, of this (channels, height, width); a training step's forward passes have
    `sizes`. On a GPU it depends on the network, and so may the last digits of its metrics: kernels for other sizes
    round otherwise."""
    if isinstance(model, Network) and next(model.parameters()).device.type == "cuda":
        return evaluated_at_once(shape, max(sizes), model.architecture)
    return evaluated_at_once(shape, sum(sizes))


def augmented(
    batches: Iterator[Batch], draws: Draws, normalise: Normaliser, settings: TrainingSettings
) -> Iterator[Batch]:
    """Batches of pixels (N, C, H, W) on the device, in the order of `draws`, augmented there."""
    start = 0
    for pixels, labels in batches:
        store = Store.of_batch(pixels.permute(0, 2, 3, 1), settings.crop_padding, normalise.fill)
        index = torch.arange(len(labels), device=labels.device)
        yield Windows(store, normalise, settings).batch(index, draws[start : start + len(labels)]), labels
        start += len(labels)


def gathered(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches, each made by another thread while the one before is in use: the thread that launches kernels need
    not wait. `device` is that thread's, where it is a GPU."""
    prepare = partial(torch.cuda.set_device, device) if device.type == "cuda" else None
    with ThreadPoolExecutor(1, "batches", prepare) as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch


def ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Batches (pinned, where the device is a GPU) on the device, the next one sent while this one is in use."""
    if device.type != "cuda":
        yield from batches
        return
    copying, waiting = torch.cuda.Stream(device), None  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(copying):
            pixels, labels = (tensor.to(device, non_blocking=True) for tensor in batch)
        sent = torch.cuda.Event()  # type: ignore[no-untyped-call]
        sent.record(copying)
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = (pixels, labels), sent
    if waiting is not None:
        yield _arrived(*waiting)


def _arrived(batch: Batch, sent: torch.cuda.Event) -> Batch:
    """The batch, for which the device's work from here on waits; the host does not."""
    stream = torch.cuda.current_stream(batch[0].device)
    stream.wait_event(sent)
    for tensor in batch:
        tensor.record_stream(stream)  # its memory is not used anew before this stream is done with it
    return batch


def draws_for(
    images: ImageSet, settings: TrainingSettings, count: int, generator: torch.Generator, size: tuple[int, int]
) -> Draws:
    """An epoch's draws for `count` images of `size`, on the generator's device."""
    components = None
    if settings.pca_colour:
        components = torch.from_numpy(images.principal_colours / np.array(images.std)).float()
    return Draws.draw(count, size, settings, generator, components=components)


class SentFeed:
    """Images that are not on the device: batches are sent to it one ahead, and cut there. `size` is (height, width) of
    the pixels that are sent for a training."""

    def __init__(self, images: ImageSet, settings: TrainingSettings, device: torch.device) -> None:
        self.images, self.settings, self.device = images, settings, device
        self.count, self.size = len(images.train), images.shape[1:]
        self._normalise = Normaliser(images.mean, images.std, device, images.white)

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """Augmented batches of the training images `order`."""
        draws = draws_for(self.images, self.settings, len(order), generator, self.size).to(self.device)
        batches = self._batches("train", order, batch_size, generator)
        yield from augmented(ahead(batches, self.device), draws, self._normalise, self.settings)

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """Normalised batches of a split."""
        order = torch.arange(len(self.images.split(split)))
        for pixels, labels in ahead(self._batches(split, order, batch_size), self.device):
            yield self._normalise(pixels.permute(0, 2, 3, 1).contiguous()), labels

    def _batches(
        self, split: SplitName, order: Tensor, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Pixels (N, C, H, W) and labels in the host's memory, of the images `order` of a split."""
        raise NotImplementedError
