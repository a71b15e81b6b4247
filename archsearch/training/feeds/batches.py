"""Batches on their way to a device: cut into runs, sent ahead, augmented where they arrive."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows

Batch = tuple[Tensor, Tensor]


def parts(count: int, size: int) -> Iterator[slice]:
    """Slices of `size` that cover `count` elements, the last one perhaps shorter."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def channels_last(pixels: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), contiguous."""
    return pixels.permute(0, 2, 3, 1).contiguous()


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
