"""A worker with little memory: prints, as lines of JSON, what it reports of a trial whose batch does
not fit; see test_failures."""

import json
import resource
import sys
from pathlib import Path

from archsearch.data.datasets import load_images
from archsearch.search.deciding.messages import EpochTrained, Train, TrialFailed
from archsearch.search.running.worker import TrialWorker
from archsearch.space.settings import DataSettings, TrainingSettings

WIDE = {
    "name": "wide",
    "input": [1, 8, 8],
    "classes": 10,
    "stem": {"kernel": 3, "width": 1024},
    "stages": [{"depth": 1, "width": 16}],
}
"""Nearly all of its memory is three tensors, 256 KiB an image each: what fails is the request for one of them, with
megabytes to spare for everything small. A library that cannot get its few kilobytes may end the process instead."""
WHOLE, PART = 1024, 64


def address_space() -> int:
    """Bytes that this process has mapped."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main(spares: list[int]) -> None:
    """`spares`: bytes beyond what the process has once it has trained a part of the batch at once."""
    settings = TrainingSettings(epochs=1, batch_size=WHOLE, precision="float32")
    worker = TrialWorker(load_images(DataSettings(limit=1100, validation=64)), settings, threads=1)

    def said(micro_batch: int | None) -> str:
        words = {"number": 1, "attempt": 1, "architecture": WIDE, "seed": 0, "micro_batch": micro_batch}
        report = worker.carry_out(Train(**words))
        assert isinstance(report, EpochTrained | TrialFailed)
        return str(report.failure) if isinstance(report, TrialFailed) else "epoch"

    print(json.dumps(said(PART)))
    used = address_space()
    for spare in spares:
        resource.setrlimit(resource.RLIMIT_AS, (used + spare, resource.RLIM_INFINITY))
        print(json.dumps([said(micro_batch) for micro_batch in (None, None, None, PART)]))


if __name__ == "__main__":
    main([int(spare) for spare in sys.argv[1:]])
