"""How near the hours are that `archsearch check` foretells: the probe's seconds of an epoch against real training.

For each space ten networks within its budget are probed as `check` does it; then other networks, drawn uniformly from
those within the budget, are trained by the same trainer for a part of an epoch, and the probe foretells just that part:
digits a whole epoch on its real images, the others `--steps` steps of the recipe's batch and 256 validation images,
synthetic; each a second time, which is the one that counts. Both sides are read from the thread's own clock (one
thread): other processes' load does not count.

Claim: foretold / real, of all networks of a space together, lies within a factor of 1.5. `--quick`: digits alone.

    python benchmarks/probe.py [--json] [--quick] [--networks N] [--steps N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.network import build
from archsearch.space.choices import RecordedChoices
from archsearch.space.loading import load_space
from archsearch.space.many.feasible import Feasible
from archsearch.space.space import SearchSpace
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import probe, spread, synthetic

SPACES = Path(__file__).parent.parent / "search_spaces"
NAMES = ("digits", "resnet_fashion", "resnet_cifar")
FACTOR = 1.5
PROBED, SECONDS, VALIDATION = 10, 8.0, 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    asked = parser.parse_args()
    names = NAMES[:1] if asked.quick else NAMES
    spaces = {name: one_space(name, 5 if asked.quick else asked.networks, asked.steps) for name in names}
    ratios = [figures["foretold_to_real"] for figures in spaces.values()]
    document = {
        "name": "probe",
        "figures": spaces,
        "target": f"foretold / real within a factor of {FACTOR} on each space",
        "met": all(1 / FACTOR <= ratio <= FACTOR for ratio in ratios),
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": importlib.metadata.version("torch")},
        "n": sum(figures["n"] for figures in spaces.values()),
    }
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def one_space(name: str, count: int, steps: int) -> dict[str, Any]:
    space = load_space(SPACES / f"{name}.yaml")
    began = time.process_time()
    timings = probe(spread(drawn(space, 96, seed=0), PROBED), space.training, device="cpu", threads=1, seconds=SECONDS)
    probe_cpu = time.process_time() - began
    batch = space.training.batch_size
    if name == "digits":
        images = load_images(space.data)
    else:
        images = synthetic(space.input, space.classes, train=batch * steps, validation=VALIDATION)
    foretold, real = [], []
    for network in drawn(space, count, seed=1):
        training = Training(build(network, seed=0), images, space.training, seed=0, device="cpu", threads=1)
        next(training)  # memory, and the library's choices for each shape, are first got here
        start = time.thread_time()
        next(training)
        real.append(time.thread_time() - start)
        sizes = {"train": len(images.train), "validation": len(images.validation)}
        foretold.append(timings.epoch_seconds(network, **sizes, batch=batch))
        print(f"{name}: foretold {foretold[-1]:.2f} s, real {real[-1]:.2f} s", file=sys.stderr, flush=True)
    ratios = [ours / theirs for ours, theirs in zip(foretold, real, strict=True)]
    return {
        "n": count,
        "images": {"train": len(images.train), "validation": len(images.validation)},
        "foretold_seconds": round(sum(foretold), 2),
        "real_seconds": round(sum(real), 2),
        "foretold_to_real": round(sum(foretold) / sum(real), 3),
        "one_network": {
            "median": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        },
        "probe": {"networks": PROBED, "cpu_seconds": round(probe_cpu, 1), "wall_seconds": round(timings.seconds, 1),
                  "error_as_it_says": round(timings.error, 3)},
    }  # fmt: skip


def drawn(space: SearchSpace, count: int, *, seed: int) -> list[Architecture]:
    feasible = Feasible(space, seed=seed)
    rows = itertools.islice(iter(feasible), count)
    return [space.architecture(RecordedChoices(feasible.grid.choices(row))) for row in rows]


def machine() -> str:
    model, cpuinfo = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return f"{os.cpu_count()} cores, {model}, load {os.getloadavg()[0]:.1f} at the end"


def lines(document: dict[str, Any]) -> str:
    text = [document["machine"]]
    for name, figures in document["figures"].items():
        text.append(f"{name}: foretold / real {figures['foretold_to_real']} (n = {figures['n']}), one network "
                    f"{figures['one_network']}, probe {figures['probe']}")  # fmt: skip
    return "\n".join([*text, f"target: {document['target']}: {'met' if document['met'] else 'missed'}"])


if __name__ == "__main__":
    sys.exit(main())
