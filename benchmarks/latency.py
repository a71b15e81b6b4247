"""How steady a measured latency is, and how well a model fitted to a few measurements foretells others.

Networks are sampled within the budget of search_spaces/resnet_cifar.yaml and measured one after another, batch 1. The
first 20 are measured again once all others are done, minutes later: the ratio of the two medians is the noise of a
measurement. Models are fitted to 10, 20 and 40 of the networks, ten random choices each, and judged on all others.

    python benchmarks/latency.py [--json] [--quick] [--networks N] [--threads N] [--device cpu|cuda] [--seconds S]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from archsearch import cost, load_space
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Shape, layers
from archsearch.architecture.ops import Conv, Linear
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.space.choices import RandomChoices
from archsearch.training.measuring.latency import Latency, measure
from archsearch.training.measuring.line import LatencyModel

SPACE = Path(__file__).parent.parent / "search_spaces" / "resnet_cifar.yaml"
COUNTS = {
    "macs alone": ("macs",),
    "macs, activations, params": ("macs", "activations", "params"),
    "macs, activations, params, kept": ("macs", "activations", "params", "kept"),
    "macs, activations, params, layers": ("macs", "activations", "params", "layers"),
}
FITS, NOISE, ERROR = (10, 20, 40), 0.10, 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=2.0)
    asked = parser.parse_args()
    count, seconds, twice = (14, 0.5, 5) if asked.quick else (asked.networks, asked.seconds, 20)
    networks = sampled(count, seed=3)

    def timed(network: Architecture) -> Latency:
        return measure(network, device=asked.device, threads=asked.threads, seconds=seconds)

    first = [timed(network) for network in networks]
    second = [timed(network) for network in networks[:twice]]
    ratios = [
        max(a.median_ms / b.median_ms, b.median_ms / a.median_ms) - 1 for a, b in zip(first, second, strict=False)
    ]
    medians = np.array([latency.median_ms for latency in first])
    noise, models = statistics.median(ratios), judged(networks, medians)
    last = models[-1]["macs, activations, params"]["median_error"]
    document = {
        "name": "latency",
        "figures": {
            "device": first[0].device_name,
            "dtype": first[0].dtype,
            "batch": first[0].batch,
            "threads": first[0].threads,
            "clock": first[0].clock,
            "warmup": first[0].warmup,
            "milliseconds": {"least": rounded(medians.min()), "most": rounded(medians.max())},
            "repeats": {"median": int(np.median([latency.repeats for latency in first]))},
            "measured_twice": {"n": len(ratios), "median": rounded(noise), "worst": rounded(max(ratios))},
            "spread": rounded(statistics.median(latency.spread for latency in first)),
            "noisy": sum(latency.noisy for latency in first),
            "models": models,
        },
        "target": f"median: measured twice, at most {NOISE:.0%} apart; the last model at most {ERROR:.0%} off",
        "met": noise <= NOISE and last <= ERROR,
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": importlib.metadata.version("torch")},
        "n": len(networks),
    }  # fmt: skip
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def sampled(count: int, *, seed: int) -> list[Architecture]:
    """Distinct random networks within the budget."""
    space, choices, found = load_space(SPACE), RandomChoices(random.Random(seed)), {}
    while len(found) < count:
        network = space.architecture(choices)
        if space.budget.admits(cost(network)):
            found.setdefault(digest(network), network)
    return list(found.values())


def counts(networks: list[Architecture]) -> dict[str, np.ndarray]:
    """(n,) each."""
    found = [cost(network) for network in networks]
    columns = {name: np.array([getattr(c, name) for c in found]) for name in ("macs", "activations", "params", "kept")}
    depths = [sum(isinstance(layer.op, Conv | Linear) for layer in layers(plan(n), Shape(*n.input))) for n in networks]
    return {**columns, "layers": np.array(depths)}


def judged(networks: list[Architecture], medians: np.ndarray, times: int = 10) -> list[dict[str, Any]]:
    """For each number of measurements, each choice of counts: the errors on networks that were not fitted."""
    columns, rng, found = counts(networks), np.random.default_rng(0), []
    for fitted in [number for number in FITS if number < len(networks) - 3]:
        row: dict[str, Any] = {"measurements": fitted}
        chosen = [rng.permutation(len(networks)) for _ in range(times)]
        for label, names in COUNTS.items():
            errors, said = [], []
            for order in chosen:
                known, new = order[:fitted], order[fitted:]
                model = LatencyModel.fit({name: columns[name][known] for name in names}, medians[known])
                errors.append(np.abs(model.predict({name: columns[name][new] for name in names}) / medians[new] - 1))
                said.append(model.error)
            every = np.concatenate(errors)
            row[label] = {
                "median_error": rounded(np.median(every)),
                "ninth_decile": rounded(np.quantile(every, 0.9)),
                "error_as_the_model_says": rounded(np.median(said)),
            }
        found.append(row)
    return found


def rounded(number: float) -> float:
    return float(f"{number:.3g}")


def machine() -> str:
    model, cpuinfo = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return f"{os.cpu_count()} cores, {model}, load {os.getloadavg()[0]:.1f} at the end"


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    text = [f"n = {document['n']}, batch {figures['batch']}, {figures['dtype']}; {document['machine']}"]
    text += [f"  {name}: {figures[name]}" for name in ("milliseconds", "repeats", "measured_twice", "spread", "noisy")]
    for row in figures["models"]:
        text += [f"  {row['measurements']} measurements, {label}: {row[label]}" for label in COUNTS]
    return "\n".join([*text, f"target: {document['target']}: {'met' if document['met'] else 'missed'}"])


if __name__ == "__main__":
    sys.exit(main())
