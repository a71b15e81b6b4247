"""How fast batches come: whole-batch augmentation of tensors against torchvision's v2 transforms in a DataLoader.

Crop after padding by 4 and flip, 32x32 colour images, batches of 128, one torch thread: ours; torchvision's on PIL
images with 0, 1 and 2 worker processes, v2 and the older v1; the same again with resized crop, flip and colour. The
variants take turns within each round. And what share of a ResNet-20 training step (forward, backward, SGD; one
thread) a batch of ours costs, in CPU time, which other work on the machine disturbs less than the wall's.

Claim: the loader's share of a ResNet-20 step is below 5 %. On a GPU, where there is one: batches that lie on it, and
batches that are sent to it from the host.

    python benchmarks/loader.py [--json] [--quick] [--rounds N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import archsearch
from archsearch.data.images import ImageSet, Split
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.feed import DeviceFeed, Feed, HostFeed

BATCH, SIDE, IMAGES = 128, 32, 10_000
TARGET_SHARE = 0.05
CPU = torch.device("cpu")
RECIPES = {
    "as they are": {},
    "crop, flip": {"crop_padding": 4, "flip": True},
    "crop, flip, cutout": {"crop_padding": 4, "flip": True, "cutout": 16},
    "resized crop, flip, colour": {"resized_crop": 0.25, "flip": True, "colour_jitter": 0.4},
}
THEIRS = (
    *[("v2", "crop, flip", workers) for workers in (0, 1, 2)],
    *[("v1", "crop, flip", workers) for workers in (0, 2)],
    ("v2", "resized crop, flip, colour", 0),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    rounds, batches, steps = (2, 6, 1) if asked.quick else (asked.rounds, 25, 3)
    torch.set_num_threads(1)
    images = noise()
    rates, by_cpu = images_per_second(images, rounds, batches)
    shares = shares_of_a_step(images, rounds, steps)
    found = {name: spread(values) for name, values in shares.items()}
    claimed = [found[name]["median"] for name in found if name.endswith("crop, flip")]
    document = {
        "name": "loader",
        "figures": {
            "images_per_second": {name: spread(values) for name, values in rates.items()},
            "images_per_cpu_second": {name: spread(values) for name, values in by_cpu.items()},
            "times_faster": ratios(rates),
            "times_faster_by_cpu_seconds": ratios(by_cpu),
            "share_of_a_resnet20_step": found,
            "gpu": on_gpu(images),
        },
        "target": f"a batch (crop, flip) costs below {TARGET_SHARE:.0%} of a ResNet-20 step of {BATCH} images",
        "met": max(claimed) < TARGET_SHARE,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "pillow", "numpy")},
        "n": rounds,
    }
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def noise() -> ImageSet:
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        pixels = rng.integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
        return Split(images=pixels, labels=rng.integers(0, 10, count))

    names = tuple(map(str, range(10)))
    return ImageSet.of(name="noise", classes=names, train=split(IMAGES), validation=split(10), test=split(10))


def images_per_second(
    images: ImageSet, rounds: int, batches: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """By the wall's clock, and by the process's own where no other process works for it. Every variant once a
    round, in turns, after a first round that does not count."""
    variants: dict[str, Callable[[], tuple[float, float]]] = {}
    for name, words in RECIPES.items():
        feed = DeviceFeed(images, TrainingSettings(**words), CPU)
        variants[f"ours: {name}"] = lambda feed=feed: rate(ours(feed))
    for version, name, workers in THEIRS:
        loader = theirs(images, version, RECIPES[name], workers)
        variants[label(version, name, workers)] = lambda loader=loader: rate(first_of(loader, batches))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, measured in variants.items():
            value = measured()
            if number:
                found[name].append(value)
    alone = {name for name in variants if name.startswith("ours")} | {label(v, of, n) for v, of, n in THEIRS if not n}
    wall = {name: [value for value, _ in values] for name, values in found.items()}
    return wall, {name: [value for _, value in values] for name, values in found.items() if name in alone}


def ratios(rates: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Ours / theirs with the same recipe, round by round."""
    pairs = {label(*variant): f"ours: {variant[1]}" for variant in THEIRS}
    return {
        name: spread([mine / other for mine, other in zip(rates[own], rates[name], strict=True)])
        for name, own in pairs.items()
        if name in rates
    }


def label(version: str, recipe: str, workers: int) -> str:
    return f"torchvision {version}, PIL, {workers} workers: {recipe}"


