"""What a trained ResNet-20 or -56 loses where its multiply-adds are cut, with `archsearch shrink`.

Claim (the case of FastNAS, ModelOpt's notebook: ResNet-20 from 40.6 to 29.6 MMACs, 90.97 to 90.28 % after 120 epochs):
at most 0.3 points are lost after 30 epochs. The published weights (akamaster/pytorch_resnet_cifar10) are first trained
for `--parent-epochs` on the very images, CIFAR-10 as JPEG, whose detail is not that of the originals: else a slice
would be compared with a network that has not seen such images. Of the training images `--limit` are taken, so figures
are comparable with each other and with nothing published. `--scratch` also trains the slices' architectures from
nothing, for as many epochs. With as many finalists as candidates every slice is trained: then the rank correlations
say what the ranking without training is worth.

    python benchmarks/shrink.py --data DIR --weights FILE.th [--network resnet20] [--limit 10000] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quickstart import machine

import archsearch
from archsearch import zoo
from archsearch.analysis.ranking import spearman
from archsearch.api.shrinking import FINE_TUNING

PARENT_RATE = 0.02  # of the published weights' fine-tuning on these images
LIMITS = {"resnet20": 29_600_000, "resnet56": 62_750_000}  # multiply-adds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR", help="CIFAR-10 as JPEG: train.parquet, test.parquet")
    parser.add_argument("--weights", required=True, metavar="FILE", help="of pytorch_resnet_cifar10")
    parser.add_argument("--network", choices=LIMITS, default="resnet20")
    parser.add_argument("--limit", type=int, default=10_000, help="training images")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--parent-epochs", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--finalists", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rate", type=float, default=FINE_TUNING["learning_rate"], help="of the slices' training")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--output", default="shrink-results", metavar="DIR", help="an interrupted run goes on there")
    parser.add_argument("--quick", action="store_true", help="1,000 images, one epoch: whether it runs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.quick:
        given.limit, given.epochs, given.parent_epochs, given.candidates, given.finalists = 1000, 1, 1, 4, 1
    document = measured(given)
    if given.json:
        print(json.dumps(document, indent=1))
        return 0
    print(f"{document['machine']}, torch {document['torch']}; {given.limit:,} training images, {given.epochs} epochs\n")
    print("| network | MMACs | seed | untrained, validation | validation | test |\n|---|---|---|---|---|---|")
    for row in document["rows"]:
        cells = (row["network"], f"{row['macs'] / 1e6:.1f}", row["seed"], *map(percent, row["accuracies"]))
        print(f"| {' | '.join(map(str, cells))} |")
    for seed, found in enumerate(document["rank_correlations"]):
        print(f"\nSeed {seed}, {found['networks']} slices: rank correlation with the final accuracy", end=" ")
        print(f"{spelled(found['untrained'])} of the accuracy without training, {spelled(found['macs'])} of the MACs")
    return 0


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Rows of networks with their accuracies, and what they were measured on."""
    name, output = f"{given.network}_cifar", Path(given.output)
    data = {"name": "huggingface", "root": given.data, "size": 32, "limit": given.limit}
    settings = {"crop_padding": 4, "flip": True}
    rows, correlations = [], []
    macs, flops = (getattr(archsearch.cost(zoo.get(name)), kind) for kind in ("macs", "flops"))
    for seed in range(given.seeds):
        folder = output / f"parent-s{seed}"
        fine_tuned = {
            "epochs": given.parent_epochs,
            "training": {**settings, **rest_of(FINE_TUNING), "learning_rate": PARENT_RATE},
        }
        parent = trained(name, folder, data=data, weights=given.weights, seed=seed, **fine_tuned)
        rows.append({"network": name, "macs": macs, "seed": seed, "accuracies": [None, *accuracies(parent.result)]})
        shrunk = archsearch.shrink(
            folder / "model.yaml", weights=folder / "weights.safetensors", data=data, seed=seed,
            flops=LIMITS[given.network] + int((flops - macs) * LIMITS[given.network] / macs),
            candidates=given.candidates, finalists=given.finalists, folder=output / f"shrunk-s{seed}",
            training={**settings, "epochs": given.epochs, "learning_rate": given.rate},
        )  # fmt: skip
        correlations.append(correlated(shrunk.document["trained"]))
        for entry in sorted(shrunk.document["trained"], key=lambda entry: -entry["flops"]):
            found = [entry["untrained"], *accuracies(entry)]
            rows.append(
                {"network": f"slice {entry['digest']}", "macs": entry["macs"], "seed": seed, "accuracies": found}
            )
            if given.scratch:
                alone = trained(
                    Path(entry["folder"]) / "model.yaml", output / f"scratch-{entry['digest']}-s{seed}", data=data,
                    seed=seed, epochs=given.epochs, training=settings,
                )  # fmt: skip
                label = f"{entry['digest']} from nothing"
                found = [None, *accuracies(alone.result)]
                rows.append({"network": label, "macs": entry["macs"], "seed": seed, "accuracies": found})
    return {"machine": machine(), "torch": version("torch"), "rows": rows, "rank_correlations": correlations}


def correlated(slices: list[dict[str, Any]]) -> dict[str, Any]:
    """How well the accuracy without training foretells the order after it, and how well the costs alone do."""
    final = [entry["value"] for entry in slices]
    values = {name: spearman([entry[name] for entry in slices], final) for name in ("untrained", "macs")}
    return {"networks": len(slices), **values}


def trained(network: Any, folder: Path, **keywords: Any) -> archsearch.Trained:
    """What `archsearch.train` leaves in the folder, trained once."""
    result = folder / "result.json"
    if result.exists():
        return archsearch.Trained(folder, json.loads(result.read_text()))
    return archsearch.train(network, folder=folder, **keywords)


def rest_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings but for the number of epochs."""
    return {name: value for name, value in settings.items() if name != "epochs"}


def accuracies(result: dict[str, Any]) -> list[float | None]:
    """On validation, and on the test split where that was evaluated."""
    return [result[split] and result[split]["accuracy"] for split in ("validation", "test")]


def spelled(correlation: float | None) -> str:
    """A rank correlation; of one network there is none."""
    return "-" if correlation is None else f"{correlation:.2f}"


def percent(share: float | None) -> str:
    """A share as a percentage."""
    return "-" if share is None else f"{100 * share:.2f}"


if __name__ == "__main__":
    sys.exit(main())
