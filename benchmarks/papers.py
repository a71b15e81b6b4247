"""Five experiments of the papers on why residual networks work, repeated with `archsearch analyze`'s functions.

1 degradation (He 2015), 2 lesions and 3 paths (Veit 2016), 4 landscapes (Li 2018), 5 stochastic depth (Huang 2016).
What counts as held is written in papers_tables.CLAIMS, before anything runs. plain-20, plain-56, ResNet-20 and
ResNet-56 are trained on Fashion-MNIST, and pytorch_resnet_cifar10's published ResNet-20 and 56 looked at on CIFAR-10 as
JPEG, where they are about 81 % right.

    python benchmarks/papers.py --cifar DIR --weights DIR [--store FILE.json] [--threads 1|2] [--only NAME,...]
        [--quick] [--json]
    python benchmarks/papers.py --store FILE.json --render

DIR of --cifar has train.parquet and test.parquet, as Hugging Face's hub lays them out; that of --weights has
resnet20-12fca82f.th and resnet56-4bfd9763.th. Without them only Fashion-MNIST is used. Each result is written to the
store as soon as it is there, weights and pages into a folder beside it: the same command goes on where an interrupted
one was. --render writes the tables into benchmarks/results/papers.md, between its two markers. About 50 minutes on one
thread of a CPU that trains a ResNet-20 on 600 images of 32x32 a second.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from papers_tables import RESULTS, rendered, text
from quickstart import machine

from archsearch import zoo
from archsearch.anatomy.landscape import Grid, directions
from archsearch.api.analyzing import Analysis, Kind, analysis
from archsearch.api.degrading import Question, degradation_of
from archsearch.api.driving import Audience
from archsearch.api.trained_networks import Subject
from archsearch.api.training import adapted
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet
from archsearch.data.splitting import stratified, subset
from archsearch.experiment import write_atomically
from archsearch.network import build
from archsearch.space.overrides import TrainSettings
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.pretrained import read_weights, start_from

PUBLISHED = {"resnet20": "resnet20-12fca82f.th", "resnet56": "resnet56-4bfd9763.th"}
# The published networks' input: less ImageNet's mean, divided by its standard deviation.
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True)
class Size:
    """How much is done; every seed trains each of the four networks once."""

    seeds: int = 3
    images: int = 2000  # of Fashion-MNIST, trained on
    epochs: int = 20
    sample: int = 500  # training images by which the training loss is measured after each epoch
    lesion_images: int = 1000  # of the test split
    draws: int = 3  # random sets of blocks of each size, of a published network; of a trained one 1
    path_images: int = 64
    paths: int = 10  # drawn of each length
    points: int = 25  # of a landscape, along each direction
    landscape_images: int = 128  # of the training split
    checked: int = 9  # points of a landscape that are evaluated independently
    rounds: int = 16  # of four training steps of ResNet-110 with and without stochastic depth, in turns


QUICK = Size(seeds=1, images=200, epochs=1, sample=50, lesion_images=50, draws=1, path_images=8, paths=2, points=3,
             landscape_images=16, checked=2, rounds=2)  # fmt: skip


class Store:
    """Results by section and name, in a JSON file that is written after each; weights and pages in a folder of its name
    beside it."""

    def __init__(self, file: Path, size: Size) -> None:
        self.file, self.folder = file, file.with_suffix("")
        self.document: dict[str, Any] = {"size": asdict(size), "results": {}}
        if file.is_file():
            self.document = json.loads(file.read_text())
            if self.document["size"] != asdict(size):
                sys.exit(f"{file} has results of another size: {self.document['size']}")

    def result(self, section: str, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the store has under this name; what `work` returns where it has nothing, with its seconds."""
        results = self.document["results"].setdefault(section, {})
        if name not in results:
            began = time.monotonic()
            value = work()
            results[name] = {**value, "seconds": time.monotonic() - began}
            self.document["machine"] = machine()
            self.document["versions"] = {package: version(package) for package in ("archsearch", "torch")}
            write_atomically(self.file, json.dumps(self.document))
            print(f"{section}, {name}: {results[name]['seconds']:.0f} s", file=sys.stderr, flush=True)
        return results[name]

    def analysed(self, kind: str, name: str, work: Callable[[Path], Analysis]) -> dict[str, Any]:
        """The figures of an analysis under this name; its page is written into the folder."""
        page = self.folder / f"{kind}-{name}.html"

        def figures() -> dict[str, Any]:
            result = work(page)
            result.write(page)
            return result.figures

        return self.result(kind, name, figures)


