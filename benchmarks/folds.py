"""Where a cross-validation pays: in each trial of a search, or for its best trials afterwards (`confirm --folds 5`).

Each strategy has as many trainings. Networks and their accuracies are those of a table of benchmarks/tabular (mean on
validation and test over its seeds); a training of one adds the noise of its seed, with the standard deviation that the
table's better half has, and that of so many validation images, of which a part is common to all networks, that see the
same images (CORRELATION). On five folds a network has five seeds and five times the images.

  trials         every training is a trial on the usual split; the best score wins
  folds in each  a fifth of the trials, each trained on five folds; the best mean wins
  folds at end   15 trainings fewer for the trials; the best three are trained on five folds each, the best mean wins

Regret: the accuracy of the best of the table's networks less the winner's, in points, mean over draws.

    python benchmarks/folds.py [--draws 4000] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))
from tabular.table import Table

FOLDS, TOP = 5, 3
CORRELATION = 0.5  # of the noise of validation images between two networks
TRAININGS, IMAGES = (30, 60, 120), (50, 150, 500)

Floats = npt.NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [
        {"table": name, "images": images, "trainings": trainings, **regrets(world, trainings, arguments.draws)}
        for name in ("digits", "fashion")
        for images in IMAGES
        for world in (World.of(Table.load(name), images),)
        for trainings in TRAININGS
    ]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(f"regret in points, n = {arguments.draws} draws; {FOLDS} folds, the best {TOP} at the end")
    print("| table | validation images | trainings | " + " | ".join(STRATEGIES) + " |")
    print("|---" * (3 + len(STRATEGIES)) + "|")
    for row in rows:
        figures = " | ".join(f"{row[name]:.2f}" for name in STRATEGIES)
        print(f"| {row['table']} | {row['images']} | {row['trainings']} | {figures} |")
    return 0


@dataclass(frozen=True)
class World:
    """Networks of known accuracies (N,), shares; the noise of a seed, and how many images judge a training."""

    accuracies: Floats
    seed_noise: float
    images: int
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @classmethod
    def of(cls, table: Table, images: int) -> World:
        """That of a table."""
        both = (table.validation[:, :, -1] + table.test) / 2
        whole = both[np.isfinite(both).all(1)]
        mean = whole.mean(1)
        better = whole[mean >= np.median(mean)]
        return cls(accuracies=mean, seed_noise=float(np.sqrt(better.var(1, ddof=1).mean())), images=images)

    def scores(self, networks: npt.NDArray[np.int64], folds: int = 1) -> Floats:
        """What validation says of each of the networks, on so many folds."""
        truth = self.accuracies[networks]
        images = np.sqrt(truth * (1 - truth) / (self.images * folds))
        common, apart = self.generator.standard_normal(), self.generator.standard_normal(len(networks))
        noise = images * (np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * apart)
        seeds = self.seed_noise / np.sqrt(folds) * self.generator.standard_normal(len(networks))
        return truth + noise + seeds

    def drawn(self, count: int) -> npt.NDArray[np.int64]:
        """So many networks, each once."""
        return self.generator.permutation(len(self.accuracies))[:count]


def in_trials(world: World, trainings: int) -> int:
    """The winner of as many trials."""
    networks = world.drawn(trainings)
    return int(networks[world.scores(networks).argmax()])


def folds_in_each(world: World, trainings: int) -> int:
    """The winner of trials that are each trained on all folds."""
    networks = world.drawn(trainings // FOLDS)
    return int(networks[world.scores(networks, FOLDS).argmax()])


def folds_at_end(world: World, trainings: int) -> int:
    """The winner of the best trials' cross-validation."""
    networks = world.drawn(trainings - TOP * FOLDS)
    best = networks[np.argsort(-world.scores(networks))[:TOP]]
    return int(best[world.scores(best, FOLDS).argmax()])


STRATEGIES: Mapping[str, Callable[[World, int], int]] = {
    "trials": in_trials,
    "folds in each": folds_in_each,
    "folds at end": folds_at_end,
}


def regrets(world: World, trainings: int, draws: int) -> dict[str, float]:
    """The mean regret of each strategy, in points."""
    best = world.accuracies.max()
    return {
        name: 100 * float(best - np.mean([world.accuracies[strategy(world, trainings)] for _ in range(draws)]))
        for name, strategy in STRATEGIES.items()
    }


if __name__ == "__main__":
    sys.exit(main())
