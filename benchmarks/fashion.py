"""The headline: Fashion-MNIST, found and trained within 30 minutes of wall time by search_spaces/resnet_fashion.yaml.

Claim, on two CPU cores: a test accuracy, looked at once, above Google AutoML Vision's 93.9 % (24 compute hours, from
the data set's README). `--experiment FOLDER` tells of a run that was made before instead of making one. `--export`
writes what MLflow holds of it as CSV, `--plot` the curves.

    python benchmarks/fashion.py --root FOLDER [--seed N] [--json] [--plot FILE.png] [--export FILE.csv]
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.summary import summarise

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine

SPACE = Path(__file__).parent.parent / "search_spaces" / "resnet_fashion.yaml"
TARGET = 0.939


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one minute on 3,000 images: shows that it runs, no more")
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST's idx files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experiment", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--export", type=Path)
    parser.add_argument("--tracking-uri", help="of an experiment that was made before")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, seconds = (asked.experiment, None) if asked.experiment else run(asked, Path(place))
        document = told(ExperimentFolder(folder), seconds)
        if asked.plot:
            draw(ExperimentFolder(folder), asked.plot)
        if asked.export:
            uri = asked.tracking_uri or f"sqlite:///{folder.absolute().parent / 'mlruns' / 'mlflow.db'}"
            export(folder, asked.export, uri)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def run(asked: argparse.Namespace, place: Path) -> tuple[Path, float]:
    """The folder of a search that was just made, and the whole command's wall time."""
    words = ["--set", f"data.root={Path(asked.root).absolute()}", "--set", f"search.seed={asked.seed}"]
    words += ["--set", "data.limit=3000", "--set", "search.wall_time=1m"] if asked.quick else []
    command = [sys.executable, "-m", "archsearch", "run", str(SPACE.resolve()), "--output", str(place / "fashion")]
    start = time.monotonic()
    subprocess.run([*command, *words, "--json"], cwd=place, stdout=subprocess.DEVNULL, check=True)
    return place / "fashion", time.monotonic() - start


def told(folder: ExperimentFolder, seconds: float | None) -> dict[str, Any]:
    found = summarise(folder)
    best = found["best"]
    with Ledger.read(folder.ledger) as ledger:
        finished = [
            {
                "trial": trial.id,
                "validation_accuracy": trial.value,
                "epochs": trial.epochs,
                "params": trial.cost["params"],
                "flops": trial.cost["flops"],
                "seconds": round(sum(epoch.metrics["seconds"] or 0.0 for epoch in ledger.epochs(trial.number))),
            }
            for trial in ledger.trials(TrialState.FINISHED)
        ]
        precision = [event.data for event in ledger.events_of("precision")]
    return {
        "name": "fashion",
        "figures": {
            "test_accuracy": best["test_accuracy"],
            "validation_accuracy": best["value"],
            "params": best["params"],
            "flops": best["flops"],
            "trials": found["trials"],
            "finished": finished,
            "search_seconds": found["seconds"],
            "command_seconds": None if seconds is None else round(seconds),
            "precision": precision,
            "architecture": best["architecture"],
        },
        "target": "a test accuracy above 93.9 % within 30 minutes on two CPU cores",
        "met": best["test_accuracy"] > TARGET and found["seconds"] <= 1800,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("archsearch", "torch", "ray", "optuna")},
        "n": 1,
    }


def draw(folder: ExperimentFolder, file: Path) -> None:
    """Validation accuracy by the search's time: a line a trial, those that went to the end in colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    with Ledger.read(folder.ledger) as ledger:
        began = ledger.events_of("began")[0].time
        for trial in ledger.trials():
            epochs = ledger.events_of("epoch", trial=trial.number)
            minutes = [(event.time - began) / 60 for event in epochs]
            scores = [100 * event.data["metrics"]["validation_accuracy"] for event in epochs]
            final = trial.state is TrialState.FINISHED
            label = f"{trial.id}: {trial.cost['params'] / 1e3:.0f} k, {trial.cost['flops'] / 1e6:.0f} MFLOPs"
            style = {"label": label, "linewidth": 1.8} if final else {"color": "0.7", "linewidth": 1.0}
            axes.plot(minutes, scores, marker=".", **style)
    axes.axhline(100 * TARGET, color="black", linestyle=":", linewidth=1)
    words = "93.9 %: Google AutoML Vision, 24 compute hours"
    axes.text(0.02, 100 * TARGET + 0.15, words, fontsize=9, transform=axes.get_yaxis_transform())
    axes.set(xlabel="minutes since the start", ylabel="validation accuracy, %", ylim=(84, 95.5))
    axes.set_title("resnet_fashion.yaml: a search of 30 minutes on two cores")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)


def export(folder: Path, file: Path, tracking_uri: str) -> None:
    """What MLflow holds of the experiment's trials, one row each, as its own search gives it."""
    import mlflow

    from archsearch.tracking.store import EXPERIMENT_TAG

    with Ledger.read(ExperimentFolder(folder).ledger) as ledger:
        search = ledger.id
    mlflow.set_tracking_uri(tracking_uri)
    runs = mlflow.search_runs(
        search_all_experiments=True, filter_string=f"tags.`{EXPERIMENT_TAG}` = '{search}'", output_format="list"
    )
    rows = [
        {"run": run.info.run_name, "status": run.info.status, **run.data.params, **run.data.metrics} for run in runs
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["run"]))


def lines(document: dict[str, Any]) -> str:
    found = document["figures"]
    text = [f"test {100 * found['test_accuracy']:.2f} %, validation {100 * found['validation_accuracy']:.2f} %, "
            f"{found['params']:,} parameters, {found['flops'] / 1e6:.1f} MFLOPs, {found['search_seconds']:.0f} s; "
            f"{document['machine']}"]  # fmt: skip
    text += [f"  {row}" for row in found["finished"]]
    return "\n".join(text)


if __name__ == "__main__":
    raise SystemExit(main())
