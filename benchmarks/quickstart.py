"""How long the quickstart takes: `archsearch run search_spaces/digits.yaml`, whole process, from an installed state.

Claim: 120 s or less of wall time on two cores, Ray's start included. `--quick` runs 4 trials once.

    python benchmarks/quickstart.py [--json] [--quick] [--repeats N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPACE = Path(__file__).parent.parent / "search_spaces" / "digits.yaml"
TARGET_SECONDS = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    repeats, trials = (1, 4) if asked.quick else (asked.repeats, 24)
    runs = [one_run(trials, seed) for seed in range(repeats)]
    seconds = [run["seconds"] for run in runs]
    document = {
        "name": "quickstart",
        "figures": {
            "trials": trials,
            "seconds_median": round(statistics.median(seconds), 1),
            "seconds_min": round(min(seconds), 1),
            "seconds_max": round(max(seconds), 1),
            "runs": runs,
        },
        "target": f"{TARGET_SECONDS} s or less for 24 trials on 2 cores",
        "met": statistics.median(seconds) <= TARGET_SECONDS,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna", "mlflow")},
        "n": repeats,
    }
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def one_run(trials: int, seed: int) -> dict[str, float]:
    """A process of its own in an empty folder, so that imports, Ray's start and MLflow's first tables count."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "archsearch", "run", str(SPACE.resolve()), "--json"]
        began = time.monotonic()
        done = subprocess.run(
            [*command, "--trials", str(trials), "--seed", str(seed)],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.monotonic() - began
    summary = json.loads(done.stdout)
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "finished": summary["trials"]["finished"],
        "stopped": summary["trials"]["stopped"],
        "validation_accuracy": round(summary["best"]["value"], 4),
        "test_accuracy": round(summary["best"]["test_accuracy"], 4),
    }


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return (
        f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end"
    )


def lines(document: dict) -> str:
    figures = document["figures"]
    median, low, high = (figures[f"seconds_{name}"] for name in ("median", "min", "max"))
    text = [f"{median} s ({low} to {high}, n = {document['n']}) for {figures['trials']} trials; {document['machine']}"]
    text += [f"  {run}" for run in figures["runs"]]
    return "\n".join([*text, f"target: {document['target']}: {'met' if document['met'] else 'missed'}"])


if __name__ == "__main__":
    sys.exit(main())
