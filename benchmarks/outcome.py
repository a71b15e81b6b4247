"""What a person's own folder ends with: `archsearch run FOLDER --time 10m` beside what needs no search.

Claim: on each set the network that is handed over beats the best of the commonest class, logistic regression, a random
forest and a plain residual network (ResNet-20, recipe auto, all cores) that was trained for the same time; on the test
split, which each looks at once.

Sets, as folders of PNG files, a sub-folder a class: `clothes` (1,500 images of Fashion-MNIST: t-shirt, pullover, dress,
coat and shirt, the first 300 of each), `clothes-3M` (the same within 3 MFLOPs and 60 k parameters), `fashion-5000`,
`fashion`, `digits`, and `cifar-5000`, `cifar` (CIFAR-10 as JPEG, where --cifar names the folder of its Parquet files).

    python benchmarks/outcome.py [--set NAME]... [--time 10m] [--seeds 3] [--cifar FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
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

FASHION = Path("/usr/share/datasets/fashion-mnist")
CLOTHES = {0: "t-shirt", 2: "pullover", 3: "dress", 4: "coat", 6: "shirt"}
SETS = ("clothes-3M", "clothes", "fashion-5000", "fashion", "digits", "cifar-5000", "cifar")
Labelled = Iterator[tuple[str, Image.Image]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--time", default="10m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.set or [name for name in SETS if given.cifar or not name.startswith("cifar")]:
            root = laid_out(name, Path(scratch) / "images" / name, given.cifar)
            figures[name] = measured(name, root, given.time, given.seeds, Path(scratch))
            print(json.dumps({name: figures[name]}), file=sys.stderr, flush=True)
    document = {
        "name": "outcome", "time": given.time, "figures": figures,
        "won": sum(row["lead"]["mean"] > 0 for row in figures.values()), "of": len(figures), "machine": machine(),
        "versions": {name: version(name) for name in ("archsearch", "torch", "scikit-learn")},
    }  # fmt: skip
    print(json.dumps(document, indent=1) if given.json else text(document))
    return 0


def measured(name: str, root: Path, limit: str, seeds: int, scratch: Path) -> dict[str, Any]:
    """The search's winner and the others on the test split, over seeds; a search and a reference in turns."""
    options = ["--flops", "3M", "--params", "60k"] if name == "clothes-3M" else []
    runs = []
    for seed in range(seeds):
        found = searched(root, limit, seed, options, scratch / f"{name}-{seed}")
        data = DataSettings(name="folder", root=str(root), size=found["size"])
        images = load_images(data)
        reference = trained(images, float(parse_duration(limit)), seed)
        runs.append({"search": found, "reference": reference, "simple": simple(images)})
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
        "network": {"params": best["params"], "flops": best["flops"], "trials": summary["trials"]["total"]},
    }  # fmt: skip


def trained(images: ImageSet, seconds: float, seed: int) -> dict[str, Any]:
    """ResNet-20 trained in all cores' threads for so long, in as many epochs as fit."""
    fields = zoo.get("resnet20_cifar").to_dict() | {"input": list(images.shape), "classes": len(images.classes)}
    network = Architecture.from_dict({**fields, "name": None})
    settings = suited(TrainingSettings(), describe(images))
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


def laid_out(name: str, root: Path, cifar: Path | None) -> Path:
    """The set as a folder of images, with its own test split where it has one."""
    for split, pictures in pictures_of(name, cifar).items():
        for number, (label, picture) in enumerate(pictures):
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{number:06}.png")
    return root


def pictures_of(name: str, cifar: Path | None) -> dict[str, Labelled]:
    if name.startswith("clothes"):
        return {"": fashion("train", classes=CLOTHES, each=300)}
    if name.startswith("fashion"):
        each = 500 if name == "fashion-5000" else None
        classes = {label: f"class{label}" for label in range(10)}
        return {"train": fashion("train", classes=classes, each=each), "test": fashion("t10k", classes=classes)}
    if name == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        return {"": ((str(label), Image.fromarray((image * 15.9).astype("uint8")))
                     for image, label in zip(data.images, data.target, strict=True))}  # fmt: skip
    assert cifar is not None, "--cifar names the folder of CIFAR-10's Parquet files"
    return {"train": jpegs(cifar / "train.parquet", 5000 if name == "cifar-5000" else None),
            "test": jpegs(cifar / "test.parquet", None)}  # fmt: skip


def fashion(kind: str, *, classes: dict[int, str], each: int | None = None) -> Labelled:
    pixels, labels = (
        np.frombuffer(gzip.decompress((FASHION / f"{kind}-{part}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for part, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    for label, name in classes.items():
        for index in np.flatnonzero(labels == label)[:each]:
            yield name, Image.fromarray(pixels.reshape(-1, 28, 28)[index])


def jpegs(file: Path, count: int | None) -> Labelled:
    import pyarrow.parquet as parquet

    table = parquet.read_table(file)
    for row in table.slice(0, count).to_pylist():
        yield f"class{row['label']}", Image.open(io.BytesIO(row["image"]["bytes"]))


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
