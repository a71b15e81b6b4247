"""How many trials share a GPU, where `resources.gpus_per_trial` is auto: as many as fit by predicted memory.

The largest network that the budget admits decides, since any lane may get it. What torch itself takes in each process,
the pools of CUDA graphs, and the images where they go to the GPU, are added; a tenth of the GPU is left for what nobody
foretold (cuDNN's workspaces, fragments). A lane may take no more than its share (`memory_fraction`), so that one that
runs out of memory is the one that took too much. The decision is arithmetic; how well it fits was not yet seen on a
GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.reading.errors import refuse
from archsearch.space.many.feasible import Feasible
from archsearch.space.space import SearchSpace

CONTEXT = 600 * 2**20  # bytes: CUDA's context and torch's kernels in each process, as commonly seen (not measured here)
GRAPHED = (
    1.5  # times as much with graphs: a step's memory is their pool's, and evaluation's is taken beside it (estimate)
)
SPARED = 0.1  # of the GPU's memory
MOST = 8  # trials: beyond, they wait for one another's kernels, whatever the memory
SAMPLED = 2000  # networks within the budget of which the largest is taken
DEVICE_SHARE = 0.25  # of the GPU: where the images are larger, feed.py leaves them in the host's memory


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """The GPUs of one node: how many, the bytes of the smallest, and the node's CPU cores."""

    count: float
    bytes: int
    cpus: float


def pack(*, network: int, images: int, nodes: Sequence[Gpus], threads: int, limit: int = MOST) -> int:
    """How many trials share a GPU, from the bytes of the largest network's training and of the images. The smallest GPU
    decides, and the node with the fewest cores a GPU: a trial takes `threads` of them. 0 where not one fits."""
    fits = []
    for node in nodes:
        on_device = images if images <= DEVICE_SHARE * node.bytes else 0
        by_memory = int(node.bytes * (1 - SPARED) // (network + on_device + CONTEXT))
        by_cores = max(1, int(node.cpus / node.count // threads))
        fits.append(min(by_memory, by_cores))
    return min(*fits, limit)


def share_of(trials: int) -> float:
    """gpus_per_trial for so many trials on a GPU, rounded down to Ray's four digits, so that all of them fit."""
    return int(10_000 / trials) / 10_000


def memory_fraction(share: float, total: int) -> float:
    """The share of a GPU of `total` bytes that torch may take in a process that holds this `share` of it: what a CUDA
    context takes, which torch does not count, is left out. At least a tenth of its share."""
    return max(share - CONTEXT / total, share / 10)


def largest_training(space: SearchSpace, *, samples: int = SAMPLED) -> int:
    """Bytes that training takes of the largest network within the budget: of `samples` uniform ones, and a tenth more
    for the one that was not among them; at most the budget's own bound, where it has one. The same each time."""
    feasible = Feasible(space, seed=0)
    rows = feasible.draw(samples, np.random.default_rng(0))
    largest = int(feasible.costs(rows)["memory"].max()) if len(rows) else 0
    bound = dict(space.budget.bounds()).get("memory")
    high = None if bound is None else bound.high
    return int(1.1 * largest) if high is None else min(int(1.1 * largest), high)


def packed(space: SearchSpace, images: int, nodes: Sequence[Gpus]) -> tuple[float, str]:
    """(gpus_per_trial, a text that says so) for a space with `gpus_per_trial: auto` and so many bytes of images, on
    these nodes, one at least. Raises InputError where the largest network does not fit."""
    network = int(largest_training(space) * (GRAPHED if space.training.graph == "auto" else 1))
    trials = pack(network=network, images=images, nodes=nodes, threads=space.resources.threads)
    smallest, gib = min(node.bytes for node in nodes), 2**30
    if not trials:
        raise refuse(
            "resources.gpus_per_trial is auto, but training the largest network takes "
            f"{network / gib:.1f} GiB, and a GPU has {smallest / gib:.1f}",
            hint="limit the networks with budget: {memory: {max: ...}}, or reduce the memory of "
            "each with training.micro_batch",
        )
    return share_of(trials), (
        f"{trials} per GPU: {network / gib:.2f} GiB each at most (estimate), and a GPU has {smallest / gib:.1f}"
    )
