"""The clock by which a device's work is timed, and torch's threads while it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch

from archsearch.training.epoch.capture import aside, captured


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


class GpuRuns:
    """Repeats a `run` on a GPU and times it by the GPU's own clock (CUDA events), several runs behind one another: the
    time that Python takes to launch kernels is not the network's, least of all on a machine that others use.

    `kind` graph: a run is one replay of a CUDA graph. Where it cannot be captured, kernels are launched one by one, and
    a GPU that waits for launches is timed with them: `kind` events.
    """

    TIMES = 10  # runs of a call, behind one another: a GPU that has nothing to do waits for the first one's launch

    def __init__(self, run: Callable[[], object], device: torch.device) -> None:
        aside(run, device)()
        self.kind: Literal["graph", "events"] = "graph"
        try:
            self._run: Callable[[], object] = captured(run, device)
        except RuntimeError:
            self._run, self.kind = run, "events"
        event = partial(torch.cuda.Event, enable_timing=True)
        self._start, self._end = event(), event()
        self._seconds = 0.0

    def __call__(self) -> None:
        """Takes TIMES runs, and waits for them."""
        self._start.record()
        for _ in range(self.TIMES):
            self._run()
        self._end.record()
        self._end.synchronize()
        self._seconds += self._start.elapsed_time(self._end) / 1e3 / self.TIMES

    def clock(self) -> float:
        """The seconds of a run, added up over all calls; only differences mean anything."""
        return self._seconds


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
