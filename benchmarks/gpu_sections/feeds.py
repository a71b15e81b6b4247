"""JPEG files read by 1 to 16 processes, and images in the host's memory against images on the GPU."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import archsearch
from archsearch.data.datasets import load_images
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.feeds.feed import DeviceFeed, HostFeed
from archsearch.training.feeds.stream_feed import StreamFeed
from archsearch.training.loop import Training
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting
from benchmarks.gpu_sections.steps import SUBJECTS
from benchmarks.gpu_sections.ways import fewest, noise, replayable_here

NEAR = 0.9
FILES, SIDE, STORED = 128, 224, (375, 500)  # as ImageNet's
RECIPE = {"recipe": "none", "crop_padding": 4, "flip": True, "learning_rate": 1e-9, "epochs": 100_000}


def run(row: Row, setting: Setting) -> None:
    with row.part("host and device"):
        row.needs(3)
        host_and_device(row, setting)
    with row.part("JPEG files"), tempfile.TemporaryDirectory() as folder:
        row.needs(3)
        jpegs(row, setting, Path(folder))


def host_and_device(row: Row, setting: Setting) -> None:
    """ResNet-20's images a second with each feed, and whether the batches are the same."""
    network, cuda = SUBJECTS[0].architecture(setting), setting.device.type == "cuda"
    batch, steps = (128, 60) if cuda else (8, 2)
    images, settings = noise(network, steps * batch), TrainingSettings(**{**RECIPE, "batch_size": batch})
    feeds = {"device": DeviceFeed(images, settings, setting.device), "host": HostFeed(images, settings, setting.device)}
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(0))[: 2 * batch]
    first, second = (
        [
            tensor.cpu().clone()
            for pair in feed.training(order, torch.Generator().manual_seed(1), batch)
            for tensor in pair
        ]
        for feed in feeds.values()
    )
    same = len(first) == len(second) and all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    row.mark("batches from the host", "equal" if same else "not equal", "to the bit", passed=same)
    rates = {}
    with fewest(0), replayable_here(setting):
        for name, feed in feeds.items():
            model = archsearch.build(network, seed=0)
            training = Training(model, images, settings, seed=0, device=setting.device, precision="bfloat16", feed=feed)
            training.train_epoch()
            rates[name] = round(steps * batch / min(setting.seconds(training.train_epoch) for _ in range(3)))
    row.figure("images a second of a training", rates)
    share = rates["host"] / rates["device"]
    if setting.gpu is None:
        row.leave_out("the speed of batches from the host", f"{NO_GPU}: both lie in the host's memory")
    else:
        row.mark("host over device", round(share, 2), f"at least {NEAR}", passed=share >= NEAR)


def jpegs(row: Row, setting: Setting, folder: Path) -> None:
    """Images a second of the loader alone, from its first batch to its last."""
    small = setting.quick or setting.gpu is None or setting.rehearsed
    write_jpegs(folder, 16 if small else FILES)
    side, batch = (32, 4) if small else (SIDE, 32)
    images = load_images(DataSettings(name="folder", root=str(folder), size=side, in_memory=False, validation=0.2))
    settings = TrainingSettings(recipe="none", batch_size=batch, resized_crop=0.35, flip=True, crop_from="file")
    rates: dict[int, int] = {}
    for workers in (0, 1) if small else (1, 2, 4, 8, 16):
        if row.remaining() < 5:
            row.leave_out(f"{workers} workers and more", "no time remains")
            break
        feed = StreamFeed(images, settings, setting.device, workers)
        batches = 3 if small else 4 + 8 * workers
        order = torch.randint(feed.count, (batches * batch,), generator=torch.Generator().manual_seed(0))
        reading = feed.training(order, torch.Generator().manual_seed(1), batch)
        next(reading)
        start = time.perf_counter()
        count = sum(len(labels) for _, labels in reading)
        setting.wait()
        rates[workers] = round(count / (time.perf_counter() - start))
        row.figure("JPEG images a second by workers", dict(rates))


def write_jpegs(folder: Path, count: int) -> None:
    """Files of two classes, with the detail of photographs: noise at several scales."""
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = STORED
    for number in range(count):
        pixels = np.zeros((height, width, 3), np.float32)
        for scale in (1, 5, 25):
            coarse = rng.normal(0, 8 * scale**0.5, (height // scale + 1, width // scale + 1, 3)).astype(np.float32)
            pixels += coarse.repeat(scale, 0).repeat(scale, 1)[:height, :width]
        kind = folder / f"class{number % 2}"
        kind.mkdir(exist_ok=True)
        image = Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8))
        image.save(kind / f"{number}.jpg", quality=90)
