"""Batches from image files, read by torch's DataLoader in processes of its own.

Processes decode and resize; crops, flips, colour, cutout and normalisation are those of all other images, on whole
batches on the device. Where the recipe crops files (`crop_from: file`), which needs a file's own size, processes crop
too: each crop is torchvision's (v2), seeded for itself, so that the batches do not depend on who reads them.
"""

from __future__ import annotations

import ctypes
import math
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archsearch.data.decoding import decode, open_whole, resized_box
from archsearch.data.form import ImageForm, pixels_of
from archsearch.data.images import SplitName
from archsearch.data.streaming import SourceImages, StreamedImages
from archsearch.reading.errors import InputError, Problem
from archsearch.sources.source import Content
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.batches import Batch, SentFeed
from archsearch.training.feeds.pixels import tensor_of
from archsearch.training.feeds.resizing import RATIO, draw_scaled

MOST_WORKERS = 16
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


class StreamFeed(SentFeed):
    """A feed of images on disk. Raises InputError, in the middle of an epoch, for a file that cannot be read."""

    def __init__(
        self, images: StreamedImages, settings: TrainingSettings, device: torch.device, workers: int | None = None
    ) -> None:
        self._crops = FileCrops(images.train.images.form, settings) if settings.crops_files else None
        cropped = {"resized_crop": 0.0, "scale_jitter": None, "train_resolution": 1.0}
        super().__init__(images, settings.model_copy(update=cropped) if self._crops else settings, device)
        self.size = self._crops.size if self._crops else self.size
        self._workers = workers

    @property
    def workers(self) -> int:
        """How many processes read: settled when reading begins, for a trial sets its threads after the feed is made."""
        return usual_workers(self.device) if self._workers is None else self._workers

    def _batches(
        self, split: SplitName, order: Tensor, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Of a training, which has a `generator`, crops of the files where the recipe has those; pixels are a view of
        (N, H, W, C)."""
        source, crops = self.images.split(split), None if generator is None else self._crops
        assert isinstance(source.images, SourceImages)
        seeds = torch.randint(2**62, (len(order),), generator=generator) if crops else torch.zeros_like(order)
        loader = DataLoader(
            _Files(source.images, source.labels, crops),
            batch_size=batch_size,
            sampler=torch.stack([order, seeds], 1).numpy(),
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


class _Files(Dataset[Any]):
    """Reads one image, by its number and the seed of its crop: its pixels (C, H, W) and its label, or what is wrong
    with it."""

    def __init__(self, images: SourceImages, labels: npt.NDArray[Any], crop: FileCrops | None) -> None:
        self._images, self._labels, self._crop = images, labels, crop

    def __getitem__(self, sample: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], Any] | Problem:
        number, seed = sample.tolist()
        images = self._images
        number_in_source = int(images.numbers[number])
        name = images.source.name(number_in_source)
        try:
            content = images.source.read(number_in_source)
            image = self._crop(content, name, seed) if self._crop else decode(content, images.form, name)
        except InputError as error:  # which a process could not hand over as it is
            return error.problems[0]
        return image, self._labels[number]


class FileCrops:
    """(content, name, seed) -> pixels (C, *size) of a form: a random crop of the whole picture, antialiased. It is
    torchvision's RandomResizedCrop, its area a share from `resized_crop` to 1, or that of `scale_jitter`.

    A large JPEG is decoded at a half, a quarter or an eighth where even the smallest box has `size` then.
    """

    def __init__(self, form: ImageForm, settings: TrainingSettings) -> None:
        self._form, self._scales = form, settings.scale_jitter
        self.size = settings.trained_size(form.height, form.width)
        smallest = math.sqrt(settings.resized_crop * RATIO[0]) if self._scales is None else 1 / self._scales[1]
        self._least = math.ceil(self.size[0] / smallest), math.ceil(self.size[1] / smallest)
        if self._scales is None:
            from torchvision.transforms import v2  # seconds: only where it is wanted

            ratio = [bound * form.width / form.height for bound in RATIO]
            self._crop = v2.RandomResizedCrop(self.size, (settings.resized_crop, 1.0), ratio, antialias=True)

    def __call__(self, content: Content, name: str, seed: int) -> npt.NDArray[Any]:
        """A crop of one image. Raises InputError, with its name, for one that cannot be read."""
        images = open_whole(content, self._form, name, self._least)
        return pixels_of([self._cropped(image, seed) for image in images], self._form)

    def _cropped(self, image: Any, seed: int) -> Any:
        """Pillow's image of one channel or of all; the same seed has the same box."""
        if self._scales is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return self._crop(image)
        generator, whole = torch.Generator().manual_seed(seed), (image.height, image.width)
        boxes = draw_scaled(1, whole, self._scales, generator, form=(self._form.height, self._form.width))
        return resized_box(image, boxes[0].tolist(), self.size)


def _collated(samples: list[tuple[npt.NDArray[Any], Any] | Problem]) -> Batch | Problem:
    """The batch, its pixels (N, H, W, C), or the first problem in it."""
    images, labels = [], []
    for sample in samples:
        if isinstance(sample, Problem):
            return sample
        images.append(sample[0].transpose(1, 2, 0))
        labels.append(sample[1])
    return tensor_of(np.stack(images)), torch.from_numpy(np.stack(labels))
