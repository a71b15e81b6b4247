"""What zero-cost proxies are worth, on networks that were really trained (benchmarks/tabular/*.npz).

For each proxy, and for the exact costs that need no network at all: Spearman's rank correlation with the final
validation accuracy (mean over the training seeds), what of it is left once FLOPs and parameters are known, the time a
network, and what random search gains when each trial is the best of k candidates by the proxy. A proxy is kept where,
on every table, the best of 4 gives a mean regret below plain random search's and below that of each screen by an exact
cost, with 95 % intervals that do not touch.

Scores are read from benchmarks/results/proxies.json; a table that has none there is scored (minutes), with `--score`
any that is named. `--quick` makes ten networks' scores on digits anew, compares, and repeats the searches 40 times.

    python benchmarks/proxies.py [--json] [--quick] [--score] [--tables digits fashion] [--root FOLDER_OF_FASHION_MNIST]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from proxy_scores import NAMES, Scorer, mini_batch, score
from scipy.stats import rankdata
from tabular.table import Table, spearman

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Split
from archsearch.space.choices import RandomChoices
from archsearch.space.loading import load_space

HERE = Path(__file__).parent
SAVED = HERE / "results" / "proxies.json"
TABLES = ("digits", "fashion")
SEEDS = (0, 1, 2)  # of weights and mini-batch
BATCH = 64
COSTS = ("flops", "params", "activations")
TRIALS = 50
SHOWN = (10, 25, 50)  # trials after which regret is told
CANDIDATES = (2, 4, 8)
DECIDES = 4  # chosen before anything was seen
Floats = np.ndarray


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--score", action="store_true", help="make the saved scores anew")
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST's idx files, for --score")
    parser.add_argument("--tables", nargs="*", default=TABLES, help="those to look at, where they are there")
    asked = parser.parse_args()
    tables = {name: Trained(name) for name in asked.tables if (HERE / "tabular" / f"{name}.npz").is_file()}
    if not tables:
        sys.exit("benchmarks/tabular holds none of these tables")
    saved = json.loads(SAVED.read_text()) if SAVED.is_file() else {"tables": {}}
    for name, table in tables.items():
        if asked.score or saved["tables"].get(name, {}).get("digest") != table.digest:
            saved["tables"][name] = measure(table, table.images(asked.root))
            SAVED.write_text(json.dumps(saved, separators=(",", ":")) + "\n")
    repetitions = 40 if asked.quick else 200
    figures: dict[str, Any] = {
        name: examine(table, saved["tables"][name], repetitions) for name, table in tables.items()
    }
    kept = [name for name in NAMES if all(name in figures[table]["kept"] for table in tables)]
    if not asked.quick:
        figures["proposals"] = proposals(kept or ["naswot"])
    if asked.quick and "digits" in tables:
        figures["scored_again"] = compare(tables["digits"], saved["tables"]["digits"], networks=10)
    document = {
        "name": "proxies",
        "figures": {"kept": kept, **figures},
        "target": "a proxy whose screen beats plain random search and the screens by an exact cost on every table",
        "met": bool(kept),
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("archsearch", "torch", "numpy", "scipy")},
        "n": {"repetitions": repetitions, **{name: len(table.architectures) for name, table in tables.items()}},
    }
    print(json.dumps(document, indent=1) if asked.json else lines(document))
    return 0


class Trained:
    """A table as it is used here: accuracies (networks, training seeds), exact costs, architectures."""

    def __init__(self, name: str) -> None:
        table = Table.load(name)
        self.name, self.data = name, table.space.data
        self.costs = {name: np.log(table.costs[name]) for name in COSTS}
        # Words at their defaults are left out: one that a later version adds changes no score.
        of = [*table.digests, self.data.model_dump_json(exclude={"root"}, exclude_defaults=True)]
        self.digest = hashlib.sha256("".join(of).encode()).hexdigest()[:16]
        self.accuracies = np.nan_to_num(table.validation[:, :, -1], nan=0.0)  # a diverged run is the worst
        self.mean = self.accuracies.mean(1)
        self.architectures = [Architecture.from_dict(dict(words)) for words in table.architectures]
        self.links = np.array([architecture.stages[0].block.link for architecture in self.architectures])

    def images(self, root: str) -> ImageSet:
        """The images that the networks were trained on, from `root`."""
        return load_images(self.data.model_copy(update={"root": root}))


def measure(table: Trained, images: ImageSet) -> dict[str, Any]:
    """Every proxy of every network, from SEEDS weights, to five digits; median processor milliseconds of one."""
    torch.set_num_threads(1)
    scores: dict[str, list[list[float]]] = {}
    milliseconds = {}
    for name in NAMES:
        times, scores[name] = [], []
        for seed in SEEDS:
            batch = mini_batch(images, BATCH, seed)
            scores[name].append([])
            for architecture in table.architectures:
                began = time.process_time()
                scores[name][-1].append(float(f"{score(name, architecture, *batch, seed):.5g}"))
                times.append(time.process_time() - began)
        milliseconds[name] = round(median(times) * 1e3, 2)
        print(f"{table.name}: {name}, {milliseconds[name]} ms a network", file=sys.stderr, flush=True)
    return {"digest": table.digest, "batch": BATCH, "seeds": SEEDS, "cpu_milliseconds": milliseconds,
            "machine": machine(), "torch": torch.__version__, "scores": scores}  # fmt: skip


def compare(table: Trained, saved: dict[str, Any], networks: int) -> dict[str, float]:
    """The largest relative difference of some networks' scores, made now, from the saved ones."""
    torch.set_num_threads(1)
    batch = mini_batch(table.images("data"), BATCH, SEEDS[0])
    rows = np.linspace(0, len(table.architectures) - 1, networks).astype(int)
    differences = {}
    for name in NAMES:
        now = np.array([score(name, table.architectures[row], *batch, SEEDS[0]) for row in rows])
        before = np.array(saved["scores"][name][0])[rows]
        differences[name] = float(np.abs(now / before - 1).max())
    return differences


