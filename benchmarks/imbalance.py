"""What class weights, balanced sampling and the focal loss come to where classes are of very different size.

Claim: on a Fashion-MNIST whose smallest class has a hundredth of the largest one's images, balanced class weights raise
the macro F1 score on the test split, which has all classes alike. The classes shrink geometrically (Cui 2019,
arXiv:1901.05555), in the order of their labels. One small network, one thread, the same seeds for every recipe.

    python benchmarks/imbalance.py [--largest 1000] [--epochs 30] [--seeds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from quickstart import machine
from recipes import residual

from archsearch.analysis.intervals import mean_interval
from archsearch.architecture.cost import cost
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet
from archsearch.data.splitting import subset
from archsearch.data.weighing import class_counts
from archsearch.network import build
from archsearch.space.recipes import RECIPES
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.run import TrainingRun

RATIO = 100
WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "class_weights: balanced": {"class_weights": "balanced"},
    "sampling: balanced": {"sampling": "balanced"},
    "loss: focal": {"loss": "focal"},
}
METRICS = ("macro_f1", "balanced_accuracy", "accuracy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1000, help="training images of the largest class")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = long_tailed(load_images(DataSettings(name="fashion_mnist")), given.largest)
    network = residual(images)
    network = network.model_copy(update={"stem": network.stem.model_copy(update={"stride": 2})})
    rows = {}
    for way, fields in WAYS.items():
        recipe = {**RECIPES["fast"], "recipe": "none", "epochs": given.epochs, "batch_size": 64, "crop_padding": 2}
        settings = TrainingSettings.model_validate({**recipe, **fields})
        tests = []
        for seed in range(given.seeds):
            run = TrainingRun(settings=settings, seed=seed, precision="float32")
            training = Training(build(network, seed=seed), images, run)
            for _ in training:
                pass
            scores = training.evaluate("test").scores
            tests.append({name: scores[name] for name in METRICS})
            print(way, seed, {name: round(100 * value, 1) for name, value in tests[-1].items()}, file=sys.stderr)
        rows[way] = tests
    counted = cost(network)
    document = {
        "name": "imbalance", "rows": rows, "counts": class_counts(images).tolist(), "test": len(images.test),
        "epochs": given.epochs, "params": counted.params, "flops": counted.flops, "machine": machine(),
        "n": given.seeds, "versions": {package: version(package) for package in ("archsearch", "torch")},
    }  # fmt: skip
    print(json.dumps(document, indent=1) if given.json else text(document))
    return 0


def long_tailed(images: ImageSet, largest: int) -> ImageSet:
    """The data set with so many training images of class 0, a hundredth of them of the last class, and the numbers of
    the classes between in geometric steps; validation and test as they are."""
    labels, classes = images.train.labels, len(images.classes)
    counts = np.round(largest * (1 / RATIO) ** (np.arange(classes) / (classes - 1))).astype(int)
    chosen = [np.flatnonzero(labels == label)[:count] for label, count in enumerate(counts)]
    return replace(images, train=subset(images.train, np.sort(np.concatenate(chosen))))


def text(document: dict[str, Any]) -> str:
    counts = document["counts"]
    lines = [f"{sum(counts):,} training images, {', '.join(map(str, counts))} of each class; {document['test']:,} test"]
    for way, tests in document["rows"].items():
        means = []
        for name in METRICS:
            mean = mean_interval([test[name] for test in tests])
            interval = "" if mean.low is None else f" ({100 * mean.low:.1f} to {100 * mean.high:.1f})"
            means.append(f"{name} {100 * mean.mean:.1f} %{interval}")
        lines.append(f"  {way:<26}{'; '.join(means)}")
    baseline = document["rows"]["none"]
    for way, tests in document["rows"].items():
        if way != "none":
            gains = [100 * (test["macro_f1"] - plain["macro_f1"]) for test, plain in zip(tests, baseline, strict=True)]
            lines.append(f"  {way}: macro F1 {', '.join(f'{gain:+.1f}' for gain in gains)} points by seed")
    return "\n".join([*lines, f"{document['machine']}, n = {document['n']} seeds"])


if __name__ == "__main__":
    sys.exit(main())
