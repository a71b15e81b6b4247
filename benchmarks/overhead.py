"""What a trial costs besides its training.

1. Seconds a trivial trial, two at a time: our lanes, against Ray Tune's function trainables without reuse (with and
   without importing torch) and with reuse_actors, alternating, each in a process and a Ray of its own. Ours is no
   no-op: it is the real search, ledger, network and trainer, one epoch of one batch of 32 images, nothing subtracted.
   Tune's trials do nothing but report a number. From the first result to the last, over the trials between them.
2. A search of 50 trials of search_spaces/digits.yaml: the share of lanes x wall time, from the first trial's start to
   the last report, that lies in epochs, and in training steps alone; and its start-up: from the process's start to the
   first trial's.
3. A new trial in a warm worker: seconds until its first optimiser step is done, for the quickstart's networks.
4. glibc keeping freed memory, as lanes have it, or not: CPU seconds a training step, and the process's peak memory.

Claims: 1: 0.05 s or less. 2: 90 % or more in epochs. 3: 0.3 s or less. `--quick`: 1 with ours and reuse_actors, and 3.

    python benchmarks/overhead.py [--json] [--quick] [--rounds N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from overhead_parts import NETWORKS, TRIALS, spread
from quickstart import machine

DIGITS = Path(__file__).parent.parent / "search_spaces" / "digits.yaml"
PARTS = Path(__file__).with_name("overhead_parts.py")
TARGETS = {"trial": 0.05, "share": 0.9, "first_step": 0.3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rounds, kinds = (1, ["lanes", "reuse"]) if asked.quick else (asked.rounds, list(TRIALS))
    trials: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            trials[kind].append(in_a_process(kind))
    figures: dict[str, Any] = {
        word: {kind: spread([run[word] for run in runs]) for kind, runs in trials.items()}
        for word in ("seconds_a_trial", "driver_cpu_seconds_a_trial", "seconds_to_first_result")
    }
    figures["first_step"] = in_a_process("first_step")
    if not asked.quick:
        figures["search"] = [one_search(seed) for seed in range(rounds)]
        figures["allocator"] = allocator(rounds)
    document = {
        "name": "overhead",
        "figures": figures,
        "target": "0.05 s a trivial trial; 90 % of a 50-trial digits search in epochs; first step within 0.3 s",
        "met": met(figures),
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna", "mlflow")},
        "n": rounds,
    }
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def met(figures: dict[str, Any]) -> bool:
    """Every claim that was measured."""
    good = figures["seconds_a_trial"]["lanes"]["median"] <= TARGETS["trial"]
    good &= figures["first_step"]["median"] <= TARGETS["first_step"]
    if "search" in figures:
        good &= statistics.median(run["share_epochs"] for run in figures["search"]) >= TARGETS["share"]
    return good


def in_a_process(part: str, **environment: str) -> dict[str, float]:
    """A part alone: imports and Ray's start are its own."""
    command = [sys.executable, str(PARTS), part]
    words = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=words)
    return json.loads(done.stdout.splitlines()[-1])


# ---- 2: a whole search


def one_search(seed: int, trials: int = 50) -> dict[str, float]:
    """A process of its own in an empty folder, MLflow included."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "archsearch", "run", str(DIGITS.resolve()), "--trials", str(trials), "--json"]
        began = time.time()
        subprocess.run([*command, "--seed", str(seed), "--output", "e"], cwd=place, capture_output=True, check=True)
        whole = time.time() - began
        with sqlite3.connect(Path(place, "e", "ledger.sqlite")) as db:
            events = db.execute("SELECT time, kind, data FROM events ORDER BY id").fetchall()
    epochs = [json.loads(data)["metrics"] for _, kind, data in events if kind == "epoch"]
    first = min(at for at, kind, _ in events if kind == "started")
    last = max(at for at, kind, _ in events if kind in ("epoch", "paused", "finished"))
    batches = images_an_epoch()
    lane_seconds = 2 * (last - first)
    return {
        "seconds": round(whole, 1),
        "start_up": round(first - began, 1),
        "after_the_last_report": round(began + whole - last, 1),
        "epochs": len(epochs),
        "seconds_an_epoch": statistics.median(m["seconds"] for m in epochs),
        "share_epochs": sum(m["seconds"] for m in epochs) / lane_seconds,
        "share_steps": sum(batches / m["images_per_second"] for m in epochs) / lane_seconds,
    }


def images_an_epoch() -> int:
    """Of digits.yaml: what `images_per_second` counts."""
    from archsearch.data.datasets import load_images
    from archsearch.space.loading import load_space

    space = load_space(DIGITS)
    size = space.training.batch_size
    return len(load_images(space.data).train) // size * size


def allocator(rounds: int) -> dict[str, Any]:
    """Alternating, each in a process of its own."""
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name in NETWORKS:
            for keep in ("kept", "returned"):
                found.setdefault(f"{name}, {keep}", []).append(in_a_process("step", NETWORK=name, KEEP=keep))
    return {
        key: {word: statistics.median(run[word] for run in runs) for word in runs[0]} for key, runs in found.items()
    }


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    text = [f"{kind:>15}: {row['median']:.3f} s a trial ({row['min']:.3f} to {row['max']:.3f})"
            for kind, row in figures["seconds_a_trial"].items()]  # fmt: skip
    text += [f"{key}: {json.dumps(value)}" for key, value in figures.items() if key != "seconds_a_trial"]
    text += [document["machine"], f"target: {document['target']}: {'met' if document['met'] else 'missed'}"]
    return "\n".join(text)


if __name__ == "__main__":
    sys.exit(main())
