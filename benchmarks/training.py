"""Our trainer against a plain torchvision recipe: the same networks, data, batch, schedule and cores.

Plain is what one writes first: PIL images through torchvision's transforms in a DataLoader with two workers, eager
float32, NCHW, torch.optim.SGD, the loss read in every step, one process on all cores. Ours is `Training` as a search
runs it: images as tensors, channels_last, the precision that a measurement chose, one thread a trial, as many trials at
once as there are cores. Both train in turns, in processes of their own, seed by seed.

- resnet20: the zoo's ResNet-20 on a share of Fashion-MNIST (`--root`, torchvision's layout), with crops and flips.
- tiny: three networks that search_spaces/digits.yaml draws (seed 0), on its digits.

Claims, of the whole machine's images a second: 2.5 times for resnet20, 5 times for tiny, at an accuracy after as many
epochs that is equal within noise (five seeds: 95 % interval of the difference holds zero).

    python benchmarks/training.py [--json] [--quick] [--seeds N] [--root FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archsearch.analysis.intervals import mean_interval

HERE = Path(__file__).parent
TARGETS = {"resnet20": 2.5, "tiny": 5.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--quick", action="store_true", help="two seeds, fewer images; tiny alone where there is no --root"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST's idx files")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(json.loads(asked.worker))
        return 0
    document = measure(asked)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    seeds = 2 if asked.quick else asked.seeds
    figures = {
        name: compared(name, job, seeds, len(os.sched_getaffinity(0)))
        for name, job in jobs_of(asked.root, quick=asked.quick).items()
    }
    met = len(figures) == len(TARGETS) and all(f["ratio"] >= TARGETS[n] and f["equal"] for n, f in figures.items())
    sys.path.insert(0, str(HERE))
    from quickstart import machine

    return {
        "name": "training",
        "figures": figures,
        "target": "images a second of a plain recipe: 2.5 times for ResNet-20, 5 times for the quickstart's networks",
        "met": met,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "torchvision")},
        "n": seeds,
    }


def jobs_of(root: str, *, quick: bool) -> dict[str, dict[str, Any]]:
    """What is trained; ResNet-20 only where its data is."""
    jobs = {
        "tiny": {"nets": 1 if quick else 3, "data": {"name": "digits"},
                 "training": {"epochs": 4 if quick else 9, "batch_size": 64}},
        "resnet20": {"nets": 1, "data": {"name": "fashion_mnist", "root": root, "validation": 2000,
                                         "limit": 2560 if quick else 7680},
                     "training": {"epochs": 1 if quick else 4, "batch_size": 128, "crop_padding": 2,
                                  "flip": True}},
    }  # fmt: skip
    if not list(Path(root).rglob("train-images-idx3-ubyte*")):
        del jobs["resnet20"]
    return jobs


def compared(name: str, job: dict[str, Any], seeds: int, cores: int) -> dict[str, Any]:
    """In turns: `cores` seeds of ours at once, then as many of the plain one after another."""
    found: dict[str, list[dict[str, Any]]] = {"plain": [], "ours": []}
    speed: dict[str, list[float]] = {"plain": [], "ours": []}
    for net in range(job["nets"]):
        for first in range(0, seeds, cores):
            turn = range(first, min(first + cores, seeds))
            words = [{**job, "job": name, "net": net, "seed": seed, "cores": cores} for seed in turn]
            for word in words:
                run = together([{**word, "way": "plain"}])[0]
                found["plain"].append(run)
                speed["plain"].append(run["images_per_second"])
            # A core that this turn leaves free is filled, so that the machine is as busy as in a search.
            more = [{**words[0], "seed": 1000 + n} for n in range(cores - len(words))]
            runs = together([{**word, "way": "ours"} for word in [*words, *more]])
            found["ours"] += runs[: len(words)]
            speed["ours"].append(sum(run["images_per_second"] for run in runs))
    accuracy = {way: [run["accuracy"] for run in runs] for way, runs in found.items()}
    differences = [ours - plain for ours, plain in zip(accuracy["ours"], accuracy["plain"], strict=True)]
    half = mean_interval(differences).half or 0.0
    mean = statistics.mean(differences)
    reach = statistics.mean(accuracy["plain"]) - 0.01
    return {
        "ratio": round(statistics.median(speed["ours"]) / statistics.median(speed["plain"]), 2),
        "images_per_second": {way: spread(rates, 0) for way, rates in speed.items()},
        "accuracy": {way: spread(values, 4) for way, values in accuracy.items()},
        "accuracy_difference": [round(mean - half, 4), round(mean, 4), round(mean + half, 4)],
        "equal": mean - half <= 0 <= mean + half or mean > 0,
        "seconds_to": {"accuracy": round(reach, 4),
                       **{way: spread([s for r in runs if (s := reached(r, reach)) is not None], 2)
                          for way, runs in found.items()}},
        "peak_mebibytes": {way: spread([run["peak"] for run in runs], 0) for way, runs in found.items()},
        "precision": found["ours"][0]["precision"],
        "at_once": {"plain": 1, "ours": cores},
        "params": sorted({run["params"] for run in found["ours"]}),
    }  # fmt: skip


def together(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each in a process of its own, all at the same time."""
    threads = str(threads_of(words[0]))
    env = {**os.environ, "OMP_NUM_THREADS": threads}
    running = [
        subprocess.Popen([sys.executable, __file__, "--worker", json.dumps(word)], env=env, stdout=subprocess.PIPE)
        for word in words
    ]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a training failed")
    return [json.loads(text) for text in said]


