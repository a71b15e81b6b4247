"""CUDA graphs of a thread: one stream and one pool of memory, which its trainings use one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

_THREAD = threading.local()  # its attribute `lanes`: of this thread, by device


class Lane:
    """A stream for captures, and the pool in which captured steps have their memory.

    Without a pool of their own the graphs of each training would take memory anew, beside what the last one's left. A
    pool is gone with its last graph: `_anchor`, which computes nothing of use, holds it from one training to the next.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.pool, self._anchor = torch.cuda.graph_pool_handle(), torch.cuda.CUDAGraph()
        self.capture(self._anchor, lambda: torch.zeros(1, device=device))

    def capture(self, graph: torch.cuda.CUDAGraph, function: Callable[[], object]) -> None:
        """Captures what the function launches; other threads may allocate meanwhile."""
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            function()


def lane_of(device: torch.device) -> Lane:
    """This thread's lane on a GPU."""
    lanes: dict[torch.device, Lane] = _THREAD.__dict__.setdefault("lanes", {})
    if device not in lanes:
        with torch.cuda.device(device):
            lanes[device] = Lane(device)
    return lanes[device]


def forget_lanes() -> None:
    """Lets go of this thread's pools: their memory is torch's again once the trainings that use them are gone."""
    _THREAD.__dict__.pop("lanes", None)


def captured(function: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The replay of a function, which is captured, not carried out. It has been carried out before, so that what
    libraries set up at a first call is there. Raises RuntimeError for what a graph cannot hold."""
    if device.type != "cuda":
        raise RuntimeError(f"no CUDA graph on {device}")
    graph = torch.cuda.CUDAGraph()
    try:
        lane_of(device).capture(graph, function)
    except BaseException:
        forget_lanes()  # a capture that breaks off leaves its stream and its pool in an unknown state
        raise
    return graph.replay


def aside(function: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The function on the stream of captures, as libraries want what comes before one; other work waits for it."""

    def taken() -> None:
        if device.type != "cuda":
            function()
            return
        stream, current = lane_of(device).stream, torch.cuda.current_stream(device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            function()
        current.wait_stream(stream)

    return taken


def random_state(device: torch.device) -> Tensor:
    """The state of torch's own generator for a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """The inverse of `random_state`."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
