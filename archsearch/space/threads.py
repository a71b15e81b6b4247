"""How many threads a training has on a CPU, the one decision: the cores are shared among as many trainings as run at
once. Only where that leaves several to each is it measured whether they are worth it (training/measuring/threads.py).
On a GPU, trainings need more than one core each where images are read from disk meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

THREADS = "threads"  # of the ledger's notes: a device, and `Threads.to_dict`
MOST_READERS = 16  # cores of a training on a GPU: as many as processes read its images, at most
ENOUGH_TRAININGS = "as many trainings as cores run at once"


@dataclass(frozen=True, kw_only=True)
class Threads:
    """How many threads each training has, and a text for people that says why."""

    threads: int
    text: str

    @classmethod
    def of(cls, threads: int, reason: str) -> Self:
        """The number with its reason as the text."""
        return cls(threads=threads, text=f"{threads} thread{'s' if threads > 1 else ''} per training: {reason}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"threads": self.threads, "text": self.text}


def most_threads(cores: Sequence[float], trainings: int) -> int:
    """How many threads each of `trainings` that run at once may have on nodes with so many cores, such that no fewer of
    them run at once than with one thread each; at least one."""
    trainings = max(1, min(trainings, sum(int(count) for count in cores)))
    threads = max(1, int(max(cores, default=1)))
    while threads > 1 and sum(int(count // threads) for count in cores) < trainings:
        threads -= 1
    return threads


def readers(nodes: Sequence[tuple[float, float]], trainings_a_gpu: int) -> int:
    """How many cores each training on a GPU may have on nodes of (cores, GPUs), one GPU at least; at least one."""
    return max(1, min(MOST_READERS, *(int(cores // (gpus * trainings_a_gpu)) for cores, gpus in nodes)))