@dataclass(frozen=True)
class Bench:
    """The store, how much is done, and where the data lies; None where CIFAR-10 or its networks are not at hand."""

    store: Store
    size: Size
    threads: int
    fashion_root: str
    cifar_root: str | None
    weights: Path | None

    @property
    def fashion_data(self) -> DataSettings:
        return DataSettings(name="fashion_mnist", root=self.fashion_root, validation=500, limit=self.size.images)

    @functools.cached_property
    def fashion(self) -> ImageSet:
        return load_images(self.fashion_data)

    @functools.cached_property
    def cifar(self) -> ImageSet:
        settings = DataSettings(name="huggingface", root=self.cifar_root, size=32, validation=500, limit=5000)
        return replace(load_images(settings), name="CIFAR-10 as JPEG", **IMAGENET)

    def training(self) -> TrainingSettings:
        """He 2015's recipe for CIFAR-10 in fewer steps: of smaller batches, at half the rate, behind a warm-up."""
        return TrainingSettings(
            recipe="paper_resnet", epochs=self.size.epochs, batch_size=32, learning_rate=0.05, warmup=0.1,
            precision="float32", device="cpu",
        )  # fmt: skip

    def trained(self) -> dict[str, Any]:
        """plain-20, plain-56, ResNet-20 and ResNet-56 trained on Fashion-MNIST with each seed."""

        def work(page: Path) -> Analysis:
            question = Question(depths=(20, 56), seeds=range(self.size.seeds), images=self.size.sample)
            settings = TrainSettings(data=self.fashion_data, training=self.training())
            return degradation_of(settings, question, page, Audience(progress=False))

        return self.store.analysed("degradation", "fashion", work)

    def subject(self, name: str, weights: Path, images: ImageSet) -> Subject:
        network = build(adapted(zoo.get(f"{name}_cifar"), images, print_nothing))
        start_from(read_weights(weights), network)
        return Subject(name=name, network=network.eval(), weights=weights.name, images=images, settings=self.training(),
                       split="test")  # fmt: skip

    def of_fashion(self, name: str, seed: int) -> Subject | None:
        """A trained network; None where its training diverged."""
        (row,) = (row for row in self.trained()["networks"] if row["network"] == f"{name}_cifar")
        training = row["trainings"][seed]
        if training["diverged"]:
            return None
        return replace(self.subject(name, Path(training["folder"]) / "weights.safetensors", self.fashion),
                       name=f"{name}-s{seed}")  # fmt: skip

    def of_cifar(self, name: str) -> Subject:
        return replace(self.subject(name, self.weights / PUBLISHED[name], self.cifar), name=f"{name}-published")

    def fresh(self, name: str) -> Subject:
        network = build(adapted(zoo.get(f"{name}_cifar"), self.fashion, print_nothing))
        return Subject(name=name, network=network, weights="fresh", images=self.fashion, settings=self.training())

    @property
    def has_cifar(self) -> bool:
        return self.cifar_root is not None and self.weights is not None


def print_nothing(message: str) -> None:
    pass


def normalised(images: ImageSet, pixels: np.ndarray) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (images.mean, images.std))
    return (torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255 - mean) / std


def degradation(bench: Bench) -> None:
    bench.trained()


def lesions(bench: Bench) -> None:
    if bench.has_cifar:
        for name in PUBLISHED:
            analysed(bench, "lesion", bench.of_cifar, (name,), images=bench.size.lesion_images, draws=bench.size.draws)
    for seed in range(bench.size.seeds):
        for name in ("plain20", "resnet20", "resnet56"):
            analysed(bench, "lesion", bench.of_fashion, (name, seed), images=bench.size.lesion_images, draws=1)


