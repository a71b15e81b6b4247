"""Trains every network of a small space, and writes the table of what came of it (README.md has the facts).

    python benchmarks/tabular/make.py --data digits
    python benchmarks/tabular/make.py --data fashion --root FOLDER_OF_THE_IDX_FILES
    python benchmarks/tabular/make.py --data fashion --root FOLDER --one-schedule --limit 30

One process, one thread. Each run is a line of the work file (--work, never committed), so that the script goes on
where it was stopped; networks come in a random order, so that a part of the table is a random sample of the space.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Split
from archsearch.data.splitting import TEST_SEED, stratified
from archsearch.network import build
from archsearch.space.choices import Recorder, Scalar
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from archsearch.training.loop import Diverged, Training

HERE = Path(__file__).parent
SEEDS = (0, 1)
RUNGS = (1, 3)
TESTED = 2000
COSTS = ("params", "flops", "macs", "activations")
Network = tuple[dict[str, Scalar], Architecture]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["digits", "fashion"], required=True)
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST's idx files (default: data)")
    parser.add_argument("--limit", type=int, help="train only this many networks; 0: write what there is")
    parser.add_argument("--one-schedule", action="store_true", help="no rungs: one schedule over all epochs")
    parser.add_argument("--work", type=Path, help="the work file (default: experiments/tabular/NAME.jsonl)")
    asked = parser.parse_args()
    name = asked.data + ("-one-schedule" if asked.one_schedule else "")
    work = asked.work or Path("experiments") / "tabular" / f"{name}.jsonl"
    space = load_space(HERE / f"{asked.data}.yaml", [f"data.root={asked.root}"])
    networks = everything(space)
    rungs = () if asked.one_schedule else RUNGS
    about = {
        "space": load_space(HERE / f"{asked.data}.yaml").to_yaml(),
        "rungs": list(rungs),
        "networks": len(networks),
    }
    order = sorted(networks)
    random.Random(0).shuffle(order)
    runs = train_all(work, about, space, {digest: networks[digest] for digest in order[: asked.limit]}, rungs)
    write(HERE / f"{name}.npz", networks, *runs)
    return 0


class Walk:
    """Choices that go through every combination: `taken` is one path, `advance` turns to the next."""

    def __init__(self) -> None:
        self._path: list[list[int]] = []  # of each question asked: the option taken, and how many there are
        self._asked = 0

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        if self._asked == len(self._path):
            self._path.append([0, len(options)])
        self._asked += 1
        return options[self._path[self._asked - 1][0]]

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self.choice(name, range(low, high + 1, step))  # type: ignore[return-value]

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        raise ValueError(f"{name}: a table is of a finite space")

    def advance(self) -> bool:
        """False when every combination has been seen."""
        self._asked = 0
        while self._path and self._path[-1][0] + 1 == self._path[-1][1]:
            self._path.pop()
        if self._path:
            self._path[-1][0] += 1
        return bool(self._path)


def everything(space: SearchSpace) -> dict[str, Network]:
    """digest -> (choices, architecture) of every distinct network; of equal ones the first, whose widths are sorted."""
    walk, found = Walk(), dict[str, Network]()
    while True:
        recorder = Recorder(walk)
        architecture = space.architecture(recorder)
        found.setdefault(digest(architecture), (recorder.taken, architecture))
        if not walk.advance():
            return found


def train_all(
    work: Path, about: dict[str, Any], space: SearchSpace, networks: dict[str, Network], rungs: tuple[int, ...]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(what the table is about, one record a run): those of the work file, and the missing ones, trained now."""
    work.parent.mkdir(parents=True, exist_ok=True)
    images = with_fewer_tests(load_images(space.data))
    about |= {"images": {name: len(images.split(name)) for name in ("train", "validation", "test")}}
    about |= {"images_digest": images.digest}
    lines = [json.loads(line) for line in work.read_text().splitlines()] if work.is_file() else []
    if lines and _recipe(lines[0]) != _recipe(about):
        sys.exit(f"{work} holds runs of another space or recipe: remove it, or name another with --work")
    with work.open("a") as file:
        if not lines:
            lines = [about | {"machine": machine(), "versions": versions(), "date": str(datetime.date.today())}]
            file.write(json.dumps(lines[0]) + "\n")
        done = {(record["digest"], record["seed"]) for record in lines[1:]}
        wanted = [(digest, seed) for digest in networks for seed in SEEDS if (digest, seed) not in done]
        began = time.monotonic()
        for number, (digest, seed) in enumerate(wanted, start=1):
            record = {"digest": digest, "seed": seed, **train(networks[digest][1], images, space, seed, rungs)}
            lines.append(record)
            file.write(json.dumps(record) + "\n")
            file.flush()
            left = (time.monotonic() - began) / number * (len(wanted) - number)
            print(f"{number}/{len(wanted)} {digest} {seed} {record['right'][-1]} {left / 60:.1f} min left", flush=True)
    return lines[0], lines[1:]


