"""How many workers one driver keeps busy: the real search (archsearch/search/deciding/search.py with its ledger,
rungs, sampler and states, on a real disk) against simulated workers under a virtual clock.

A worker's epochs take as long, and score as much, as recorded in benchmarks/tabular/fashion.npz: a network that the
search proposes has the curve of the recorded one that stands where it stands in the order of FLOPs. Seconds are
scaled so that a full training of 9 epochs takes 60 s on average ("full"), or so that what the rungs let a trial train
takes 60 s on average ("mean"). Messages come in the order of virtual time. For each, the driver's thread is
charged what it took for real: its CPU time and the time it was blocked by the disk, not the time it waited for a core
(/proc/thread-self/schedstat), and `--ray-ms` more for Ray's part (scale_ray.py measures that). One message is handled
at a time; a worker idles from its report to its instruction, and where the search tells it to wait. What the search
prepares for later trials comes after the instruction was sent, and before the next message is heard.

A run ends when the last trial begins (`--whole`: when the search does). Figures, for each number of workers, from when
each has begun two trials: the share of the workers' time in training, the driver's load, messages and trials a second,
milliseconds of a message, the time of 10,000 trials at that pace.

Claim: 512 workers with 60 s trials ("mean") are busy 95 % of the time. `--quick`: 8 and 128 workers, 250 trials,
no verdict.

    python benchmarks/scale.py [--json] [--quick] [--workers N...] [--trials N] [--length full|mean] [--plot FILE.png]
"""

from __future__ import annotations

import argparse
import heapq
import importlib.metadata
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from quickstart import machine
from scale_figures import TARGET, Tally, figures, line, plot
from tabular.table import Table

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.deciding.messages import (
    EpochTrained,
    GoOn,
    HandOver,
    Instruction,
    Ready,
    Report,
    Rest,
    RungReached,
    Test,
    Tested,
    Train,
    Wait,
    Weights,
)  # fmt: skip
from archsearch.search.deciding.search import Search
from archsearch.search.running.conductor import hear
from archsearch.search.running.pace import pause_after, step_seconds
from archsearch.search.session import create
from archsearch.space.loading import load_space

SPACE = Path(__file__).parent.parent / "search_spaces" / "resnet_cifar.yaml"
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
TRIAL, EPOCHS = 60.0, 9
MEAN_EPOCHS = 7 / 3  # of a trial under rungs at 1 and 3 of 9 epochs: 1 + 2/3 + 6/9
RAY_MS = 2.0  # of the driver's thread for each message (scale_ray.py)
Metrics = dict[str, float]
KINDS = {Ready: "ready", EpochTrained: "epoch", RungReached: "rung", Weights: "weights", Tested: "tested"}


class Silent:
    """Nobody looks on."""

    def phase(self, text: str) -> None:
        pass

    def trial(self, trial: object, metrics: object) -> None:
        pass


@dataclass
class Worker:
    """Trains by the table: says what it reports, and how long it takes until then."""

    curves: Curves
    lanes: int
    train: Train | None = None
    done: int = 0
    waits: int = 0

    def carry_out(self, told: Instruction, least: float) -> tuple[float, list[Report], float]:
        """(seconds, reports, seconds of them in training); a step trains epochs for `least` seconds, if it may."""
        match told:
            case Train(state=state):
                self.train, self.done = (
                    told,
                    0 if state is None else json.loads(state[: state.index(b"}") + 1])["epoch"],
                )
                return self._step(least)
            case GoOn():
                return self._step(least)
            case HandOver(number=number):
                assert self.train is not None
                return (
                    0.05,
                    [Weights(number=number, weights=bytes(self.curves.bytes_of(self.train)))],
                    0.05,
                )
            case Test(number=number):
                found = {"test_accuracy": 0.5, "test_loss": 1.0, "images": 9}
                return 1.0, [Tested(number=number, metrics=found)], 1.0
            case Wait():
                self.waits += 1
                return pause_after(self.waits, self.lanes), [Ready()], 0.0
        return 0.0, [Ready()], 0.0

    def _step(self, least: float) -> tuple[float, list[Report], float]:
        assert self.train is not None
        self.waits, spent, reports = 0, 0.0, list[Report]()
        while True:
            self.done += 1
            metrics = self.curves.epoch(self.train, self.done)
            spent += metrics["seconds"]
            pauses, last = self.done == self.train.pause, self.done == EPOCHS
            state = self.curves.state(self.train, self.done) if pauses else None
            goes_on = not pauses and not last and spent < least
            number = self.train.number
            if state is not None:
                reports.append(RungReached(number=number, metrics=metrics, state=state))
            else:
                reports.append(EpochTrained(number=number, metrics=metrics, more=goes_on))
            if not goes_on:
                return spent, reports, spent


