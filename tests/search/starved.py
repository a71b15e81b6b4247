"""A worker with little memory: prints, as JSON, what it reports of a trial whose batch does not fit; see
test_failures."""

import json
import resource
import sys
from pathlib import Path

from archsearch.search.messages import Train
from archsearch.search.objective import TrialWorker
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.datasets import load_images

WIDE = {
    "name": "wide",
    "input": [1, 8, 8],
    "classes": 10,
    "stem": {"kernel": 3, "width": 256},
    "stages": [{"depth": 2, "width": 256}],
}


def address_space() -> int:
    """Bytes that this process has mapped."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main(spare: int) -> None:
    """`spare` bytes beyond what the process has once it has trained a small batch."""
    settings = TrainingSettings(epochs=1, batch_size=1024, precision="float32")
    worker = TrialWorker(load_images(DataSettings(limit=1100, validation=64)), settings, threads=1)
    words = {"number": 1, "attempt": 1, "architecture": WIDE, "seed": 0}
    small = worker.carry_out(Train(**words, micro_batch=16))
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + spare, resource.RLIM_INFINITY))
    said = [small.kind]
    for micro_batch in (None, 512, 256, 128, 64):
        report = worker.carry_out(Train(**words, micro_batch=micro_batch))
        said.append(report.reason or report.kind)
    print(json.dumps(said))


if __name__ == "__main__":
    main(int(sys.argv[1]))
