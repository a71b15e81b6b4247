"""The parts of overhead.py that run in a process of their own; each prints its figures as one line of JSON.

python benchmarks/overhead_parts.py PART
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DIGITS = Path(__file__).parent.parent / "search_spaces" / "digits.yaml"
TINY = """
archsearch: 1
name: trivial
data: {name: digits, limit: 60, validation: 0.3}
space:
  stem: {width: {choice: [4, 5, 6, 7, 8, 9, 10, 11]}}
  stages: 1
  depth: {int: [1, 2], each: stage}
  width: {choice: [4, 8, 12, 16], each: stage}
  block: {choice: [basic, bottleneck]}
search: {sampler: random, early_stopping: {kind: none}}
training: {epochs: 1, batch_size: 32}
"""
TRIALS = {"lanes": 60, "reuse": 30, "function": 8, "function_torch": 6}
NETWORKS = {"resnet20": ("resnet20_cifar", 5), "densenet": ("densenet_bc100_12_cifar", 1)}


def spread(values: list[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


# ---- 1: trivial trials


class Clock:
    """When results came, by the wall's clock."""

    def __init__(self) -> None:
        self.began, self.times, self.cpu = time.monotonic(), list[float](), list[float]()

    def phase(self, text: str) -> None:
        """A search's observer is told of these too."""

    def trial(self, trial: Any, metrics: Any) -> None:
        """The trial ended, or went on."""
        if trial.state.ended:
            self.tick()

    def tick(self) -> None:
        """A trial's result has come."""
        self.times.append(time.monotonic())
        self.cpu.append(time.process_time())

    def figures(self) -> dict[str, float]:
        """The driver's CPU time is told too: it says the same on a busy machine."""
        between = len(self.times) - 1
        return {
            "seconds_a_trial": (self.times[-1] - self.times[0]) / between,
            "driver_cpu_seconds_a_trial": (self.cpu[-1] - self.cpu[0]) / between,
            "seconds_to_first_result": self.times[0] - self.began,
        }


def lanes() -> dict[str, float]:
    """The real thing but for MLflow's follower, which is no part of a trial."""
    clock = Clock()
    from archsearch.data.datasets import load_images
    from archsearch.experiment import ExperimentFolder, Ledger
    from archsearch.search.running.environment import prepare
    from archsearch.search.session import create
    from archsearch.space.loading import load_space

    with tempfile.TemporaryDirectory() as place:
        file, folder = Path(place, "trivial.yaml"), ExperimentFolder(Path(place, "experiment"))
        file.write_text(TINY)
        space = load_space(file, [f"search.trials={TRIALS['lanes']}"])
        images = load_images(space.data)
        create(space, folder, name="trivial")
        prepare(None)
        from archsearch.search.running.cluster import cluster
        from archsearch.search.running.prestart import warm_up

        with Ledger.open(folder.ledger) as ledger, cluster(None, object_bytes=images.nbytes):
            warm_up(space.resources, 2)
            from archsearch.search.deciding.search import Search
            from archsearch.search.running.executor import run_trials
            from archsearch.search.running.nodes import OwnNode

            resources = space.resources.model_copy(update={"max_concurrent": 2})
            search = Search(space=space, folder=folder, ledger=ledger, observer=clock)
            run_trials(search, images, resources, OwnNode(), workers_are_up=lambda: None)
    return clock.figures()


def tune_functions(kind: str) -> dict[str, float]:
    """Ray Tune as its documentation has it: a function that reports one number."""
    clock = Clock()
    from archsearch.search.running.environment import prepare

    prepare(None)
    import ray
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler

    class Ticks(FIFOScheduler):
        def on_trial_complete(self, tune_controller: Any, trial: Any, result: Any) -> None:
            clock.tick()

    def nothing(config: dict[str, Any]) -> None:
        if config["torch"]:
            import torch  # noqa: F401
        tune.report({"score": 1.0})

    ray.init(
        address="local", _node_ip_address="127.0.0.1", num_cpus=2, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as place:
            tune.Tuner(
                nothing,
                param_space={"torch": kind != "function", "trial": tune.grid_search(list(range(TRIALS[kind])))},
                tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=kind == "reuse", scheduler=Ticks()),
                run_config=tune.RunConfig(storage_path=place, verbose=0),
            ).fit()
    finally:
        ray.shutdown()
    return clock.figures()


# ---- 3 and 4: within a worker


def first_step(networks: int = 40) -> dict[str, float]:
    """From the instruction to the end of the first step; the process has trained one trial before."""
    import numpy as np

    from archsearch.data.datasets import load_images
    from archsearch.network import build
    from archsearch.space.loading import load_space
    from archsearch.space.many.feasible import Feasible
    from archsearch.training.loop import Training

    class Stepped(Exception):
        """The first step is done."""

    def stop(done: int, steps: int) -> None:
        raise Stepped

    space = load_space(DIGITS)
    images, feasible = load_images(space.data), Feasible(space, seed=0)
    rows = feasible.draw(networks + 1, np.random.default_rng(0))
    seconds = []
    for row in rows:
        architecture = space.architecture(recorded(feasible.grid.choices(row)))
        began = time.perf_counter()
        training = Training(build(architecture, seed=0), images, space.training, seed=0, threads=1, on_step=stop)
        try:
            next(iter(training))
        except Stepped:
            seconds.append(time.perf_counter() - began)
    return {**spread(seconds[1:]), "of_a_cold_process": seconds[0]}


def recorded(choices: dict[str, Any]) -> Any:
    from archsearch.space.choices import RecordedChoices

    return RecordedChoices(choices)


def step() -> dict[str, float]:
    """CPU seconds of a training step, batch 64 of 32x32, one thread; the first step is not counted."""
    import torch

    import archsearch
    from archsearch.experiment.processes import keep_freed_memory

    if os.environ["KEEP"] == "kept":
        keep_freed_memory()
    torch.set_num_threads(1)
    name, steps = NETWORKS[os.environ["NETWORK"]]
    model = archsearch.build(name).to(memory_format=torch.channels_last)
    pixels, labels = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last), torch.zeros(64).long()
    seconds = []
    for _ in range(steps + 1):
        began = time.process_time()
        torch.nn.functional.cross_entropy(model(pixels), labels).backward()
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_seconds_a_step": statistics.median(seconds[1:]), "peak_mib": round(peak)}


PARTS = {
    "lanes": lanes,
    "first_step": first_step,
    "step": step,
    **{kind: lambda kind=kind: tune_functions(kind) for kind in ("reuse", "function", "function_torch")},
}


if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]]()))
