"""Workers that import what a lane needs before there is one: while the driver itself imports Ray Tune."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import ray

if TYPE_CHECKING:
    from archsearch.space.settings import ResourceSettings


def warm_up(resources: ResourceSettings, lanes: int) -> None:
    """Has as many idle workers as there will be lanes import what a lane needs, while the driver imports Ray Tune.

    The lanes then start in these processes. Nobody waits for it, and where it fails nothing is lost but time.
    """
    need = {"num_cpus": resources.threads, "num_gpus": resources.gpu_share}
    # Without max_calls=0 Ray ends the process of a task with a GPU after one call.
    task = ray.remote(**need, max_retries=0, max_calls=0)(_import)
    for _ in range(lanes):
        task.remote()


def _import() -> None:
    try:
        import archsearch.search.running.executor  # noqa: F401
        from archsearch.search.running.worker import load_trainer

        load_trainer()
    except MemoryError:  # Ray needs memory to report it, and prints a traceback; the lane that starts says it in words
        os._exit(1)
