"""How fast each sampler finds good networks, on tables of real trainings (benchmarks/tabular).

Claim: `auto` reaches in 50 trials or fewer the mean regret that random search reaches in 200, on every table.

Each sampler searches each table `--runs` times. Regret: the best network's mean validation accuracy over the
training seeds, less that of the network that the search would hand over. Two measures: after each trial, all
trained in full; and after each epoch spent, with the rungs of search/deciding/rungs.py. Syne Tune's searchers stand
beside where it is installed (the slowest take minutes a run: `--sampler`, `--runs`); the document says what is not.

    python benchmarks/regret.py [--json] [--quick] [--runs N] [--table FILE]... [--sampler NAME]... [--plot FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regret_others
from quickstart import machine
from regret_runs import Ground, LargestFirst, by_epochs, by_trials, plain_optuna
from tabular.table import Table

from archsearch.search.proposing.samplers import NAMES, sampler_of

TABLES = Path(__file__).parent / "tabular"
TRIALS, EPOCHS = 200, 600  # 600 epochs train 66 networks of 9 epochs in full
TARGET = 50
SHOWN_TRIALS = (10, 25, 50, 75, 100, 150, 200)
SHOWN_EPOCHS = (45, 90, 180, 300, 450, 600)
PLAIN = "optuna TPE, plain"
LARGEST = "largest first"
Runs = dict[str, np.ndarray]  # a sampler's name -> (runs, steps) regrets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="3 runs of random, auto and tpe")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--table", type=Path, action="append", help="default: every table of benchmarks/tabular")
    parser.add_argument("--sampler", action="append", help=f"of {', '.join([*NAMES, PLAIN, LARGEST])}; default: all")
    parser.add_argument("--plot", type=Path, help="write regret-TABLE.png into this folder")
    asked = parser.parse_args()
    files = asked.table or [file for file in sorted(TABLES.glob("*.npz")) if "one-schedule" not in file.stem]
    distinct = [
        name for name in NAMES if name == "auto" or sampler_of(name, objectives=1) != sampler_of("auto", objectives=1)
    ]
    names = asked.sampler or (
        ["random", "auto", "tpe"] if asked.quick else [*distinct, LARGEST, PLAIN, *regret_others.installed()]
    )
    runs = 3 if asked.quick else asked.runs
    figures, versions = {}, {name: importlib.metadata.version(name) for name in ("archsearch", "numpy", "optuna")}
    for file in files:
        ground = Ground.of(Table.load(file))
        trials = measured("trials", ground, names, runs, TRIALS)
        epochs = measured("epochs", ground, [name for name in names if name in (*NAMES, LARGEST)], runs, EPOCHS)
        figures[ground.name] = {
            "networks": len(ground.table),
            "best": round(float(ground.truth.max()), 4),
            "trials": summary(trials, SHOWN_TRIALS),
            "epochs": summary(epochs, SHOWN_EPOCHS),
        }
        if asked.plot:
            plot(ground, trials, epochs, asked.plot / f"regret-{ground.name}.png")
    reached = [found["trials"]["auto"]["as_random"] for found in figures.values() if "auto" in found["trials"]]
    document = {
        "name": "regret",
        "figures": figures
        | {"auto": repr(sampler_of("auto", objectives=1))}
        | {"not_installed": regret_others.missing()},
        "target": f"auto reaches random search's mean regret at {TRIALS} trials in {TARGET} or fewer, on every table",
        "met": bool(reached) and all(count is not None and count <= TARGET for count in reached),
        "machine": machine(),
        "versions": versions,
        "n": runs,
    }
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def measured(kind: str, ground: Ground, names: Sequence[str], runs: int, steps: int) -> Runs:
    found = {}
    for name in names:
        began = time.process_time()
        found[name] = np.array([run_of(kind, name)(ground, seed, steps) for seed in range(runs)])
        seconds = time.process_time() - began
        print(f"{ground.name}, by {kind}, {name}: {seconds:.0f} s of processor time", file=sys.stderr, flush=True)
    return found


def run_of(kind: str, name: str) -> Callable[[Ground, int, int], np.ndarray]:
    """One search; a sampler of its own for each, so that nothing is carried from one to the next."""
    if name == PLAIN:
        return plain_optuna
    if name in regret_others.SYNE_TUNE:
        return lambda ground, seed, steps: regret_others.syne_tune(name, ground, seed, steps)
    sampler = LargestFirst() if name == LARGEST else sampler_of(name, objectives=1)
    search = by_trials if kind == "trials" else by_epochs
    return lambda ground, seed, steps: search(ground, sampler, seed, steps)


def summary(found: Runs, shown: Sequence[int]) -> dict[str, Any]:
    """Mean regrets in percentage points with normal 95 % intervals; the step that first is as good as random's last."""
    goal = found["random"][:, -1].mean() if "random" in found else -np.inf
    result: dict[str, Any] = {}
    for name, regrets in found.items():
        mean = 100 * regrets.mean(axis=0)
        half = 100 * 1.96 * regrets.std(axis=0, ddof=1) / np.sqrt(len(regrets))
        steps = [step for step in shown if step <= regrets.shape[1]]
        there = np.nonzero(regrets.mean(axis=0) <= goal)[0]
        result[name] = {
            "regret": {step: [round(mean[step - 1], 3), round(half[step - 1], 3)] for step in steps},
            "as_random": int(there[0]) + 1 if len(there) else None,
        }
    return result


def plot(ground: Ground, trials: Runs, epochs: Runs, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(13, 5), sharey=True)
    colours = {name: f"C{index}" for index, name in enumerate(trials)}
    for axis, found, what in (
        (axes[0], trials, "trials, each trained in full"),
        (axes[1], epochs, "epochs spent, with rungs"),
    ):
        for name, regrets in found.items():
            steps = np.arange(1, regrets.shape[1] + 1)
            mean, half = regrets.mean(axis=0), 1.96 * regrets.std(axis=0) / np.sqrt(len(regrets))
            axis.plot(steps, 100 * mean, label=name, color=colours[name], linewidth=2.2 if name == "auto" else 1.2)
            axis.fill_between(steps, 100 * (mean - half), 100 * (mean + half), color=colours[name], alpha=0.15, lw=0)
        axis.set(xlabel=what, yscale="log", ylim=(None, 10))
        axis.grid(alpha=0.3)
    runs = len(next(iter(trials.values())))
    axes[0].set_ylabel("mean regret, percentage points of validation accuracy")
    axes[0].set_title(f"{ground.name}: {len(ground.table)} networks, {runs} runs, 95 % intervals", loc="left")
    axes[0].legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, bbox_inches="tight")


def lines(document: dict[str, Any]) -> str:
    text = []
    for table, found in document["figures"].items():
        if table in ("auto", "not_installed"):
            text.append(f"{table.replace('_', ' ')}: {found}")
            continue
        for kind in ("trials", "epochs"):
            text.append(f"{table}: mean regret in points by {kind}, {document['n']} runs")
            for name, own in found[kind].items():
                shown = "  ".join(f"{step}: {mean:.2f}±{half:.2f}" for step, (mean, half) in own["regret"].items())
                text.append(f"  {name:18} {shown}  as random's last at {own['as_random']}")
    text.append(f"target: {document['target']}: {'met' if document['met'] else 'missed'}; {document['machine']}")
    return "\n".join(text)


if __name__ == "__main__":
    sys.exit(main())
