"""Batches from image files, read by torch's DataLoader in processes of its own.

Processes decode, resize and crop, because only that needs a file's own size; crop after padding, flip, colour,
cutout and normalisation are those of all other images, on whole batches on the device. Each resized crop is
torchvision's (v2), of the original image, seeded for itself: the batches do not depend on who reads them.
"""

from __future__ import annotations

import ctypes
import math
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archsearch.data.decoding import opened, pixels
from archsearch.data.images import SplitName
from archsearch.data.streaming import FilesOnDisk, StreamedImages
from archsearch.reading.errors import InputError, Problem
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser
from archsearch.training.feeds.batches import Batch, ahead, augmented, channels_last, parts
from archsearch.training.feeds.resizing import RATIO

MOST_WORKERS = 16
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


class StreamFeed:
    """A feed of images on disk. Raises InputError, in the middle of an epoch, for a file that cannot be read."""

    def __init__(
        self, images: StreamedImages, settings: TrainingSettings, device: torch.device, workers: int | None = None
    ) -> None:
        self.images, self.settings, self.device = images, settings, device
        self.count = len(images.train)
        self._workers = workers
        self._normalise = Normaliser(images.mean, images.std, device)

    def training(self, order: Tensor, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """Augmented batches of the training images `order`, read and sent ahead."""
        smallest, on_device = self.settings.resized_crop, self.settings.model_copy(update={"resized_crop": 0.0})
        draws = Draws.draw(len(order), self.images.shape[1:], on_device, generator).to(self.device)
        seeds = torch.randint(2**62, (len(order),), generator=generator) if smallest else torch.zeros_like(order)
        batches = self._read("train", order, seeds, batch_size, smallest)
        yield from augmented(ahead(batches, self.device), draws, self._normalise, on_device)

    def evaluation(self, split: SplitName, batch_size: int) -> Iterator[Batch]:
        """Normalised batches of a split, read and sent ahead."""
        order = torch.arange(len(self.images.split(split)))
        for images, labels in ahead(self._read(split, order, torch.zeros_like(order), batch_size, 0.0), self.device):
            yield self._normalise(channels_last(images)), labels

    @property
    def workers(self) -> int:
        """How many processes read: settled when reading begins, for a trial sets its threads after the feed is made."""
        return usual_workers(self.device) if self._workers is None else self._workers

    def _read(self, name: SplitName, order: Tensor, seeds: Tensor, size: int, smallest: float) -> Iterator[Batch]:
        """Pixels (N, C, H, W), a view of (N, H, W, C), and labels, on the host."""
        split = self.images.split(name)
        assert isinstance(split.images, FilesOnDisk)
        loader = DataLoader(
            _Files(split.images, split.labels, smallest),
            batch_sampler=_Batches(order, seeds, size),
            collate_fn=_collated,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_dies_with_its_reader,
            generator=torch.Generator(),  # or it would take a draw of torch's own, which the network's are
        )
        for batch in loader:
            if isinstance(batch, Problem):
                raise InputError(batch)
            yield batch[0].permute(0, 3, 1, 2), batch[1]


def usual_workers(device: torch.device) -> int:
    """Reading processes: one a torch thread for a GPU, half as many for a CPU, where training needs the cores."""
    threads = torch.get_num_threads()
    return min(MOST_WORKERS, threads if device.type == "cuda" else threads // 2)


def _dies_with_its_reader(_: int) -> None:
    """Called in a reading process as it begins. Linux then kills it when its parent dies, even of SIGKILL, and even
    while it waits for a disk that does not answer. Elsewhere torch's own check, every five seconds, has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Sample(NamedTuple):
    """An image by its number, and the seed of what is drawn for it."""

    number: int
    seed: int


class _Batches:
    """The samples of each batch, in order."""

    def __init__(self, order: Tensor, seeds: Tensor, size: int) -> None:
        self._order, self._seeds, self._size = order, seeds, size

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __iter__(self) -> Iterator[list[_Sample]]:
        for part in parts(len(self._order), self._size):
            yield [*map(_Sample, self._order[part].tolist(), self._seeds[part].tolist())]


class _Files(Dataset[Any]):
    """Reads one image: its pixels (H, W, 3) and its label, or what is wrong with it."""

    def __init__(self, files: FilesOnDisk, labels: npt.NDArray[np.int64], smallest: float) -> None:
        self._files, self._labels = files, labels
        self._read: Callable[[Path, int], npt.NDArray[np.uint8]] = (
            ResizedCrops(files.size, smallest) if smallest else self._centred
        )

    def __getitem__(self, sample: _Sample) -> tuple[npt.NDArray[np.uint8], int] | Problem:
        try:
            image = self._read(self._files.path(sample.number), sample.seed)
        except InputError as error:  # which a process could not hand over as it is
            return error.problems[0]
        return image, int(self._labels[sample.number])

    def _centred(self, path: Path, seed: int) -> npt.NDArray[np.uint8]:
        return pixels(path, self._files.size)


class ResizedCrops:
    """(path, seed) -> pixels (size, size, 3): torchvision's RandomResizedCrop(size, scale=(smallest, 1)), antialiased.

    A large JPEG is decoded at a half, a quarter or an eighth where even the smallest box is `size` pixels then.
    """

    def __init__(self, size: int, smallest: float) -> None:
        from torchvision.transforms import v2  # seconds: only where it is wanted

        self._crop = v2.RandomResizedCrop(size, scale=(smallest, 1.0), ratio=RATIO, antialias=True)
        self._side = math.ceil(size / math.sqrt(smallest * RATIO[0]))

    def __call__(self, path: Path, seed: int) -> npt.NDArray[np.uint8]:
        """A crop of one file. Raises InputError for a file that cannot be read."""
        image = opened(path, self._side)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return np.asarray(self._crop(image))


def _collated(samples: list[tuple[npt.NDArray[np.uint8], int] | Problem]) -> Batch | Problem:
    """The batch, or the first problem in it."""
    images, labels = [], []
    for sample in samples:
        if isinstance(sample, Problem):
            return sample
        images.append(sample[0])
        labels.append(sample[1])
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)
