"""How a training process waits and allocates: one thread and two, spinning and waiting passively, glibc's malloc as
archsearch sets it and the jemalloc of Ray's wheel; alone, and beside a process that keeps one core busy.

A process for each variant trains the same networks in turns, the others asleep meanwhile: a round is a few steps of
each variant alone, then beside the busy process. The figures are images a second of one process, medians over rounds.
Its result decides `USUAL` in archsearch/experiment/processes.py and `WORTH_IT` in training/measuring/threads.py.

    python benchmarks/cpu.py [--json] [--quick] [--minutes M]

`--minutes` bounds it all (11 by default): the rounds end then, two at least.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine

from archsearch.experiment.processes import WAITING, ProcessSettings, malloc_variables, set_waiting

WAYS = {"1 thread": (1, False), "2 threads": (2, False), "2 threads, passive": (2, True)}
MALLOCS = {"glibc": False, "jemalloc": True}
VARIANTS = {f"{way}, {malloc}": (way, malloc) for way in WAYS for malloc in MALLOCS}
# (images a step, timed steps): about a second alone
NETWORKS = {"resnet20_cifar": (128, 4), "densenet_bc100_12_cifar": (32, 2), "digits 0": (64, 40), "digits 3": (64, 40)}
BUSY = ("alone", "beside a busy process")
ROUNDS = 15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="two networks, a round of one step: whether it works")
    parser.add_argument("--minutes", type=float, default=11.0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return work()
    document = measure(given)
    print(json.dumps(document, indent=2) if given.json else lines(document))
    return 0


def measure(given: argparse.Namespace) -> dict[str, Any]:
    networks = ["resnet20_cifar", "digits 0"] if given.quick else list(NETWORKS)
    began = time.monotonic()
    figures: dict[str, Any] = {}
    workers = {variant: start(*names) for variant, names in VARIANTS.items()}
    try:
        for worker in workers.values():  # torch is imported
            answer(worker)
        each = (60 * given.minutes - (time.monotonic() - began)) / len(networks)
        for network in networks:
            figures[network] = turns(network, workers, each, quick=given.quick)
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait()
    return {
        "name": "cpu",
        "figures": figures,
        "ratios": ratios(figures),
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "ray")},
    }


def turns(network: str, workers: dict[str, subprocess.Popen[str]], seconds: float, *, quick: bool) -> dict[str, Any]:
    """The images a second of each variant, alone and beside a busy process, by rounds within so many seconds."""
    end = time.monotonic() + seconds
    batch, steps = NETWORKS[network]
    question = {"network": network, "batch": batch, "steps": 1 if quick else steps}
    precision = {ask(worker, question)["precision"] for worker in workers.values()}  # kernels, memory: not counted
    rates: dict[str, dict[str, list[float]]] = {variant: {busy: [] for busy in BUSY} for variant in VARIANTS}
    longest, rounds = 0.0, 0
    while rounds < (1 if quick else ROUNDS) and (rounds < 2 or time.monotonic() + longest < end):
        start_of_round = time.monotonic()
        for busy in BUSY:
            with busy_process() if busy == BUSY[1] else nullcontext():
                for variant, worker in workers.items():
                    rates[variant][busy].append(ask(worker, question)["rate"])
        longest, rounds = max(longest, time.monotonic() - start_of_round), rounds + 1
    spreads = {v: {busy: spread(values) for busy, values in found.items()} for v, found in rates.items()}
    return {"precision": "/".join(sorted(precision)), "rounds": rounds, "images_per_second": spreads}


def ratios(figures: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Geometric means over the networks of one variant's median over another's, alone and beside a busy process."""
    pairs = {
        "2 threads over 1": ("2 threads, glibc", "1 thread, glibc"),
        "2 passive threads over 1": ("2 threads, passive, glibc", "1 thread, glibc"),
        "passive over spinning": ("2 threads, passive, glibc", "2 threads, glibc"),
        "jemalloc over glibc, 1 thread": ("1 thread, jemalloc", "1 thread, glibc"),
        "jemalloc over glibc, 2 passive threads": ("2 threads, passive, jemalloc", "2 threads, passive, glibc"),
    }

    def ratio(first: str, second: str, busy: str) -> float:
        rates = [figure["images_per_second"] for figure in figures.values()]
        logs = [math.log(each[first][busy]["median"] / each[second][busy]["median"]) for each in rates]
        return round(math.exp(statistics.mean(logs)), 2)

    return {name: {busy: ratio(*pair, busy) for busy in BUSY} for name, pair in pairs.items()}


