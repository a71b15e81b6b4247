"""What Ray and Ray Tune take of the driver for each message, by the number of lanes: the part of scale.py that a
virtual clock cannot know. Lanes report at once, without training; the search is left out: what remains is Ray's.

    python benchmarks/scale_ray.py LANES [MESSAGES]    prints one JSON document

The lanes are those of search/running/executor.py, scheduled by its `Schedule`, with a worker that does nothing; torch
is not imported, so that many fit on one machine. CPU seconds, for the lanes and the driver share the cores here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from archsearch.search.running.environment import prepare

prepare(None)  # before Ray is imported
# ruff: noqa: E402
import ray
from ray import tune
from ray.tune import RunConfig, TuneConfig, Tuner

from archsearch.search.deciding.messages import EpochTrained, GoOn, Instruction, Report, Rest
from archsearch.search.running.executor import Lane, Schedule, StepReports

METRICS = {"epoch": 1, "epochs": 9, "train_loss": 1.0, "validation_accuracy": 0.5, "seconds": 0.1}


class NoOp(Lane):
    """A lane whose trials take no time."""

    def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
        self._instruction = GoOn(number=0)

    def tell(self, instruction: Instruction) -> None:
        self._instruction = instruction

    def step(self) -> dict[str, Any]:
        return {"reports": StepReports([EpochTrained(number=1, metrics=METRICS)])}


class Counting:
    """In the place of the executor's `Conductor`: counts, from when every lane has reported, and ends."""

    def __init__(self, lanes: int, messages: int) -> None:
        self._lanes, self._messages = lanes, messages
        self._seen: set[str] = set()
        self.began: tuple[float, float, float] | None = None
        self.ended: tuple[float, float, float] | None = None
        self.count = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def follow(self, lane: str, reports: Sequence[Report]) -> Instruction:
        assert reports
        self._seen.add(lane)
        if len(self._seen) < self._lanes:
            return GoOn(number=1)
        if self.began is None:
            self.began = _now()
        self.count += 1
        if self.count < self._messages:
            return GoOn(number=1)
        self.ended = self.ended or _now()
        return Rest()


def _now() -> tuple[float, float, float]:
    return time.thread_time(), time.process_time(), time.perf_counter()


def measure(lanes: int, messages: int) -> dict[str, Any]:
    """Milliseconds of the driver a message: its one thread's CPU time, all its threads', and the wall's."""
    ray.init(address="local", _node_ip_address="127.0.0.1", num_cpus=lanes, object_store_memory=2**28,
             include_dashboard=False, log_to_driver=False, logging_level="ERROR")  # fmt: skip
    counting = Counting(lanes, messages)
    try:
        Tuner(
            tune.with_resources(NoOp, {"cpu": 1}),
            tune_config=TuneConfig(num_samples=lanes, scheduler=Schedule(counting)),  # type: ignore[arg-type]
            run_config=RunConfig(verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    assert counting.began and counting.ended
    spent = [1000 * (after - before) / messages for before, after in zip(counting.began, counting.ended, strict=True)]
    names = ("thread_ms", "process_ms", "wall_ms")
    return {"lanes": lanes, "messages": messages, **dict(zip(names, spent, strict=True))}


if __name__ == "__main__":
    count = int(sys.argv[1])
    print(json.dumps(measure(count, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)))