def paths(bench: Bench) -> None:
    options = {"images": bench.size.path_images, "draws": bench.size.paths}
    if bench.has_cifar:
        for name in PUBLISHED:
            analysed(bench, "paths", bench.of_cifar, (name,), **options)
    for seed in range(bench.size.seeds):
        analysed(bench, "paths", bench.of_fashion, ("resnet56", seed), **options)


def landscapes(bench: Bench) -> None:
    options = {"images": bench.size.landscape_images, "draws": None, "points": bench.size.points}
    for seed in range(bench.size.seeds):
        plain = bench.of_fashion("plain56", seed)
        beside = [] if plain is None else [plain]
        if analysed(bench, "landscape", bench.of_fashion, ("resnet56", seed), seed=seed, beside=beside, **options):
            checked(bench, seed)
    if bench.has_cifar:
        analysed(bench, "landscape", bench.of_cifar, ("resnet56",), **options)


def depth(bench: Bench) -> None:
    """Training steps of ResNet-110 with and without stochastic depth (linear, p_L = 0.5), in turns."""
    analysed(bench, "depth", bench.fresh, ("resnet110",), images=64, draws=bench.size.rounds)


def analysed(
    bench: Bench, kind: Kind, subject_of: Callable[..., Subject | None], arguments: Sequence[Any], *, seed: int = 0,
    **options: Any,
) -> bool:  # fmt: skip
    """The figures of an analysis into the store, its page into the folder beside; False where no network is there."""
    if (subject := subject_of(*arguments)) is None:
        return False

    def work(page: Path) -> Analysis:
        return analysis(kind, subject, seed=seed, page=page, tell=print_nothing, **options)

    bench.store.analysed(kind, subject.name, work)
    return True


def checked(bench: Bench, seed: int) -> None:
    """Some points of a seed's landscapes evaluated by torch.func alone: weights moved and images normalised here."""

    def work() -> dict[str, Any]:
        figures, train = bench.store.document["results"]["landscape"][f"resnet56-s{seed}"], bench.fashion.train
        chosen = subset(train, stratified(train.labels, bench.size.landscape_images, seed=seed)[0])
        images, labels = normalised(bench.fashion, chosen.images), torch.from_numpy(chosen.labels)
        steps, differences = Grid(points=bench.size.points).steps, []
        for row in (figures, *figures.get("beside", [])):
            network = bench.of_fashion(row["network"].partition("-")[0], seed).network
            ways, draws = directions(network, seed), np.random.default_rng(seed)
            for down, across in draws.integers(0, bench.size.points, (bench.size.checked, 2)).tolist():
                moved = {
                    key: tensor + float(steps[across]) * ways[0][key] + float(steps[down]) * ways[1][key]
                    for key, tensor in network.named_parameters()
                }
                with torch.no_grad():
                    outputs = torch.func.functional_call(network, moved, (images,))
                loss = torch.nn.functional.cross_entropy(outputs.double(), labels).item()
                if (value := row["values"][down][across]) is not None:
                    differences.append(abs(value - loss) / max(1.0, abs(loss)))
        return {"points": len(differences), "largest_difference": max(differences, default=0.0)}

    bench.store.result("checks", f"s{seed}", work)


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "degradation": degradation,
    "lesions": lesions,
    "paths": paths,
    "landscapes": landscapes,
    "depth": depth,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", metavar="DIR", help="CIFAR-10 as Parquet files")
    parser.add_argument("--weights", metavar="DIR", type=Path, help="pytorch_resnet_cifar10's published weights")
    parser.add_argument("--fashion", metavar="DIR", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--store", metavar="FILE", type=Path, default=Path("papers.json"))
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--threads", type=int, default=1, choices=(1, 2))
    parser.add_argument("--quick", action="store_true", help="everything in small, in a few minutes: a smoke test")
    parser.add_argument("--render", action="store_true", help=f"only writes the tables into {RESULTS.name}")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.render:
        rendered(json.loads(given.store.read_text()))
        return 0
    chosen = given.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(SECTIONS)}")
    torch.set_num_threads(given.threads)
    size = QUICK if given.quick else Size()
    bench = Bench(Store(given.store, size), size, given.threads, given.fashion, given.cifar, given.weights)
    for name, run in SECTIONS.items():
        if name in chosen:
            run(bench)
    print(json.dumps(bench.store.document) if given.json else text(bench.store.document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