def spread(values: list[float]) -> dict[str, float]:
    return {name: round(f(values), 1) for name, f in (("median", statistics.median), ("min", min), ("max", max))}


@contextmanager
def busy_process() -> Iterator[None]:
    """Another process keeps one core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.2)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def start(way: str, malloc: str) -> subprocess.Popen[str]:
    """A process of this variant: its environment is as archsearch would set it."""
    saved = dict(os.environ)
    for name in [*WAITING, *(name for name in saved if name == "LD_PRELOAD" or name.startswith("MALLOC_"))]:
        os.environ.pop(name, None)
    try:
        settings = ProcessSettings(passive=WAYS[way][1], jemalloc=MALLOCS[malloc])
        set_waiting(settings)
        variables = malloc_variables(settings)
        if settings.jemalloc and not variables:
            raise SystemExit("no jemalloc here: Ray's wheel for Linux contains it")
        env = {**os.environ, **variables, "THREADS": str(WAYS[way][0])}
    finally:
        os.environ.clear()
        os.environ.update(saved)
    command = [sys.executable, __file__, "--worker"]
    return subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(worker: subprocess.Popen[str], question: dict[str, Any]) -> dict[str, Any]:
    assert worker.stdin is not None
    print(json.dumps(question), file=worker.stdin, flush=True)
    return answer(worker)


def answer(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
    text = worker.stdout.readline()
    if not text:
        raise SystemExit("a training process has ended")
    read: dict[str, Any] = json.loads(text)
    return read


def lines(document: dict[str, Any]) -> str:
    """The tables of benchmarks/results/cpu.md."""
    text = [f"{document['machine']}; {document['versions']}; {document['seconds']} s"]
    for network, figure in document["figures"].items():
        rates = figure["images_per_second"]
        text += ["", f"{network}, {figure['precision']}, n = {figure['rounds']}: images a second (min to max)", ""]
        text += ["| | alone | beside a busy process |", "|---|---|---|"]
        for variant, found in rates.items():
            cells = [f"{f['median']:,} ({f['min']:,} to {f['max']:,})" for f in (found[busy] for busy in BUSY)]
            text.append(f"| {variant} | {cells[0]} | {cells[1]} |")
    text += ["", "Ratios of medians, geometric means over the networks:", ""]
    text += ["| | alone | beside a busy process |", "|---|---|---|"]
    text += [f"| {name} | {ratio[BUSY[0]]} | {ratio[BUSY[1]]} |" for name, ratio in document["ratios"].items()]
    return "\n".join(text)


# ---- a variant, in a process of its own


def work() -> int:
    import torch

    from archsearch.experiment.processes import keep_freed_memory
    from archsearch.training.loop import Training

    keep_freed_memory()
    threads = int(os.environ["THREADS"])
    torch.set_num_threads(threads)
    print(json.dumps({"ready": True}), flush=True)
    current, training = "", None
    for line in sys.stdin:
        question = json.loads(line)
        if training is None or question["network"] != current:
            training, current = None, question["network"]
            training = training_of(question, threads)
        assert isinstance(training, Training)
        began = time.perf_counter()
        training.train_epoch()
        seconds = time.perf_counter() - began
        images = question["steps"] * question["batch"]
        print(json.dumps({"rate": images / seconds, "precision": training.precision}), flush=True)
    return 0


def training_of(question: dict[str, Any], threads: int) -> Any:
    """The network's training on noise, an epoch of which has so many steps."""
    from archsearch import build, zoo
    from archsearch.space.settings import TrainingSettings
    from archsearch.training.loop import Training
    from archsearch.training.measuring.precision import choose_precision
    from archsearch.training.measuring.probe import endless, synthetic

    kind, _, number = question["network"].partition(" ")
    network = drawn(int(number)) if kind == "digits" else zoo.get(kind)
    settings = TrainingSettings(device="cpu", batch_size=question["batch"])
    precision = choose_precision(network, settings, threads=1).precision
    images = synthetic(
        network.input, network.classes, train=question["steps"] * question["batch"], validation=2, test=2
    )
    return Training(build(network, seed=0), images, endless(settings, question["batch"]), seed=0, threads=threads,
                    precision=precision)  # fmt: skip


def drawn(number: int) -> Any:
    """One of the quickstart's networks."""
    from training import drawn as network

    return network(number)


if __name__ == "__main__":
    sys.exit(main())