def examine(table: Trained, saved: dict[str, Any], repetitions: int) -> dict[str, Any]:
    """All figures of one table, for proxies and costs alike; which proxies pass."""
    seen = {f"log {name}": [table.costs[name]] for name in COSTS}
    seen |= {name: [np.array(scores) for scores in saved["scores"][name]] for name in NAMES}
    figures: dict[str, Any] = {
        "networks": len(table.mean),
        "best_accuracy": round(table.mean.max(), 4),
        "median_accuracy": round(float(np.median(table.mean)), 4),
        "spearman_between_training_seeds": rounded(spearman(*table.accuracies.T[:2])),
        "random_search": searches(table, None, 1, repetitions),
    }
    figures["correlations"] = {name: correlations(table, values) for name, values in seen.items()}
    figures["cpu_milliseconds"] = saved["cpu_milliseconds"]
    figures["screens"] = {
        name: {f"best of {k}": searches(table, values[0], k, repetitions) for k in CANDIDATES}
        for name, values in seen.items()
    }
    plain = figures["random_search"]
    for screens in figures["screens"].values():
        for screen in screens.values():
            screen["worth_trials"] = worth(screen, plain)
    found = {name: ends(screens[f"best of {DECIDES}"]) for name, screens in figures["screens"].items()}
    rivals = min(found[f"log {name}"][0] for name in COSTS)
    figures["kept"] = [name for name in NAMES if found[name][1] < min(rivals, ends(plain)[0])]
    for search in [plain, *(screen for ks in figures["screens"].values() for screen in ks.values())]:
        del search["curve"]
    return figures


def correlations(table: Trained, values: list[Floats]) -> dict[str, Any]:
    """Each is a mean over the scores from several weights; the interval is of that mean, over networks."""
    everyone = np.ones(len(table.mean), bool)
    good = table.mean > np.median(table.mean)
    quarters = np.digitize(table.costs["flops"], np.quantile(table.costs["flops"], [0.25, 0.5, 0.75]))
    draws = np.random.default_rng(0)
    resampled = [draws.integers(len(table.mean), size=len(table.mean)) for _ in range(500)]

    def ranked(rows: np.ndarray) -> float:
        return float(np.mean([spearman(x[rows], table.mean[rows]) for x in values]))

    def left(rows: np.ndarray) -> float:
        controls = [table.costs[name][rows] for name in ("flops", "params")]
        return rounded(np.mean([partial(x[rows], table.mean[rows], controls) for x in values]))

    return {
        "spearman": rounded(ranked(everyone)),
        "interval": [rounded(x) for x in np.quantile([ranked(rows) for rows in resampled], [0.025, 0.975])],
        "top_half": rounded(ranked(good)),
        "given_flops_and_params": left(everyone),
        "top_half_given_flops_and_params": left(good),
        "within_quarters_of_flops": [rounded(ranked(quarters == quarter)) for quarter in range(4)],
        "within_links": {str(link): rounded(ranked(table.links == link)) for link in np.unique(table.links)},
        "between_weights": rounded(spearman(values[0], values[-1])) if len(values) > 1 else None,
    }


def partial(a: Floats, b: Floats, controls: list[Floats]) -> float:
    """Correlation of what is left of both ranks after a quadratic fit to the controls' ranks (their product too)."""
    x, y = (rankdata(control) / len(a) for control in controls)
    known = np.stack([np.ones(len(a)), x, y, x * x, y * y, x * y], axis=1)
    left = [ranks - known @ np.linalg.lstsq(known, ranks, rcond=None)[0] for ranks in (rankdata(a), rankdata(b))]
    if min(np.abs(part).max() for part in left) < 1e-6:  # a control itself
        return 0.0
    return float(np.corrcoef(*left)[0, 1])


