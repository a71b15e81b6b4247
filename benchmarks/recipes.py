"""What `recipe: auto` decides, and what the other way comes to: epochs, batches and augmentation on small image sets.

Claims: on 1,500 images of clothes a training as auto has it is at least 5 points above nine epochs of batch 64, and at
least 3 above the same epochs without crops and flips; on digits of 8 by 8 pixels nine epochs are not better with crops.
Test accuracy of one small network, one thread, seeds in turns.

    python benchmarks/recipes.py [--set NAME]... [--seeds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from image_sets import Sources, laid_out
from quickstart import machine

from archsearch.analysis.intervals import mean_interval
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.describing import describe
from archsearch.data.images import ImageSet
from archsearch.network import build
from archsearch.space.fitting import suited
from archsearch.space.recipes import RECIPES
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.run import TrainingRun

FAST = {**RECIPES["fast"], "recipe": "none"}
WAYS: dict[str, dict[str, dict[str, Any]]] = {
    "clothes": {
        "9 epochs, batch 64": {**FAST, "epochs": 9, "batch_size": 64},
        "60 epochs, batch 32": {**FAST, "epochs": 60, "batch_size": 32},
        "60 epochs, batch 32, crops and flips": {**FAST, "epochs": 60, "batch_size": 32, "crop_padding": 2,
                                                 "flip": True},
        "120 epochs, batch 32, crops and flips": {**FAST, "epochs": 120, "batch_size": 32, "crop_padding": 2,
                                                  "flip": True},
        "auto": {},
    },
    "digits": {
        "9 epochs, batch 64": {**FAST, "epochs": 9, "batch_size": 64},
        "9 epochs, batch 64, crops": {**FAST, "epochs": 9, "batch_size": 64, "crop_padding": 1},
        "57 epochs, batch 32": {**FAST, "epochs": 57, "batch_size": 32},
        "57 epochs, batch 32, crops": {**FAST, "epochs": 57, "batch_size": 32, "crop_padding": 1},
        "auto": {},
    },
}  # fmt: skip
WIDTHS = (12, 24, 24)  # of three stages of one basic block each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=WAYS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.set or WAYS:
            root = laid_out(name, Path(scratch) / name, Sources())
            images = load_images(DataSettings(name="folder", root=str(root), size=8 if name == "digits" else 28))
            figures[name] = measured(name, images, given.seeds)
    document = {"name": "recipes", "figures": figures, "machine": machine(), "n": given.seeds,
                "versions": {package: version(package) for package in ("archsearch", "torch")}}  # fmt: skip
    print(json.dumps(document, indent=1) if given.json else text(document))
    return 0


def measured(name: str, images: ImageSet, seeds: int) -> dict[str, Any]:
    facts = describe(images, TrainingSettings())
    network, rows = residual(images), {}
    counted = cost(network)
    for way, fields in WAYS[name].items():
        settings = suited(TrainingSettings(**fields), facts)
        tests = [trained(network, images, settings, seed) for seed in range(seeds)]
        mean = mean_interval(tests)
        rows[way] = {
            "test": tests, "mean": mean.mean, "low": mean.low, "high": mean.high, "epochs": settings.epochs,
            "batch_size": settings.batch_size, "crop_padding": settings.crop_padding, "flip": settings.flip,
        }  # fmt: skip
        print(name, way, [round(100 * value, 1) for value in tests], file=sys.stderr, flush=True)
    return {"images": len(images.train), "mirrored": round(facts.mirrored, 2), "params": counted.params,
            "flops": counted.flops, "rows": rows}  # fmt: skip


def residual(images: ImageSet) -> Architecture:
    stages = [
        {"depth": 1, "width": width, "stride": 1 if number == 0 else 2, "block": {"kind": "basic"}}
        for number, width in enumerate(WIDTHS)
    ]
    stem = {"kernel": 3, "stride": 1, "width": WIDTHS[0]}
    facts = {"input": list(images.shape), "classes": len(images.classes)}
    return Architecture.from_dict({**facts, "stem": stem, "stages": stages})


def trained(network: Architecture, images: ImageSet, settings: TrainingSettings, seed: int) -> float:
    training = Training(build(network, seed=seed), images, TrainingRun(settings=settings, seed=seed))
    for _ in training:
        pass
    return training.evaluate("test").accuracy


def text(document: dict[str, Any]) -> str:
    lines = []
    for name, found in document["figures"].items():
        lines.append(f"{name}: {found['images']:,} training images; mirrored {found['mirrored']:.2f}")
        for way, row in found["rows"].items():
            interval = "" if row["low"] is None else f" ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
            lines.append(f"  {way:<48}{100 * row['mean']:6.1f} %{interval}")
    return "\n".join([*lines, f"{document['machine']}, n = {document['n']} seeds"])


if __name__ == "__main__":
    sys.exit(main())