class Curves:
    """Recorded accuracies and seconds, by a proposed network's place in the order of FLOPs."""

    def __init__(self, length: str, most: int, trial: float = TRIAL) -> None:
        table = Table.load("fashion")
        keep = np.isfinite(table.validation).all((1, 2))
        order = np.argsort(table.costs["flops"][keep], kind="stable")
        self._accuracy, seconds = table.validation[keep][order], table.seconds[keep][order]
        whole = trial * (1.0 if length == "full" else EPOCHS / MEAN_EPOCHS)
        self._seconds = seconds * whole / seconds.sum(2).mean()
        self._most, self._known = most, dict[int, tuple[int, int, int]]()

    def row(self, train: Train) -> tuple[int, int, int]:
        """(network, seed, parameters)."""
        if train.number not in self._known:
            from archsearch.architecture.cost import cost
            from archsearch.architecture.spec import Architecture

            found = cost(Architecture.from_dict(dict(train.architecture)))
            rank = (found.flops / self._most) ** 0.7  # about uniform over resnet_cifar.yaml's budget
            place = min(len(self._seconds) - 1, int(rank * len(self._seconds)))
            self._known[train.number] = (place, train.seed % 2, found.params)
        return self._known[train.number]

    def epoch(self, train: Train, epoch: int) -> Metrics:
        place, seed, _ = self.row(train)
        # One curve stands for many networks: without a little luck of their own their scores would be ties.
        luck = (train.seed % 997) / 997 * 1e-3
        accuracy, seconds = (float(own[place, seed, epoch - 1]) for own in (self._accuracy, self._seconds))
        return {"epoch": epoch, "epochs": EPOCHS, "train_loss": 1 / epoch, "validation_loss": 1 / epoch,
                "validation_accuracy": accuracy + luck, "learning_rate": 0.1, "images_per_second": 1e3,
                "seconds": seconds}  # fmt: skip

    def bytes_of(self, train: Train) -> int:
        return 4 * self.row(train)[2]

    def state(self, train: Train, epoch: int) -> bytes:
        """As large as weights and momentum are."""
        head = json.dumps({"seed": train.seed, "epoch": epoch}).encode()
        return head + bytes(2 * self.bytes_of(train))


def charged() -> float:
    """Seconds that this thread was at work or blocked: all but what it waited for a core."""
    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return time.perf_counter() - waited