def threads_of(word: dict[str, Any]) -> int:
    return word["cores"] if word["way"] == "plain" else word.get("threads", 1)


def spread(values: list[float], digits: int) -> dict[str, float]:
    if not values:
        return {}
    return {name: round(f(values), digits) for name, f in (("median", statistics.median), ("min", min), ("max", max))}


def reached(run: dict[str, Any], accuracy: float) -> float | None:
    """Seconds of training until a validation was as good; None where none was."""
    return next((seconds for seconds, found in run["curve"] if found >= accuracy), None)


# ---- one training, in a process of its own


def work(word: dict[str, Any]) -> None:
    import torch

    import archsearch
    from archsearch.data.datasets import load_images
    from archsearch.space.settings import DataSettings, TrainingSettings

    images = load_images(DataSettings.model_validate(word["data"]))
    settings = TrainingSettings.model_validate(word["training"])
    if word["job"] == "tiny":
        network = drawn(word["net"])
    else:
        words = archsearch.zoo.get("resnet20_cifar").to_dict()
        network = archsearch.Architecture.from_dict({**words, "input": list(images.shape)})
    model = archsearch.build(network, seed=word["seed"])
    if word["way"] == "ours":
        like = typical() if word["job"] == "tiny" else network
        found = ours(model, like, images, settings, word["seed"], threads_of(word))
    else:
        torch.set_num_threads(word["cores"])
        found = plain(model, images, settings, word["seed"])
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({**found, "peak": usage / 1024, "params": sum(p.numel() for p in model.parameters())}))


def drawn(number: int) -> Any:
    """One of the quickstart's networks, uniformly from those within its budget."""
    import numpy as np

    from archsearch.space.choices import RecordedChoices
    from archsearch.space.loading import load_space
    from archsearch.space.many.feasible import Feasible

    space = load_space(HERE.parent / "search_spaces" / "digits.yaml")
    feasible = Feasible(space, seed=0)
    row = feasible.draw(8, np.random.default_rng(0))[number]
    return space.architecture(RecordedChoices(feasible.grid.choices(row)))


def typical() -> Any:
    """The network of which a search would measure the precision, for all of its trials."""
    from archsearch.search.proposing.proposals import Proposals
    from archsearch.space.loading import load_space

    return Proposals(load_space(HERE.parent / "search_spaces" / "digits.yaml")).typical()


