"""Fault 14: many trials that cost nothing. What a trial costs the driver, first and last, and what memory it takes."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from archsearch.experiment import ExperimentFolder
from archsearch.search.deciding.search import Search
from tests.faults.driving import drive, new

# Many networks, each cheap to describe.
WIDE = (
    "space.stages=3",
    "space.depth={int: [1, 6], each: stage}",
    "space.width={choice: [4, 8, 12, 16, 24, 32, 48, 64], each: stage, order: increasing}",
    "budget={flops: {max: 100M}}",
)
PLAIN = ("training.epochs=1", "search.early_stopping={kind: none}")
HALVING = ("training.epochs=3",)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """CPU milliseconds a trial among the first and the last tenth; megabytes after a tenth and at the end."""

    folder: ExperimentFolder
    trials: int
    first_ms: float
    last_ms: float
    early_mb: float
    late_mb: float
    seconds: float

    @property
    def ratio(self) -> float:
        return self.last_ms / self.first_ms


def many(place: Path, trials: int, *words: str, sampler: str = "random") -> Figures:
    """Drives them in this process. CPU time, for the disk and the neighbours are not the question."""
    folder = new(place, *WIDE, *words, f"search.trials={trials}", f"search.sampler={sampler}")
    marks: list[tuple[float, float]] = []  # when a trial first showed: CPU seconds, megabytes
    seen = 0

    def look(search: Search) -> None:
        nonlocal seen
        total = search.ledger._db.execute("SELECT MAX(number) FROM trials").fetchone()[0] or 0  # counting takes longer
        if total > seen:
            seen = total
            marks.append((time.process_time(), _megabytes()))

    began = time.monotonic()
    drive(folder, after_each=look)
    tenth = max(1, len(marks) // 10)
    return Figures(
        folder=folder,
        trials=len(marks),
        first_ms=1000 * (marks[tenth][0] - marks[0][0]) / tenth,
        last_ms=1000 * (marks[-1][0] - marks[-1 - tenth][0]) / tenth,
        early_mb=marks[tenth][1],
        late_mb=marks[-1][1],
        seconds=time.monotonic() - began,
    )


def _megabytes() -> float:
    """Resident now; where there is no /proc, at most so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    import cProfile
    import pstats
    import tempfile

    number, kind, by = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory() as place, cProfile.Profile() as profile:
        print(many(Path(place), number, *(PLAIN if kind == "plain" else HALVING), sampler=by), flush=True)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
