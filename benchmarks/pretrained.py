"""Small sets of images: a pretrained network and its slices, fine-tuned, against the same networks from nothing.

The parent is a ResNet-20 of the zoo, trained on eight classes of CIFAR-10 as JPEG. The other two are small sets of 500
and 2,000 images, at 32, 16 and 8 pixels, in colour and grey; digits of scikit-learn and Fashion-MNIST are sets unlike
it. Within all, half and 15 % of the parent's FLOPs, the network is the parent itself, or that of its slices which is
the most accurate on the parent's validation images without training. Fine-tuned (the recipe fine_tuning) and from
nothing (the recipe auto, twice as many epochs) it has the same batches and augmentation.

Two tables of ten cells: the first (ship and truck) taught the rule of `archsearch check`
(archsearch.space.pretraining); the second (cat and dog, Fashion-MNIST, other sizes) was written down, and its claim
made, before it was run. Claim: the rule is right in nine of ten cells of the second, where right means that the side
that it advises has the higher mean test accuracy over the seeds. About 55 minutes a table and five seeds on one core
that trains a ResNet-20 on 500 images of 32x32 a second.

    python benchmarks/pretrained.py --data DIR --store FILE.json [--table 1|2] [--cells FIRST-LAST] [--seeds 5]
                                    [--rate R] [--threads 1|2] [--fashion DIR] [--quick] [--json]

DIR has train.parquet and test.parquet, as Hugging Face's hub lays CIFAR-10 out. Each training is written to the store
when it has ended, and the same command goes on where an interrupted one was; each table has a store of its own. The
time that is left is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from papers import Store
from pretrained_cells import CLOTHES, QUICK, SIDE, SMALL_CLASSES, Cell, Size, adapted, cells, smaller

from archsearch import zoo
from archsearch.analysis.intervals import over_seeds, paired_difference
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.describing import describe
from archsearch.data.images import ImageSet, Split
from archsearch.data.splitting import stratified, subset
from archsearch.experiment import write_atomically
from archsearch.network.build import build
from archsearch.reading.errors import InputError
from archsearch.shrinking.scoring import Parent, value_of
from archsearch.shrinking.slices import Limits, Slices
from archsearch.space.fitting import suited
from archsearch.space.pretraining import Case, objection
from archsearch.space.recipes import FINE_TUNING
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.checkpoint import weights_from_bytes, weights_to_bytes
from archsearch.training.fit import train_architecture
from archsearch.training.run import TrainingRun

NETWORK = "resnet20_cifar"
USUAL = 500  # images that a thread trains on in a second, until that is known
LEAST_SHARE = 0.3  # of the parent's time that the smallest network takes


class Bench:
    """The images, the parent and the trainings, each done once for a store."""

    def __init__(self, store: Store, size: Size, data: str, fashion: str, table: int, threads: int) -> None:
        self.store, self.size, self.threads = store, size, threads
        self.small_classes = SMALL_CLASSES[table]
        settings = DataSettings(name="huggingface", root=data, size=SIDE, validation=5000)
        self.all = load_images(settings)
        self.digits = load_images(DataSettings(name="digits", validation=300))
        self.fashion = load_images(DataSettings(name="fashion_mnist", root=fashion)) if table == 2 else None
        others = [number for number in range(10) if number not in self.small_classes]
        self.parent_images = self.of_classes(self.all, others, size.parent_images, 5 * size.validation)
        self.rate, self.cells = USUAL * threads, cells(size, table)
        self.fine_tuning = dict(FINE_TUNING)
        self.chosen: dict[float, tuple[Architecture, Path]] = {}

    def of_classes(self, images: ImageSet, classes: Sequence[int], train: int, validation: int) -> ImageSet:
        """The images of these classes alone, so many of the training and of the validation split."""

        def part(split: Split, count: int) -> Split:
            chosen = subset(split, np.flatnonzero(np.isin(split.labels, classes)))
            if count < len(chosen):
                chosen = subset(chosen, stratified(chosen.labels, count, seed=0)[0])
            return replace(chosen, labels=np.searchsorted(np.array(classes), chosen.labels))

        return ImageSet.of(
            name=images.name, classes=tuple(images.classes[number] for number in classes),
            train=part(images.train, train), validation=part(images.validation, validation),
            test=part(images.test, self.size.test),
        )  # fmt: skip

    def images(self, cell: Cell) -> ImageSet:
        if cell.kind == "digits":
            images = self.digits
            train = subset(images.train, stratified(images.train.labels, cell.images, seed=0)[0])
            return ImageSet.of(name="digits", classes=images.classes, train=train, validation=images.validation,
                               test=images.test)  # fmt: skip
        if cell.kind == "clothes":
            assert self.fashion is not None, "of the second table alone"
            images = self.of_classes(self.fashion, CLOTHES, cell.images, self.size.validation)
        else:
            images = self.of_classes(self.all, self.small_classes, cell.images, self.size.validation)
        splits = {name: smaller(images.split(name), cell) for name in ("train", "validation", "test")}
        return ImageSet.of(name=images.name, classes=images.classes, **splits)

    def settings(self, images: ImageSet, **given: Any) -> TrainingSettings:
        settings = TrainingSettings(precision="float32", device="cpu", **given)
        return suited(settings, describe(images, settings))

    def trained(
        self,
        section: str,
        name: str,
        network: Architecture,
        images: ImageSet,
        settings: TrainingSettings,
        seed: int,
        weights: Path | None = None,
    ) -> dict[str, Any]:
        """The accuracies of a training, and how many images it saw."""
        folder = self.store.folder / section / name.replace(" ", "-").replace(",", "").replace("%", "")

        def work() -> dict[str, Any]:
            run = TrainingRun(settings=settings, seed=seed, threads=self.threads)
            result = train_architecture(network, images, run, folder, weights=weights)
            seen = len(images.train) * settings.epochs
            accuracies = {split: result[split]["accuracy"] for split in ("validation", "test")}
            return {**accuracies, "seen": seen, "trained": result["seconds"], "folder": str(folder)}

        return self.store.result(section, name, work)

    def parent(self) -> tuple[Architecture, Path]:
        images = self.parent_images
        network = adapted(zoo.get(NETWORK), images)
        settings = self.settings(images, epochs=self.size.parent_epochs)
        found = self.trained("parent", NETWORK, network, images, settings, seed=0)
        self.rate = found["seen"] / found["trained"]
        return network, Path(found["folder"]) / "weights.safetensors"

    def candidate(self, budget: float) -> tuple[Architecture, Path]:
        """The parent, or the slice of it within a share of its FLOPs that is the most accurate without training."""
        network, weights = self.parent()
        if budget == 1:
            return network, weights
        if budget in self.chosen:
            return self.chosen[budget]
        folder = self.store.folder / "slices" / f"{budget:g}"

        def work() -> dict[str, Any]:
            trained = build(network)
            trained.load_state_dict(weights_from_bytes(weights.read_bytes()))
            parent = Parent(network=trained, images=self.parent_images, settings=self.settings(self.parent_images),
                            most=1000, seed=0)  # fmt: skip
            importance, slices = parent.importance(), Slices(network, parent.inheritable)
            limits = Limits(flops=int(budget * cost(network).flops))
            scored: list[tuple[float, Architecture, Any]] = []
            for _, architecture in slices.drawn(limits, (1.0,), self.size.slices, 0):
                try:
                    child = parent.slice_of(architecture, importance)
                except InputError:
                    continue
                scored.append((value_of(parent.evaluated(child)), architecture, child))
            value, architecture, child = max(scored, key=lambda entry: entry[0])
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "weights.safetensors", weights_to_bytes(child.state_dict()))
            return {"untrained": value, "slices": len(scored), "architecture": architecture.to_dict()}

        found = self.store.result("slices", f"{budget:g}", work)
        self.chosen[budget] = Architecture.from_dict(found["architecture"]), folder / "weights.safetensors"
        return self.chosen[budget]

    def compared(self, cell: Cell) -> dict[str, Any]:
        """Both sides of a cell over the seeds."""
        (network, weights), images = self.candidate(cell.budget), self.images(cell)
        network, epochs = adapted(network, images), self.size.epochs(cell.images)
        scratch = self.settings(images, epochs=epochs)
        tuning = self.settings(
            images, **{**self.fine_tuning, "epochs": min(FINE_TUNING["epochs"], max(1, epochs // 2))}
        )
        sides: dict[str, dict[int, float]] = {"from nothing": {}, "fine-tuned": {}}
        for seed in range(self.size.seeds):
            for side, settings, start in (("from nothing", scratch, None), ("fine-tuned", tuning, weights)):
                found = self.trained(side, f"{cell}, seed {seed}", network, images, settings, seed, start)
                sides[side][seed] = found["test"]
        lead = paired_difference(sides["fine-tuned"], sides["from nothing"])
        assert lead is not None
        case = Case(fit=1, channels=images.shape[0], side=cell.side, trained_at=SIDE,
                    per_class=len(images.train) / len(images.classes), kept=cell.budget)  # fmt: skip
        against = objection(case)
        return {
            "cell": str(cell),
            "flops": cost(network).flops,
            **{side: over_seeds(list(values.values())).to_dict() for side, values in sides.items()},
            "lead": lead.to_dict(),
            "advised": against is None,
            "objection": against,
            "right": (lead.mean > 0) == (against is None),
        }

    def seconds_left(self) -> float:
        """About how long what is not in the store takes, on so many threads."""
        done = {
            name for side in ("from nothing", "fine-tuned") for name in self.store.document["results"].get(side, {})
        }
        seen = 0.0
        for cell, seed in ((cell, seed) for cell in self.cells for seed in range(self.size.seeds)):
            if f"{cell}, seed {seed}" not in done:
                epochs = self.size.epochs(cell.images)
                share = max(LEAST_SHARE, cell.budget) * max(0.1, (cell.side / SIDE) ** 2)
                seen += cell.images * (epochs + min(FINE_TUNING["epochs"], epochs // 2)) * share
        if "parent" not in self.store.document["results"]:
            seen += self.size.parent_images * self.size.parent_epochs
        return seen / self.rate


def rows(bench: Bench) -> Iterator[dict[str, Any]]:
    bench.parent()
    for cell in bench.cells:
        print(f"about {bench.seconds_left():.0f} seconds left", file=sys.stderr, flush=True)
        yield bench.compared(cell)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR", help="CIFAR-10 as JPEG: train.parquet, test.parquet")
    parser.add_argument("--store", required=True, type=Path, metavar="FILE.json")
    parser.add_argument("--table", type=int, choices=(1, 2), default=2)
    parser.add_argument("--cells", metavar="FIRST-LAST", default="1-10", help="of the table's")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rate", type=float, help="of fine-tuning, in place of the recipe's; in a store of its own")
    parser.add_argument("--fashion", metavar="DIR", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=2)
    parser.add_argument("--quick", action="store_true", help="60 and 120 images, two epochs: whether it runs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    size = QUICK if given.quick else Size(seeds=given.seeds)
    store = Store(given.store, size)
    bench = Bench(store, size, given.data, given.fashion, given.table, given.threads)
    if given.rate is not None:
        bench.fine_tuning["learning_rate"] = given.rate
    first, last = map(int, given.cells.split("-"))
    bench.cells = bench.cells[first - 1 : last]
    print(f"about {bench.seconds_left():.0f} seconds", file=sys.stderr, flush=True)
    found = list(rows(bench))
    if given.json:
        print(json.dumps({**store.document, "cells": found}, indent=1))
        return 0
    print(table(found, size))
    return 0


def table(found: Sequence[dict[str, Any]], size: Size) -> str:
    """The cells as Markdown: test accuracies over the seeds with half of their 95 % intervals, and the rule."""
    lines = [
        "| cell | from nothing | fine-tuned | lead in points | check advises | right |",
        "|---|---|---|---|---|---|",
    ]
    for row in found:
        advised = "fine-tune" if row["advised"] else f"search: {row['objection']}"
        spreads = [spread(row[side]) for side in ("from nothing", "fine-tuned", "lead")]
        lines.append(f"| {row['cell']} | {' | '.join(spreads)} | {advised} | {'yes' if row['right'] else 'no'} |")
    right = sum(row["right"] for row in found)
    return "\n".join([*lines, "", f"The rule is right in {right} of {len(found)} cells; {size.seeds} seeds."])


def spread(interval: dict[str, Any]) -> str:
    half = "" if interval["half"] is None else f" ± {100 * interval['half']:.2f}"
    return f"{100 * interval['mean']:.2f}{half}"


if __name__ == "__main__":
    sys.exit(main())