def ours(model: Any, like: Any, images: Any, settings: Any, seed: int, threads: int) -> dict[str, Any]:
    from archsearch.training.loop import Training
    from archsearch.training.measuring.precision import choose_precision

    precision = choose_precision(like, settings, threads=threads).precision
    training = Training(model, images, settings, seed=seed, threads=threads, precision=precision)
    curve, spent, began = [], 0.0, time.perf_counter()
    for metrics in training:
        spent += training.steps * training.batch_size / metrics.images_per_second
        curve.append((time.perf_counter() - began, metrics.validation_accuracy))
    shown = training.steps * training.batch_size * settings.epochs
    return {"images_per_second": shown / spent, "accuracy": curve[-1][1], "curve": curve, "precision": precision}


def plain(model: Any, images: Any, settings: Any, seed: int) -> dict[str, Any]:
    """As a tutorial has it; the schedule and what decays are ours, so that the accuracies can be compared."""
    import torch
    from torch.nn import functional

    from archsearch.training.recipe import learning_rate

    torch.manual_seed(seed)
    train, validation = loaders(images, settings)
    groups = [[p for p in model.parameters() if (p.ndim > 1) == decays] for decays in (True, False)]
    optimizer = torch.optim.SGD(
        [{"params": groups[0], "weight_decay": settings.weight_decay}, {"params": groups[1], "weight_decay": 0.0}],
        lr=settings.learning_rate, momentum=settings.momentum, nesterov=True,
    )  # fmt: skip
    total = settings.epochs * len(train)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(settings, step, total) / settings.learning_rate
    )
    curve, spent, began = [], 0.0, time.perf_counter()
    for _ in range(settings.epochs):
        start = time.perf_counter()
        model.train()
        running = 0.0
        for pixels, labels in train:
            loss = functional.cross_entropy(model(pixels), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            running += loss.item()
        spent += time.perf_counter() - start
        model.eval()
        with torch.no_grad():
            right = sum((model(pixels).argmax(1) == labels).sum().item() for pixels, labels in validation)
        curve.append((time.perf_counter() - began, right / len(images.validation)))
    shown = len(train) * train.batch_size * settings.epochs
    return {"images_per_second": shown / spent, "accuracy": curve[-1][1], "curve": curve, "precision": "float32"}


def loaders(images: Any, settings: Any) -> Iterator[Any]:
    """Two DataLoaders over PIL images, as torchvision's own data sets give them."""
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    class Pictures(Dataset):
        def __init__(self, split: Any, transform: Any) -> None:
            self.split, self.transform = split, transform

        def __len__(self) -> int:
            return len(self.split)

        def __getitem__(self, index: int) -> Any:
            pixels = self.split.images[index].transpose(1, 2, 0)
            picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            return self.transform(picture), int(self.split.labels[index])

    still = [transforms.ToTensor(), transforms.Normalize(images.mean, images.std)]
    moved = [transforms.RandomCrop(images.shape[1:], settings.crop_padding)] if settings.crop_padding else []
    moved += [transforms.RandomHorizontalFlip()] if settings.flip else []
    words = {"num_workers": 2, "persistent_workers": True}
    yield DataLoader(Pictures(images.train, transforms.Compose([*moved, *still])), settings.batch_size, shuffle=True,
                     drop_last=True, **words)  # fmt: skip
    yield DataLoader(Pictures(images.validation, transforms.Compose(still)), 4 * settings.batch_size, **words)


def lines(document: dict[str, Any]) -> str:
    text = []
    for name, found in document["figures"].items():
        rates = " against ".join(f"{found['images_per_second'][way]['median']:,.0f}" for way in ("ours", "plain"))
        low, mean, high = (100 * value for value in found["accuracy_difference"])
        text.append(f"{name}: {rates} images/s, {found['ratio']} times")
        text.append(f"  accuracy {mean:+.2f} points ({low:+.2f} to {high:+.2f})")
    return "\n".join([*text, f"n = {document['n']} seeds; {document['machine']}"])


if __name__ == "__main__":
    raise SystemExit(main())
