"""The clock by which a device's work is timed, and torch's threads while it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch


class Clock:
    """Seconds, read when `device` has done what it was told to.

    `kind` thread is the calling thread's CPU time, which stands while another process has the core: read for a CPU with
    one torch thread. Otherwise it is the wall's.
    """

    def __init__(self, device: torch.device, threads: int) -> None:
        self.device = device
        self.kind: Literal["thread", "wall"] = "thread" if device.type == "cpu" and threads == 1 else "wall"
        self._read = time.thread_time if self.kind == "thread" else time.perf_counter

    def __call__(self) -> float:
        """Waits for the device, then reads the clock; only differences mean anything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self._read()


@contextmanager
def torch_threads(count: int | None) -> Iterator[int]:
    """Inside, torch has `count` threads (None: as many as before), which is yielded; afterwards as many as before,
    whatever was set inside."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