def ours(feed: Feed) -> Iterator[Any]:
    order = torch.randperm(feed.count, generator=torch.Generator().manual_seed(0))
    return feed.training(order[: len(order) // BATCH * BATCH], torch.Generator().manual_seed(1), BATCH)


class PILImages(Dataset):
    """What torchvision.datasets.CIFAR10 does with an image."""

    def __init__(self, images: ImageSet, transform: Callable[[Any], torch.Tensor]) -> None:
        self._pixels = np.ascontiguousarray(images.train.images.transpose(0, 2, 3, 1))
        self._labels, self._transform = images.train.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def theirs(images: ImageSet, version: str, words: dict[str, Any], workers: int) -> DataLoader:
    from torchvision import transforms as v1
    from torchvision.transforms import v2

    kind: Any = v1 if version == "v1" else v2
    changes: list[Any] = []
    if "crop_padding" in words:
        changes.append(kind.RandomCrop(SIDE, padding=words["crop_padding"]))
    if "resized_crop" in words:
        changes.append(kind.RandomResizedCrop(SIDE, scale=(words["resized_crop"], 1.0)))
    changes.append(kind.RandomHorizontalFlip())
    if "colour_jitter" in words:
        changes.append(kind.ColorJitter(*[words["colour_jitter"]] * 3))
    changes += [v1.ToTensor()] if kind is v1 else [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    changes.append(kind.Normalize(images.mean, images.std))
    return DataLoader(
        PILImages(images, kind.Compose(changes)), batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers
    )


def first_of(loader: DataLoader, batches: int) -> Iterator[Any]:
    """So many batches after the first: the start of the processes does not count."""
    return (batch for _, batch in zip(range(batches + 1), loader, strict=False))


def rate(batches: Iterable[Any]) -> tuple[float, float]:
    """Images a second, and a CPU second of this process, from the arrival of the first batch to that of the last."""
    reading = iter(batches)
    next(reading)
    began, cpu = time.perf_counter(), time.process_time()
    count = sum(len(labels) for _, labels in reading)
    return count / (time.perf_counter() - began), count / (time.process_time() - cpu)


def shares_of_a_step(images: ImageSet, rounds: int, steps: int) -> dict[str, list[float]]:
    """CPU seconds of a batch / those of the batch and the step, ResNet-20, channels_last, float32 and bfloat16."""
    feeds = {name: DeviceFeed(images, TrainingSettings(**words), CPU) for name, words in RECIPES.items()}
    found: dict[str, list[float]] = {}
    for kind in (torch.float32, torch.bfloat16):
        step, batches = training_step(kind), ours(feeds["crop, flip"])
        step(*next(batches))
        for _ in range(rounds):
            began = time.process_time()
            for _ in range(steps):
                step(*next(batches))
            whole = (time.process_time() - began) / steps
            loading = {name: cpu_seconds_a_batch(feed) for name, feed in feeds.items()}
            alone = max(1e-9, whole - loading["crop, flip"])
            for name, seconds in loading.items():
                key = f"{str(kind).removeprefix('torch.')}: {name}"
                found.setdefault(key, []).append(seconds / (seconds + alone))
    return found


def cpu_seconds_a_batch(feed: Feed, batches: int = 20) -> float:
    """The epoch's draws are shared out among its batches."""
    began, count = time.process_time(), 0
    for _ in ours(feed):
        count += 1
        if count == 1:
            drawn = time.process_time() - began
        elif count == batches:
            break
    rest = (time.process_time() - began - drawn) / (count - 1)
    return rest + max(0.0, drawn - rest) / (feed.count // BATCH)


def training_step(kind: torch.dtype) -> Callable[[torch.Tensor, torch.Tensor], None]:
    network = archsearch.build(archsearch.zoo.get("resnet20_cifar")).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
            scores = network(batch)
        nn.functional.cross_entropy(scores.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def on_gpu(images: ImageSet) -> dict[str, Any] | str:
    if not torch.cuda.is_available():
        return "skipped: torch sees no GPU here"
    found: dict[str, Any] = {"name": torch.cuda.get_device_name()}
    for kind in (DeviceFeed, HostFeed):
        feed, rates = kind(images, TrainingSettings(**RECIPES["crop, flip"]), torch.device("cuda", 0)), []
        for number in range(6):
            torch.cuda.synchronize()
            began = time.perf_counter()
            count = sum(len(labels) for _, labels in ours(feed))
            torch.cuda.synchronize()
            if number:
                rates.append(count / (time.perf_counter() - began))
        found[kind.__name__] = spread(rates)
    return found


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": float(f"{statistics.median(values):.4g}"),
        "min": float(f"{min(values):.4g}"),
        "max": float(f"{max(values):.4g}"),
    }


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return (
        f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end"
    )


def lines(document: dict[str, Any]) -> str:
    text = [f"n = {document['n']}; {document['machine']}"]
    for title, table in document["figures"].items():
        text.append(f"{title}:" + (f" {table}" if isinstance(table, str) else ""))
        for name, value in table.items() if isinstance(table, dict) else ():
            shown = value if isinstance(value, str) else "{median:g} ({min:g} to {max:g})".format(**value)
            text.append(f"  {name:55s} {shown}")
    return "\n".join([*text, f"target: {document['target']}: {'met' if document['met'] else 'missed'}"])


if __name__ == "__main__":
    sys.exit(main())
