"""RegNet's study of design spaces in small (Radosavovic 2020, arXiv:2003.13678): AnyNetX A to E, and RegNetX.

Each space adds a rule to the one before. A is free: a depth, width, bottleneck ratio and group width for each of four
stages. B shares the bottleneck ratio, C the group width; D has widths that do not fall, E depths that do not fall;
RegNetX has linear widths. Of each as many networks are drawn at random within a narrow window of FLOPs and trained
alike, by `archsearch compare`. Claim, the paper's: C's mean error is above D's, and D's above E's.

The paper: 500 networks a space of 360 to 400 MFLOPs, 10 epochs of ImageNet. Here: images of 16x16, 1.8 to 2 M. What
was trained lies in experiments/anynet-LETTER-sample below FOLDER; the same command continues, and trains nothing again.

    python benchmarks/anynet.py DATA FOLDER [--trials 20] [--epochs 3] [--json]

DATA is a folder with a Parquet file of images, as the Hugging Face hub has them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from quickstart import machine

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.yaml import write

STAGES = 4
DEPTH = {"int": [1, 4], "each": "stage"}
WIDTH = {"int": [8, 128], "step": 8, "each": "stage"}
RATIO = {"choice": [0.25, 0.5, 1.0]}
GROUP = {"choice": [1, 2, 4, 8, 16, 32]}
LINEAR = {
    "depth": {"int": [4, 16]},
    "initial": {"int": [8, 48], "step": 8},
    "slope": {"float": [1, 24], "step": 0.5},
    "multiplier": {"float": [1.5, 3], "step": 0.1},
}
PER_STAGE = {"each": "stage"}
RISING = {"order": "increasing"}
SPACES: dict[str, dict[str, Any]] = {
    "a": {"depth": DEPTH, "width": WIDTH, "bottleneck_ratio": RATIO | PER_STAGE, "group_width": GROUP | PER_STAGE},
    "b": {"depth": DEPTH, "width": WIDTH, "bottleneck_ratio": RATIO, "group_width": GROUP | PER_STAGE},
    "c": {"depth": DEPTH, "width": WIDTH, "bottleneck_ratio": RATIO, "group_width": GROUP},
    "d": {"depth": DEPTH, "width": WIDTH | RISING, "bottleneck_ratio": RATIO, "group_width": GROUP},
    "e": {"depth": DEPTH | RISING, "width": WIDTH | RISING, "bottleneck_ratio": RATIO, "group_width": GROUP},
    "x": {"linear_widths": LINEAR, "bottleneck_ratio": RATIO, "group_width": GROUP},
}
PAIRS = (("c", "d"), ("a", "e"), ("b", "x"))
ERRORS = (0.65, 0.66, 0.67, 0.68, 0.7)  # at which the curves are read
RESAMPLES = 10_000


def space(letter: str, data: Path) -> dict[str, Any]:
    """The search-space file of one space."""
    return {
        "archsearch": 1,
        "name": f"anynet-{letter}",
        "data": {"name": "huggingface", "root": str(data.resolve()), "size": 16, "validation": 0.2},
        "space": {
            "stem": {"kernel": 3, "width": 16},
            "stages": STAGES,
            "block": "bottleneck",
            "zero_init": True,
            **SPACES[letter],
        },
        "budget": {"flops": {"between": ["1800k", "2M"]}},
        "training": {
            "recipe": "fast",
            "batch_size": 64,
            "learning_rate": 0.1,
            "flip": True,
            "epochs": 12,
            "precision": "float32",
        },
        "resources": {"cpus_per_trial": 1},
    }


def errors(folder: Path, letter: str, epochs: int) -> np.ndarray:
    """(n,): the validation error of each network after the last epoch."""
    with Ledger.read(ExperimentFolder(folder / "experiments" / f"anynet-{letter}-sample").ledger) as ledger:
        scores = [e.metrics["validation_accuracy"] for e in ledger.epochs() if e.epoch == epochs]
    return 1 - np.array(scores)


def figures(samples: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Mean error with a 95 % bootstrap interval, the least, and the share of networks below each of ERRORS."""
    rng = np.random.default_rng(0)
    for letter, sample in samples.items():
        means = rng.choice(sample, (RESAMPLES, len(sample))).mean(axis=1)
        interval = [float(v) for v in np.quantile(means, (0.025, 0.975))]
        below = {str(error): float((sample < error).mean()) for error in ERRORS}
        figures = {"mean": float(sample.mean()), "interval": interval, "least": float(sample.min()), "below": below}
        yield letter, {"networks": len(sample), **figures}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for letter in SPACES:
        (given.folder / f"{letter}.yaml").write_text(write(space(letter, given.data)))
    verdicts = {}
    for pair in PAIRS:
        files = [f"{letter}.yaml" for letter in pair]
        command = [sys.executable, "-m", "archsearch", "compare", *files, "--json"]
        command += ["--trials", str(given.trials), "--epochs", str(given.epochs)]
        compared = subprocess.run(command, cwd=given.folder, check=True, stdout=subprocess.PIPE, text=True)
        verdicts[" and ".join(pair).upper()] = json.loads(compared.stdout)["verdict"]
    samples = {letter: errors(given.folder, letter, given.epochs) for letter in SPACES}
    means = {letter: sample.mean() for letter, sample in samples.items()}
    document = {"name": "anynet", "figures": {"spaces": dict(figures(samples)), "compared": verdicts},
                "target": "mean errors of C above D above E", "met": bool(means["e"] < means["d"] < means["c"]),
                "machine": machine(), "n": given.trials, "epochs": given.epochs,
                "versions": {package: version(package) for package in ("archsearch", "torch")}}  # fmt: skip
    print(json.dumps(document, indent=1) if given.json else text(document))
    return 0


def text(document: dict[str, Any]) -> str:
    lines = [f"{document['n']} networks a space, {document['epochs']} epochs"]
    for letter, row in document["figures"]["spaces"].items():
        low, high = row["interval"]
        shares = ", ".join(f"{share:.0%} below {error}" for error, share in row["below"].items())
        lines.append(
            f"{letter.upper()}  mean {row['mean']:.3f} ({low:.3f} to {high:.3f}), least {row['least']:.3f}; {shares}"
        )
    lines += [f"{pair}: {verdict}" for pair, verdict in document["figures"]["compared"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
