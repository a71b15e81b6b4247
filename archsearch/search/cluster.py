"""Ray itself: a cluster of our own or somebody's, and what it has. Ray Tune is executor.py's.

Apart from it, since importing Ray Tune takes seconds that the workers can use to import what they need.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import ray

if TYPE_CHECKING:
    from archsearch.space.settings import ResourceSettings


class RayFailed(RuntimeError):
    """Ray did not start, or nobody answers at the address."""


@contextmanager
def cluster(address: str | None, *, object_bytes: int) -> Iterator[None]:
    """A Ray of our own on this machine's loopback, or the running one at `address`; left behind as it was.

    Raises RayFailed. On a busy machine Ray's own processes may miss their deadlines: it is tried twice.
    """
    for attempt in (1, 2):
        try:
            _connect(address, object_bytes)
            break
        except Exception as error:
            ray.shutdown()
            if attempt == 2:
                reason = str(error).strip().split("\n")[0][:200]
                raise RayFailed(f"Ray did not start: {type(error).__name__}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, object_bytes: int) -> None:
    if address is not None:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        return
    ray.init(
        address="local",
        _node_ip_address="127.0.0.1",
        num_cpus=os.cpu_count(),
        object_store_memory=2 * object_bytes + 2**28,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )


def settle(resources: ResourceSettings, *, ours: bool) -> tuple[ResourceSettings, list[str]]:
    """What a trial gets of what there is, and what was settled otherwise than asked, in words.

    A trial that asks for more than any machine has would wait for ever. On a Ray of our own it gets what this
    machine has; of somebody's cluster too little is an error (RayFailed).
    """
    have, changes, notes = ray.cluster_resources(), dict[str, float](), []
    if resources.gpus_per_trial and not have.get("GPU"):
        changes["gpus_per_trial"] = 0.0
        notes.append(f"no GPU for gpus_per_trial: {resources.gpus_per_trial:g}; trials run on the CPU")
    if resources.cpus_per_trial > have.get("CPU", 1):
        changes["cpus_per_trial"] = max(1, int(have.get("CPU", 1)))
        notes.append(f"{changes['cpus_per_trial']:g} cores for cpus_per_trial: {resources.cpus_per_trial}")
    if notes and not ours:
        raise RayFailed(f"the cluster has {'; '.join(notes)}; set resources.gpus_per_trial and cpus_per_trial to fit")
    return resources.model_copy(update=changes), notes


def lanes_that_fit(resources: ResourceSettings, trials: int) -> int:
    """How many trials run at once on what the cluster has; at least one."""
    have = ray.cluster_resources()
    fits = int(have.get("CPU", 1) // resources.cpus_per_trial)
    if resources.gpus_per_trial:
        fits = min(fits, int(have.get("GPU", 0) / resources.gpus_per_trial))
    return max(1, min(fits, trials, resources.max_concurrent or fits))