def simulate(search: Search, curves: Curves, workers: int, ray: float, *, trials: int, limit: float) -> Tally:
    """Until so many trials have begun, or `limit` real seconds are over, or every worker rests."""
    until = time.monotonic() + limit
    tally, free, serial, resting = Tally(), 0.0, 0, 0
    crew = [Worker(curves, workers) for _ in range(workers)]
    least = step_seconds(workers)
    events: list[tuple[float, int, int, list[Report]]] = []
    for lane in range(workers):
        heapq.heappush(events, (0.0, lane, lane, [Ready()]))
    serial = workers
    while resting < workers and len(tally.starts) < trials and time.monotonic() < until:
        at, _, lane, reports = heapq.heappop(events)
        began = charged()
        search.lanes = workers
        told = hear(search, reports)
        answered = max(0.0, charged() - began) + ray
        if isinstance(told, Train):
            search.prepare_next()
        service = max(0.0, charged() - began) + ray
        start = max(at, free)
        tally.end = free = start + service
        sent = start + answered
        tally.service.append(service)
        tally.answers[type(told).__name__].append(answered)
        tally.ends.append(free)
        tally.by_kind[f"{KINDS[type(reports[-1])]} -> {type(told).__name__}"].append(service)
        tally.queued += start - at
        if isinstance(told, Train) and told.state is None:
            tally.starts.append(free)
        if isinstance(told, Rest):
            resting += 1
            continue
        seconds, following, training = crew[lane].carry_out(told, least)
        if training:
            tally.work.append((sent, sent + training))
        else:
            tally.waited += seconds
        serial += 1
        heapq.heappush(events, (sent + seconds, serial, lane, following))
    return tally


def run(
    workers: int,
    trials: int,
    length: str,
    place: Path,
    *,
    ray: float,
    sampler: str,
    limit: float,
    whole: bool,
    trial: float = TRIAL,
) -> dict[str, Any]:
    """One search of so many trials by so many workers, in a folder of its own; to its end if it is to be `whole`."""
    sets = (f"search.trials={trials}", f"search.sampler={sampler}", f"training.epochs={EPOCHS}",
            "search.early_stopping={kind: asha, grace_epochs: 1, reduction: 3}",
            "training.precision=float32")  # fmt: skip
    space = load_space(SPACE, sets)
    folder = ExperimentFolder(place / f"{workers}-{length}")
    create(space, folder, name="scale")
    with folder.driver_lock(), Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        began = time.thread_time()
        tally = simulate(
            search, Curves(length, 40_000_000, trial), workers, ray, trials=10**9 if whole else trials, limit=limit
        )
        cpu = time.thread_time() - began
        ledger.end("finished")
    return figures(tally, workers, cpu=cpu, whole=whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS))
    parser.add_argument("--trials", type=int, default=4000, help="of a search; 3 a worker at least")
    parser.add_argument("--whole", action="store_true", help="to the end, where lanes run out of work")
    parser.add_argument("--limit", type=float, default=3600.0, help="real seconds, after which a run is cut off")
    parser.add_argument("--length", choices=("full", "mean"), nargs="+", default=["mean", "full"])
    parser.add_argument("--sampler", default="auto")
    parser.add_argument("--ray-ms", type=float, default=RAY_MS)
    parser.add_argument("--trial-seconds", type=float, default=TRIAL, help="of a trial; the verdict is for 60")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; left out: the system's temporary one")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    workers, trials, lengths = asked.workers, asked.trials, asked.length
    if asked.quick:
        workers, trials, lengths = [8, 128], 250, ["mean"]
    found: dict[str, list[dict[str, Any]]] = {}
    for length in lengths:
        for count in workers:
            enough = max(trials, 3 * count)
            with tempfile.TemporaryDirectory(dir=asked.folder) as place:
                row = run(count, enough, length, Path(place), ray=asked.ray_ms / 1000, sampler=asked.sampler,
                          limit=asked.limit, whole=asked.whole, trial=asked.trial_seconds)  # fmt: skip
            found.setdefault(length, []).append(row)
            print(line(length, row), file=sys.stderr, flush=True)
    judged = [row for row in found.get("mean", []) if row["workers"] == 512]
    document = {
        "name": "scale",
        "figures": {"sampler": asked.sampler, "ray_ms": asked.ray_ms, **found},
        "target": "512 workers with 60 s trials are busy 95 % of the time",
        "met": bool(judged) and judged[0]["busy"] >= TARGET,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "ray", "optuna", "torch")},
        "n": 1,
    }
    if asked.plot:
        plot(found, asked.plot)
    print(json.dumps(document, indent=2) if asked.json else f"{document['machine']}\n{document['target']}: "
          f"{'met' if document['met'] else 'missed'}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
