"""How trials share a CPU's cores: as many one-thread trials as there are cores, against one trial on all of them.

Both train the networks of benchmarks/training.py with our trainer, in turns, in processes of their own; the figure is
the machine's images a second. `resources.cpus_per_trial` is 1 by default because of it. The sum of the trials' threads
is the machine's cores either way; `--over` shows what more threads than cores cost.

    python benchmarks/packing.py [--json] [--quick] [--repeats N] [--over] [--root FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine
from training import jobs_of, spread, together


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--over", action="store_true", help="as many trials as cores, each with as many threads")
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST's idx files")
    asked = parser.parse_args()
    document = measure(asked)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    cores, repeats = len(os.sched_getaffinity(0)), 2 if asked.quick else asked.repeats
    ways = {f"{cores} x 1 thread": (cores, 1), f"1 x {cores} threads": (1, cores)}
    if asked.over:
        ways[f"{cores} x {cores} threads"] = (cores, cores)
    figures: dict[str, Any] = {}
    for name, job in jobs_of(asked.root, quick=asked.quick).items():
        found: dict[str, list[float]] = {way: [] for way in ways}
        for repeat in range(repeats):
            for way, (count, threads) in ways.items():
                word = {**job, "job": name, "net": repeat % job["nets"], "way": "ours", "cores": cores}
                runs = together([{**word, "threads": threads, "seed": seed} for seed in range(count)])
                found[way].append(sum(run["images_per_second"] for run in runs))
        figures[name] = {way: spread(rates, 0) for way, rates in found.items()}
    first, second = list(ways)[:2]
    return {
        "name": "packing",
        "figures": figures,
        "target": "the default, one thread a trial, is the faster one",
        "met": all(figure[first]["median"] >= figure[second]["median"] for figure in figures.values()),
        "machine": machine(),
        "versions": {"torch": importlib.metadata.version("torch")},
        "n": repeats,
    }


def lines(document: dict[str, Any]) -> str:
    text = [f"images a second, n = {document['n']}; {document['machine']}"]
    for name, found in document["figures"].items():
        text.append(f"  {name}: " + ", ".join(f"{way} {rates['median']:,.0f}" for way, rates in found.items()))
    return "\n".join(text)


if __name__ == "__main__":
    raise SystemExit(main())