def searches(table: Trained, values: Floats | None, k: int, repetitions: int) -> dict[str, Any]:
    """Random search in which each trial is the best of k unused candidates by `values`. A trial's result is that of
    one training seed; regret is the table's best mean accuracy less the mean accuracy of the trial that seems best."""
    regrets = np.empty((repetitions, TRIALS))
    for repetition in range(repetitions):
        draws = np.random.default_rng((repetition, k))
        unused = draws.permutation(len(table.mean))
        picks = np.empty(TRIALS, int)
        for trial in range(TRIALS):
            places = draws.choice(len(unused), size=min(k, len(unused)), replace=False)
            place = places[0] if values is None else places[values[unused[places]].argmax()]
            picks[trial] = unused[place]
            unused = np.delete(unused, place)
        seen = table.accuracies[picks, draws.integers(table.accuracies.shape[1], size=TRIALS)]
        incumbents = [int(seen[: trial + 1].argmax()) for trial in range(TRIALS)]
        regrets[repetition] = table.mean.max() - table.mean[picks[incumbents]]
    means, errors = regrets.mean(0), 1.96 * regrets.std(0, ddof=1) / np.sqrt(repetitions)
    shown = {str(trials): [round(float(means[trials - 1]), 5), round(float(errors[trials - 1]), 5)] for trials in SHOWN}
    return {"regret": shown, "curve": means}


def ends(search: dict[str, Any]) -> tuple[float, float]:
    """The 95 % interval of the mean regret after all trials: its lower and its upper end."""
    mean, error = search["regret"][str(TRIALS)]
    return mean - error, mean + error


def worth(screen: dict[str, Any], plain: dict[str, Any]) -> int | None:
    """After how many trials the screened search is where the plain one is after all of its own; None: never."""
    reached = np.flatnonzero(screen["curve"] <= plain["curve"][-1])
    return int(reached[0]) + 1 if len(reached) else None


def proposals(names: list[str]) -> dict[str, Any]:
    """Milliseconds of one choice among four, median of eight, on shipped spaces with images of noise (what is seen
    costs no time), and the seconds and MiB that the first choice costs a driver that had no torch."""
    code = "import resource, time; t = time.monotonic(); import proxy_scores; " \
           "print(time.monotonic() - t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"  # fmt: skip
    first = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           cwd=HERE).stdout.split()  # fmt: skip
    figures: dict[str, Any] = {"import_seconds": rounded(first[0]), "process_mebibytes": rounded(first[1])}
    for file in ("digits", "resnet_fashion", "resnet_cifar"):
        space = load_space(HERE.parent / "search_spaces" / f"{file}.yaml")
        choices = RandomChoices(random.Random(0))
        drawn = (space.architecture(choices) for _ in range(100_000))
        networks = list(islice((network for network in drawn if space.budget.admits(cost(network))), 32))
        for name in names:
            scorer = Scorer(name, noise(space.input, space.classes), seed=0)
            times = []
            for start in range(0, 32, 4):
                wall, processor = time.perf_counter(), time.process_time()
                max(networks[start : start + 4], key=scorer)
                times.append((time.perf_counter() - wall, time.process_time() - processor))
            wall, processor = (median(column) * 1e3 for column in zip(*times, strict=True))
            figures[f"{file}, {name}"] = {"milliseconds": rounded(wall), "cpu_milliseconds": rounded(processor)}
    return figures


def noise(shape: tuple[int, int, int], classes: int) -> ImageSet:
    draws = np.random.default_rng(0)
    images = draws.integers(256, size=(256, *shape), dtype=np.uint8)
    split = Split(images=images, labels=draws.integers(classes, size=256))
    names = tuple(str(label) for label in range(classes))
    return ImageSet.of(name="noise", classes=names, train=split, validation=split, test=split)


def rounded(value: Any) -> float:
    return round(float(value), 3)


def machine() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    named = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return f"one thread of {os.cpu_count()} cores, {named[0] if named else platform.machine()}"


def lines(document: dict[str, Any]) -> str:
    text = []
    for name in (table for table in TABLES if table in document["figures"]):
        table = document["figures"][name]
        text.append(f"{name}: {table['networks']} networks; regret after {TRIALS} trials, with 95 % intervals")
        text.append(f"  random search: {told(table['random_search'])}")
        for proxy, row in table["correlations"].items():
            screens = ", ".join(told(screen) for screen in table["screens"][proxy].values())
            known = f"{row['spearman']:6.3f} {row['top_half']:6.3f} {row['given_flops_and_params']:6.3f}"
            text.append(f"  {proxy:15} Spearman all, top half, given costs: {known}; best of {CANDIDATES}: {screens}")
    kept = ", ".join(document["figures"]["kept"]) or "none"
    return "\n".join([*text, f"target: {document['target']}: {kept}; {document['machine']}"])


def told(search: dict[str, Any]) -> str:
    mean, error = search["regret"][str(TRIALS)]
    return f"{mean:.4f} +- {error:.4f}"


if __name__ == "__main__":
    sys.exit(main())
