"""What a person's own folder ends with: `archsearch run FOLDER --time 10m` beside what needs no search.

Claim: on each set the network that is handed over beats the best of the commonest class, logistic regression, a random
forest and a plain residual network (ResNet-20, recipe auto, all cores) that was trained for the same time; on the test
split, which each looks at once.

The sets are those of image_sets.py that are at hand, and `clothes-3M`: the clothes within 3 MFLOPs and 60 k parameters.
A search and a reference network of ten minutes each take 21 minutes a set and seed. With --store each of them is kept
in a file as soon as it is measured, and a later call goes on with what is missing there.

    python benchmarks/outcome.py [--set NAME]... [--time 10m] [--seeds 3] [--cifar FOLDER] [--opencv FOLDER]
                                 [--store FILE.json] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from image_sets import NAMES, Sources, laid_out
from quickstart import machine

from archsearch import zoo
from archsearch.analysis.intervals import mean_interval
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.describing import describe
from archsearch.data.images import ImageSet
from archsearch.network import build
from archsearch.reading.durations import parse_duration
from archsearch.space.fitting import suited
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.run import TrainingRun

SETS = ("clothes-3M", *NAMES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--time", default="10m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--opencv", type=Path)
    parser.add_argument("--store", type=Path, help="the runs measured so far; added to")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    sources = Sources(cifar=given.cifar, opencv=given.opencv)
    runs: dict[str, Any] = json.loads(given.store.read_text()) if given.store and given.store.exists() else {}
    for seed in range(given.seeds):
        for name in given.set or ["clothes-3M", *sources.names]:
            if (key := f"{name} {given.time} {seed}") not in runs:
                with tempfile.TemporaryDirectory() as scratch:
                    root = laid_out(name.removesuffix("-3M"), Path(scratch) / "images", sources)
                    runs[key] = measured(name, root, given.time, seed, Path(scratch) / "experiment")
                print(json.dumps({key: runs[key]}), file=sys.stderr, flush=True)
                if given.store:
                    given.store.write_text(json.dumps(runs, indent=1))
    figures = {}
    for name in given.set or [name for name in SETS if f"{name} {given.time} 0" in runs]:
        figures[name] = summary([runs[key] for seed in range(99) if (key := f"{name} {given.time} {seed}") in runs])
    document = {
        "name": "outcome", "time": given.time, "figures": figures,
        "won": sum(row["lead"]["mean"] > 0 for row in figures.values()), "of": len(figures), "machine": machine(),
        "versions": {name: version(name) for name in ("archsearch", "torch", "scikit-learn")},
    }  # fmt: skip
    print(json.dumps(document, indent=1) if given.json else text(document))
    return 0


def measured(name: str, root: Path, limit: str, seed: int, output: Path) -> dict[str, Any]:
    """A search's winner and the others on the test split; the reference network follows the search at once."""
    options = ["--flops", "3M", "--params", "60k"] if name == "clothes-3M" else []
    load = os.getloadavg()[2]
    found = searched(root, limit, seed, options, output)
    images = load_images(DataSettings(name="folder", root=str(root), size=found["size"]))
    reference = trained(images, float(parse_duration(limit)), seed)
    return {"search": found, "reference": reference, "simple": simple(images), "load_before": round(load, 1)}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A set's runs, over their seeds."""
    rivals = [max(run["reference"]["test"], *run["simple"].values()) for run in runs]
    tests = [run["search"]["test"] for run in runs]
    lead = mean_interval([ours - theirs for ours, theirs in zip(tests, rivals, strict=True)])
    return {
        "test": [round(value, 4) for value in tests],
        "validation": [round(run["search"]["validation"], 4) for run in runs],
        "reference": [round(run["reference"]["test"], 4) for run in runs],
        "simple": {model: round(accuracy, 4) for model, accuracy in runs[0]["simple"].items()},
        "lead": {"mean": lead.mean, "low": lead.low, "high": lead.high, "n": lead.n},
        "test_images": runs[0]["reference"]["images"],
        "networks": [run["search"]["network"] for run in runs],
    }


def searched(root: Path, limit: str, seed: int, options: list[str], output: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "archsearch", "run", str(root), "--time", limit, "--seed", str(seed), *options]
    began = time.monotonic()
    done = subprocess.run([*command, "--output", str(output), "--json"], capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)
    best = summary["best"]
    return {
        "test": best["test_accuracy"], "validation": best["value"], "seconds": round(time.monotonic() - began),
        "size": best["architecture"]["input"][1],
        "of": best.get("of"),
        "network": {"params": best["params"], "flops": best["flops"], "trials": summary["trials"]["total"]},
    }  # fmt: skip


def trained(images: ImageSet, seconds: float, seed: int) -> dict[str, Any]:
    """ResNet-20 trained in all cores' threads for so long, in as many epochs as fit."""
    fields = zoo.get("resnet20_cifar").to_dict() | {"input": list(images.shape), "classes": len(images.classes)}
    network = Architecture.from_dict({**fields, "name": None})
    settings = suited(TrainingSettings(), describe(images, TrainingSettings()))
    trial = Training(build(network, seed=seed), images, TrainingRun(settings=settings, seed=seed))
    began = time.monotonic()
    next(trial)  # the first, in which caches fill
    first = next(trial).seconds
    epochs = max(3, int((seconds - (time.monotonic() - began)) / first))
    run = TrainingRun(settings=settings.with_overrides({"epochs": epochs}), seed=seed)
    training = Training(build(network, seed=seed), images, run)
    for metrics in training:  # on a busy machine the end moves, and the rate still falls to zero there
        remaining = int((seconds - (time.monotonic() - began)) / metrics.seconds)
        if remaining < 1:
            break
        training.end_at(min(epochs, metrics.epoch + remaining))
    tested = training.evaluate("test")
    return {"test": tested.accuracy, "images": tested.images, "epochs": training.epoch, "of": epochs}


def simple(images: ImageSet) -> dict[str, float]:
    """Test accuracies of what needs no network, learnt from all training images."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    learnt = np.random.default_rng(0).permutation(len(images.train))[:10_000]
    pixels, others = (split.images.reshape(len(split), -1) / 255 for split in (images.train, images.test))
    labels, truth = images.train.labels, images.test.labels
    models = {
        "regression": LogisticRegression(max_iter=200),
        "forest": RandomForestClassifier(300, random_state=0, n_jobs=-1),
    }
    found = {
        name: float(model.fit(pixels[learnt], labels[learnt]).score(others, truth)) for name, model in models.items()
    }
    return {"commonest": float(np.mean(truth == np.bincount(labels).argmax())), **found}


def text(document: dict[str, Any]) -> str:
    lines = [f"{'set':<14}{'search':>16}{'ResNet-20':>16}{'forest':>9}{'regression':>12}   lead over the best of them"]
    for name, row in document["figures"].items():
        lead = row["lead"]
        interval = (
            "" if lead["low"] is None else f" ({100 * lead['low']:+.1f} to {100 * lead['high']:+.1f}, n = {lead['n']})"
        )
        lines.append(
            f"{name:<14}{_mean(row['test']):>16}{_mean(row['reference']):>16}{100 * row['simple']['forest']:>9.1f}"
            f"{100 * row['simple']['regression']:>12.1f}   {100 * lead['mean']:+.1f}{interval}"
        )
    return "\n".join([*lines, f"the search is ahead in {document['won']} of {document['of']}; {document['machine']}"])


def _mean(values: list[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{spread}" if not math.isnan(values[0]) else "-"


if __name__ == "__main__":
    sys.exit(main())
