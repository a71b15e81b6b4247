"""What it costs to count a candidate, against the ways that users have: fvcore, FlopCounterMode on meta, building.

Claims: 1,000,000 candidates a second or more over arrays, 10 microseconds or less one at a time, on one core, and the
counts equal fvcore's on the built module. All ways count the same random networks, in turns, in one process with one
thread. `--quick` takes fewer networks and rounds.

    python benchmarks/counting.py [--json] [--quick] [--space SPACE.yaml] [--plot FILE.png]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.space.choices import RecordedChoices
from archsearch.space.loading import load_space
from archsearch.space.many.counting import Counter
from archsearch.space.many.grid import Grid
from archsearch.space.space import SearchSpace

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine

SPACES = Path(__file__).parent.parent / "search_spaces"
PER_SECOND, MICROSECONDS = 1_000_000, 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--space", type=Path, default=SPACES / "resnet_cifar.yaml")
    parser.add_argument("--plot", type=Path, help="a bar chart of the medians")
    asked = parser.parse_args()
    document = measure(load_space(asked.space), asked.space.name, quick=asked.quick)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    if asked.plot:
        draw(document, asked.plot)
    return 0


def measure(space: SearchSpace, name: str, *, quick: bool) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    many, rounds, networks = (200_000, 3, 3) if quick else (1_000_000, 7, 12)
    rng = np.random.default_rng(0)
    grid = Grid(space.parameters)
    counter = Counter(grid, image=space.input, classes=space.classes)
    rows = grid.draw(many, rng)
    began = time.perf_counter()
    counter.count(rows)
    first = time.perf_counter() - began
    few = [tuple(row) for row in rows[:2000].tolist()]
    chosen = [space.architecture(RecordedChoices(grid.choices(row))) for row in rows[:networks]]
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "many at once": (lambda: counter.count(rows), many),
        "one at a time": (lambda: [counter.one(row) for row in few], len(few)),
        "cost(architecture)": (lambda: [cost(network) for network in chosen], networks),
        "fvcore, CPU": (lambda: [by_fvcore(network) for network in chosen], networks),
        "FlopCounterMode, meta": (lambda: [by_flop_counter(network) for network in chosen], networks),
        "building the module": (lambda: [built(network) for network in chosen], networks),
    }
    for way, (run, _) in ways.items():  # what is remembered, imported or planned once
        run() if way != "many at once" else None
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (run, count) in ways.items():
            began = time.perf_counter()
            run()
            seconds[way].append((time.perf_counter() - began) / count)
    equal = sum(by_fvcore(network) == cost(network).flops for network in chosen)
    micro = {way: spread(values) for way, values in seconds.items()}
    per_second = 1e6 / micro["many at once"]["median_us"]
    figures = {
        "space": name,
        "microseconds": micro,
        "candidates_per_second": round(per_second),
        "first_pass_seconds": round(first, 2),
        "flops_equal_to_fvcore": f"{equal} of {networks}",
    }
    return {
        "name": "counting",
        "figures": figures,
        "target": f"{PER_SECOND:,} candidates a second or more; {MICROSECONDS:g} microseconds or less one at a time",
        "met": per_second >= PER_SECOND and micro["one at a time"]["median_us"] <= MICROSECONDS and equal == networks,
        "machine": machine(),
        "versions": {p: importlib.metadata.version(p) for p in ("archsearch", "numpy", "torch", "fvcore")},
        "n": rounds,
    }


def by_fvcore(network: Architecture) -> int:
    from archsearch.network.oracle import counted_by_fvcore

    return counted_by_fvcore(network).flops


def by_flop_counter(network: Architecture) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from archsearch.network.build import skeleton

    module = skeleton(network).eval()
    counted = FlopCounterMode(display=False)
    with counted, torch.no_grad():
        module(torch.empty(1, *network.input, device="meta"))
    return counted.get_total_flops()


def built(network: Architecture) -> Any:
    from archsearch.network import build

    return build(network)


def spread(seconds: list[float]) -> dict[str, float]:
    """Microseconds a candidate."""
    micro = [1e6 * value for value in seconds]
    return {"median_us": sig(statistics.median(micro)), "min_us": sig(min(micro)), "max_us": sig(max(micro))}


def sig(value: float) -> float:
    return float(f"{value:.3g}")


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    found = [f"{figures['space']}: {figures['candidates_per_second']:,} candidates a second over arrays "
             f"(first pass over all of them {figures['first_pass_seconds']} s)"]  # fmt: skip
    for way, micro in figures["microseconds"].items():
        found.append(f"  {way:<24}{micro['median_us']:>12,.6g} us  ({micro['min_us']:,.6g} to {micro['max_us']:,.6g})")
    found.append(f"FLOPs equal to fvcore's: {figures['flops_equal_to_fvcore']}")
    return "\n".join([*found, f"target: {document['target']}; {'met' if document['met'] else 'missed'}"])


def draw(document: dict[str, Any], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    micro = document["figures"]["microseconds"]
    names, values = list(micro), [micro[name]["median_us"] for name in micro]
    figure, axes = pyplot.subplots(figsize=(7.5, 3.2))
    colours = ["#1f5fa8" if n.split()[0] in ("many", "one", "cost(architecture)") else "#b0b0b0" for n in names]
    bars = axes.barh(names[::-1], values[::-1], color=colours[::-1])
    axes.bar_label(bars, [f"{value:,.3g} us" for value in values[::-1]], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(right=max(values) * 12)
    axes.set_xlabel("microseconds a network (median, log scale)")
    axes.set_title(f"Counting a network of {document['figures']['space']}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=130)


if __name__ == "__main__":
    raise SystemExit(main())
