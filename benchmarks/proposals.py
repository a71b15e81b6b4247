"""How long a proposal takes in a narrow window, and what share of them lies in it.

A RegNet-like space (four stages, widths, bottleneck ratios and groups a stage) with a window of 380 to 420 MFLOPs at
224x224, which under 2 % of its free draws keep. After 1,000 and 10,000 finished trials, `n` proposals of each sampler;
against Optuna's TPE with the window as its constraint, as OptunaSearch calls it (Ray Tune's searcher of that name asks
its study once a trial), and against rejection: free draws, each built as an architecture and counted, until one fits.

Claims: all trials started are in the window; 10 ms or less a proposal after 1,000 finished trials and 30 ms or less
after 10,000, median, one core.

    python benchmarks/proposals.py [--json] [--quick] [--plot FILE.png]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from archsearch.architecture.cost import cost  # noqa: E402
from archsearch.search.proposing.records import Records, TrainedCandidate  # noqa: E402
from archsearch.search.proposing.samplers.registry import sampler_of  # noqa: E402
from archsearch.space.choices import RandomChoices  # noqa: E402
from archsearch.space.loading import load_space  # noqa: E402
from archsearch.space.many.feasible import Feasible  # noqa: E402
from archsearch.space.space import SearchSpace  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine  # noqa: E402

SPACE = """
archsearch: 1
name: window
data: {name: folder, root: %s, size: 224}
space:
  stem: {kernel: 3, stride: 2, width: 32}
  stages: 4
  stride: 2
  depth: {int: [1, 16], each: stage}
  width: {int: [16, 512], step: 16, each: stage, order: increasing}
  block: bottleneck
  bottleneck_ratio: {choice: [0.25, 0.5, 1.0], each: stage}
  cardinality: {choice: [1, 2, 4, 8, 16, 32], each: stage}
budget: {flops: {between: [380M, 420M]}}
search: {trials: 10000}
training: {epochs: 1}
"""
SAMPLERS = ("random", "evolution", "local_search", "bayes", "tpe", "nsga2")
AFTER = {1_000: 10.0, 10_000: 30.0}  # finished trials: milliseconds that a proposal may take


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--plot", type=Path, help="a chart of the medians")
    asked = parser.parse_args()
    document = measure(quick=asked.quick)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    if asked.plot:
        draw(document, asked.plot)
    return 0


def measure(*, quick: bool) -> dict[str, Any]:
    space = window()
    count = 5 if quick else 25
    share = free_share(space)
    figures: dict[str, Any] = {"share_of_free_draws_in_window": sig(share)}
    met = share < 0.02
    feasible = Feasible(space, seed=1)

    def fits(row: np.ndarray) -> bool:
        return bool(np.all(space.budget.admits_many(feasible.costs(row[None]))))

    for finished, limit in AFTER.items():
        if quick and finished > 1_000:
            continue
        for row in feasible.draw(finished - len(feasible._used), np.random.default_rng(3)):
            feasible.use(row)
        ways: dict[str, Iterator[tuple[float, bool]]] = {name: ours(feasible, fits, name) for name in SAMPLERS}
        ways["Optuna TPE, window as constraint"] = optuna_tpe(space, finished)
        if finished == 1_000:
            ways["rejection"] = rejection(space)
        slow = max(2, count // 5)
        for way in list(ways.values())[: len(SAMPLERS)]:  # what a sampler keeps is made at its first proposals
            next(way), next(way)
        seconds: dict[str, list[tuple[float, bool]]] = {name: [] for name in ways}
        for turn in range(count):
            for name, way in ways.items():
                if name in SAMPLERS or turn < slow:
                    seconds[name].append(next(way))
        figures[f"after_{finished}"] = found = {name: summary(values) for name, values in seconds.items()}
        met &= all(found[name]["median_ms"] <= limit and found[name]["in_window"] == 1.0 for name in SAMPLERS)
    return {
        "name": "proposals",
        "figures": figures,
        "target": "all in the window; median of 10 ms or less after 1,000 finished trials, 30 ms or less after 10,000",
        "met": met,
        "machine": machine(),
        "versions": {p: importlib.metadata.version(p) for p in ("archsearch", "numpy", "optuna")},
        "n": count,
    }


def window() -> SearchSpace:
    """The space; its images are named, never read, but a folder with classes must be there."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b"):
            (Path(folder) / "images" / name).mkdir(parents=True)
            (Path(folder) / "images" / name / "none.png").write_bytes(b"")
        file = Path(folder) / "window.yaml"
        file.write_text(SPACE % (Path(folder) / "images"))
        return load_space(file)


def free_share(space: SearchSpace, draws: int = 200_000) -> float:
    feasible = Feasible(space, seed=0)
    rows = feasible.grid.draw(draws, np.random.default_rng(0))
    return float(np.mean(space.budget.admits_many(feasible.costs(rows))))


def worth(costs: Mapping[str, Any]) -> Any:
    """A stand-in for an accuracy, so that models have something to learn; what is timed does not depend on it."""
    return 0.9 + 0.02 * np.log10(costs["params"]) - 0.01 * (np.log10(costs["activations"]) - 6) ** 2


