"""Samplers on tables of NAS benchmarks that others have trained: regret by trials, and of the front of two objectives.

A table is an npz of codes (N, D), accuracy (N, seeds), params and flops, (N,), such as NAS-Bench-Macro and
NAS-Bench-201. Each query draws a seed. Regret: the best network's mean over the seeds less that of the network with
the best single score, in points; with --front the share of the area under the table's front (mean accuracy against
the logarithm of FLOPs) that the trials' front misses, in percent. With --window only the networks from the 45th to the
55th percentile of FLOPs are within the budget.

    python benchmarks/regret_tables.py TABLE... [--runs N] [--trials N] [--front] [--window] [--workers N]
        [--sampler NAME]... [--learn-from TABLE]... [--earlier N] [--searched] [--shuffled]

TABLE is a file, or digits or fashion for a table of benchmarks/tabular. With --workers so many trials run at once, of
equal lengths. With --learn-from the sampler begins with what so many --earlier trials of each of those tables teach,
drawn at random for each run (0: their whole tables, by the mean of the seeds), or chosen by a search (--searched);
--shuffled puts their scores in a random
order. NAME is a name of search.sampler, 'largest first', or module:Class of Optuna, with options after it:
'optuna.samplers:TPESampler {"multivariate": true}'.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from finite_field import FiniteField  # noqa: E402
from regret_runs import Ground, LargestFirst, Replay, by_front, by_trials  # noqa: E402
from tabular.table import Table  # noqa: E402

from archsearch.search.proposing.experience import Source, weights  # noqa: E402
from archsearch.search.proposing.history import History  # noqa: E402
from archsearch.search.proposing.samplers import Sampler, sampler_of  # noqa: E402
from archsearch.search.proposing.samplers.bayes import Bayes  # noqa: E402
from archsearch.search.proposing.samplers.experience import Experience  # noqa: E402
from archsearch.space.many.columns import Column  # noqa: E402

SHOWN = (1, 5, 10, 15, 25, 50, 100, 200, 300, 400)


@dataclass(frozen=True)
class Costs:
    """What `Ground` asks of a table: its costs, and a name."""

    path: Path
    costs: dict[str, np.ndarray]


def ground(file: Path, *, window: bool) -> Ground:
    """The table as a list of candidates; where `window`, those in the middle tenth of FLOPs alone."""
    if not file.suffix:
        return Ground.of(Table.load(str(file)))
    table = np.load(file)
    within = np.ones(len(table["codes"]), bool)
    if window:
        low, high = np.percentile(table["flops"], [45, 55])
        within = (table["flops"] >= low) & (table["flops"] <= high)
    codes, accuracy = table["codes"][within].astype(np.int32), table["accuracy"][within].astype(float)
    costs = {name: table[name][within] for name in ("params", "flops")}
    columns = []
    for number in range(codes.shape[1]):
        size = int(table["codes"][:, number].max()) + 1
        columns.append(
            Column(name=f"c{number}", values=tuple(range(size)), weights=np.full(size, 1 / size), ordered=False)
        )
    features = {name: np.log2(np.maximum(cost, 1)) for name, cost in costs.items()}
    for number, column in enumerate(columns):
        features |= {f"c{number}={value}": (codes[:, number] == value).astype(float) for value in column.values}
    field = FiniteField(columns, codes, costs, features)
    return Ground(Costs(file, costs), field, accuracy[:, :, None], accuracy.mean(axis=1))  # type: ignore[arg-type]


def sampler(name: str, objectives: int) -> Sampler:
    """The sampler that a name of the command line stands for."""
    if name == "largest first":
        return LargestFirst()
    kind, _, options = name.partition(" ")
    return sampler_of({"optuna": kind, "options": json.loads(options or "{}")} if ":" in kind else name,
                      objectives=objectives)  # fmt: skip


def searched(ground: Ground, seed: int, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """The networks that a search of `bayes` without experience tries, as indices, and their scores."""
    replay, results, algorithm = Replay(ground, seed), np.full((trials, 1), np.nan), Bayes()
    for number in range(trials):
        history = History(replay.codes, results[:number], np.full(number, ground.epochs), ground.epochs)
        row = algorithm.propose(history, replay.field, np.random.default_rng([seed, 2, number]))
        assert row is not None
        results[number, 0] = replay.score(replay.add(replay.field.use(row)), ground.epochs)
    return np.array(replay.places), np.nan_to_num(results[:, 0])


def experienced(
    known: Ground, sources: Sequence[Ground], seed: int, *, earlier: int, search: bool, shuffled: bool
) -> Sampler:
    """The sampler `bayes` with what earlier trials on the sources teach."""
    rng, learnt = np.random.default_rng([seed, 9]), []
    for ground in sources:
        rows, scores = np.arange(len(ground.truth)), ground.truth
        if search:
            rows, scores = searched(ground, seed + 1000, earlier)
        elif earlier:
            rows = rng.choice(len(ground.truth), min(earlier, len(ground.truth)), replace=False)
            seeds = rng.integers(ground.accuracy.shape[1], size=len(rows))
            scores = np.nan_to_num(ground.accuracy[rows, seeds, -1])
        if shuffled:
            scores = rng.permutation(scores)
        learnt.append(Source(name=ground.name, features=ground.field.features(ground.field.codes[rows]), scores=scores))
    experience = Experience(weights=weights(learnt))
    return Bayes(experience=experience if experience.tells(known.field.fresh()) else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sampler", action="append")
    parser.add_argument("--learn-from", type=Path, action="append", default=[], metavar="TABLE")
    parser.add_argument("--earlier", type=int, default=60)
    parser.add_argument("--searched", action="store_true")
    parser.add_argument("--shuffled", action="store_true")
    asked = parser.parse_args()
    search = by_front if asked.front else partial(by_trials, workers=asked.workers)
    for file in asked.tables:
        known = ground(file, window=asked.window)
        sources = [ground(source, window=False) for source in asked.learn_from]
        for name in asked.sampler or ["auto"]:
            runs = np.array([
                search(
                    known,
                    experienced(
                        known, sources, seed, earlier=asked.earlier, search=asked.searched, shuffled=asked.shuffled
                    ) if sources
                    else sampler(name, 1 + asked.front),
                    seed, asked.trials,
                )
                for seed in range(asked.runs)
            ])  # fmt: skip
            mean, error = 100 * runs.mean(axis=0), 100 * runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
            shown = {n: [round(mean[n - 1], 3), round(error[n - 1], 3)] for n in SHOWN if n <= asked.trials}
            row = {"table": file.stem, "sampler": name, "front": asked.front, "window": asked.window}
            row |= {"workers": asked.workers, "n": len(runs)}
            if sources:
                learnt = {"learn_from": [source.stem for source in asked.learn_from], "earlier": asked.earlier}
                row |= learnt | {"searched": asked.searched, "shuffled": asked.shuffled}
            print(json.dumps({**row, "regret": shown}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