def _recipe(about: dict[str, Any]) -> dict[str, Any]:
    """What a run depends on: of the space's file not the search's settings, which later versions may add to."""
    document = yaml.safe_load(about["space"])
    return {
        **{key: about[key] for key in ("rungs", "networks", "images", "images_digest")},
        **{key: document[key] for key in ("space", "training")},
    }


def with_fewer_tests(images: ImageSet) -> ImageSet:
    """At most 2,000 test images, each class by its share: enough to rank, and a fifth of the time."""
    if len(images.test) <= TESTED:
        return images
    chosen, _ = stratified(images.test.labels, TESTED, seed=TEST_SEED)
    return replace(images, test=Split(images=images.test.images[chosen], labels=images.test.labels[chosen]))


def train(
    architecture: Architecture, images: ImageSet, space: SearchSpace, seed: int, rungs: tuple[int, ...]
) -> dict[str, Any]:
    """One run, its epochs as lists; after a divergence (which ends the run) fewer of them than others have.

    Processor time stands beside wall time: it does not count what else the machine did.
    """
    training = Training(build(architecture, seed=seed), images, space.training, seed=seed, threads=1, rungs=rungs)
    kept: dict[str, list[Any]] = {"right": [], "train_loss": [], "cpu_seconds": [], "wall_seconds": []}
    for metrics, cpu in _timed(training):
        kept["right"].append(round(metrics.validation_accuracy * len(images.validation)))
        kept["train_loss"].append(round(metrics.train_loss, 5))
        kept["cpu_seconds"].append(round(cpu, 4))
        kept["wall_seconds"].append(round(metrics.seconds, 4))
    whole = len(kept["right"]) == space.training.epochs
    return {**kept, "test_right": round(training.evaluate("test").accuracy * len(images.test)) if whole else -1}


def _timed(training: Training) -> Iterator[Any]:
    while True:
        before = time.process_time()
        try:
            metrics = next(training)
        except (StopIteration, Diverged):
            return
        yield metrics, time.process_time() - before


def write(path: Path, networks: dict[str, Network], about: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """The table of the networks that have all their runs, in order of digest. Plain arrays and one JSON text.

    Counts of images are -1, other figures nan, in epochs that a diverged run did not have.
    """
    runs = {(record["digest"], record["seed"]): record for record in records}
    rows = [name for name in sorted(networks) if all((name, seed) in runs for seed in SEEDS)]
    epochs = max(len(record["right"]) for record in records)

    def gather(key: str, missing: float, kind: str) -> np.ndarray:
        found = np.full((len(rows), len(SEEDS), epochs), missing, kind)
        for row, name in enumerate(rows):
            for column, seed in enumerate(SEEDS):
                values = runs[name, seed][key]
                found[row, column, : len(values)] = values
        return found

    described = [{"choices": networks[d][0], "architecture": networks[d][1].to_dict()} for d in rows]
    text = json.dumps({**about, "seeds": SEEDS, "rows": described}, separators=(",", ":"))
    arrays: dict[str, Any] = {
        "digests": np.array(rows),
        "text": np.frombuffer(text.encode(), np.uint8),
        "right": gather("right", -1, "int16"),
        "test_right": np.array([[runs[d, s]["test_right"] for s in SEEDS] for d in rows], "int16"),
        "train_loss": gather("train_loss", np.nan, "float32"),
        "cpu_seconds": gather("cpu_seconds", np.nan, "float32"),
        "wall_seconds": gather("wall_seconds", np.nan, "float32"),
    }
    costs = [cost(networks[digest][1]) for digest in rows]
    arrays |= {name: np.array([getattr(one, name) for one in costs], "int64") for name in COSTS}
    np.savez_compressed(path, **arrays)
    print(f"{path}: {len(rows)} of {about['networks']} networks, {path.stat().st_size / 1024:.0f} KiB")


def machine() -> str:
    info = Path("/proc/cpuinfo")
    named = (
        [s.split(":", 1)[1].strip() for s in info.read_text().splitlines() if "model name" in s]
        if info.is_file()
        else []
    )
    return f"one thread of {os.cpu_count()} cores, {named[0] if named else platform.machine()}"


def versions() -> dict[str, str]:
    own = {name: importlib.metadata.version(name) for name in ("archsearch", "torch", "numpy", "scikit-learn")}
    return {"python": platform.python_version(), **own}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