def ours(feasible: Feasible, fits: Callable[[np.ndarray], bool], name: str) -> Iterator[tuple[float, bool]]:
    """Seconds of a proposal with everything known that `feasible` has used, and whether it is in the window."""
    sampler = sampler_of(name, objectives=1)
    records = Records(columns=len(feasible.columns), objectives=("accuracy",), rungs=(), full=1)
    rng = np.random.default_rng(2)
    rows = np.array([np.frombuffer(key, np.int32) for key in sorted(feasible._used)])
    values = worth(feasible.costs(rows)) + 0.005 * rng.standard_normal(len(rows))
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        records.learn(row, TrainedCandidate(choices={}, costs={}, curve={1: float(value)}), number=number)
    while True:
        number += 1
        began = time.perf_counter()
        row = sampler.propose(records.history(), feasible, rng)
        seconds = time.perf_counter() - began
        assert row is not None
        value = float(worth(feasible.costs(row[None]))[0])
        records.learn(row, TrainedCandidate(choices={}, costs={}, curve={1: value}), number=number)
        yield seconds, fits(row)


def optuna_tpe(space: SearchSpace, finished: int) -> Iterator[tuple[float, bool]]:
    """One suggestion: the window is a constraint that TPE learns, and nothing that it must keep."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    choices = RandomChoices(random.Random(0))
    distributions: dict[str, Any] = {}
    for name, domain in space.dimensions():
        distributions[name] = optuna.distributions.CategoricalDistribution(tuple(domain.probes()))
        if "depth" in name or "width" in name:
            values = domain.probes()
            distributions[name] = optuna.distributions.IntDistribution(
                values[0], values[-1], step=values[1] - values[0]
            )

    class Known(dict[str, Any]):
        def choice(self, name: str, options: Any) -> Any:
            return self[name]

        def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
            return int(self[name])

        real = integer

    def over(params: dict[str, Any]) -> tuple[float, dict[str, float]]:
        counted = cost(space.architecture(Known(params)))
        return float(worth(space.price(counted).to_dict())), space.budget.violations(counted)

    trials = []
    for _ in range(finished):
        params = {name: domain.ask(name, choices) for name, domain in space.dimensions()}
        value, violations = over(params)
        attributes = {"constraints": tuple(violations.values())}
        trials.append(optuna.trial.create_trial(
            params=params, distributions=distributions, value=value, system_attrs=attributes))  # fmt: skip
    study.add_trials(trials)
    while True:
        began = time.perf_counter()
        trial = study.ask(distributions)
        seconds = time.perf_counter() - began
        value, violations = over(trial.params)
        for name, amount in violations.items():
            trial.set_constraint(name, amount)
        study.tell(trial, value)
        yield seconds, all(amount <= 0 for amount in violations.values())


def rejection(space: SearchSpace) -> Iterator[tuple[float, bool]]:
    choices = RandomChoices(random.Random(0))
    while True:
        began = time.perf_counter()
        while not space.budget.admits(cost(space.architecture(choices))):
            pass
        yield time.perf_counter() - began, True


def summary(values: list[tuple[float, bool]]) -> dict[str, float]:
    milliseconds = sorted(1e3 * seconds for seconds, _ in values)
    return {
        "median_ms": sig(statistics.median(milliseconds)),
        "min_ms": sig(milliseconds[0]),
        "max_ms": sig(milliseconds[-1]),
        "in_window": sum(fits for _, fits in values) / len(values),
        "n": len(values),
    }


def sig(value: float) -> float:
    return float(f"{value:.3g}")


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    found = [f"{figures['share_of_free_draws_in_window']:.2%} of free draws are in the window"]
    for finished in (n for n in AFTER if f"after_{n}" in figures):
        found.append(f"after {finished:,} finished trials: milliseconds a proposal, share in the window")
        for name, row in figures[f"after_{finished}"].items():
            found.append(f"  {name:<34}{row['median_ms']:>10,.4g}  ({row['min_ms']:,.3g} to {row['max_ms']:,.3g})"
                         f"{row['in_window']:>8.0%}  n={row['n']}")  # fmt: skip
    return "\n".join([*found, f"target: {document['target']}; {'met' if document['met'] else 'missed'}"])


def draw(document: dict[str, Any], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9.5, 3.4), sharex=True)
    for axis, (finished, limit) in zip(axes, AFTER.items(), strict=True):
        rows: dict[str, Any] = document["figures"][f"after_{finished}"]
        names = list(rows)[::-1]
        bars = axis.barh(names, [rows[n]["median_ms"] for n in names],
                         color=["#1f5fa8" if n in SAMPLERS else "#b0b0b0" for n in names])  # fmt: skip
        axis.bar_label(bars, [f"{rows[n]['median_ms']:.3g} ms, {rows[n]['in_window']:.0%}" for n in names], padding=3)
        axis.axvline(limit, color="black", linewidth=0.8, linestyle="--")
        axis.set(xscale="log", title=f"after {finished:,} trials", xlabel="ms a proposal; share in the window")
        axis.set_xlim(right=60_000)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=130)


if __name__ == "__main__":
    raise SystemExit(main())
