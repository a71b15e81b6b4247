"""The stream and the pool of a thread's graphs, with stand-ins for CUDA's."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
import torch

from archsearch.search.running.worker import release_memory
from archsearch.training.epoch import capture
from archsearch.training.epoch.capture import captured, forget_lanes

GPU, OTHER = torch.device("cuda", 0), torch.device("cuda", 1)


class Graph:
    """Stands for a CUDA graph: it has what was captured, and carries it out when it is replayed."""

    def __init__(self) -> None:
        self.pool: int | None = None
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, Any]]]:
    """(pool, stream) of each capture."""
    captures: list[tuple[Any, Any]] = []
    handles, streams = count(), count(100)

    @contextmanager
    def capturing(graph: Graph, *, pool: int, stream: int, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        captures.append((pool, stream))
        yield
        graph.pool = pool

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        yield

    zeros = torch.zeros

    def on_the_cpu(*size: Any, device: Any = None, **others: Any) -> torch.Tensor:
        return zeros(*size, **others)

    stand_ins = {
        "CUDAGraph": Graph, "graph": capturing, "graph_pool_handle": handles.__next__,
        "Stream": lambda device: next(streams), "device": on, "empty_cache": lambda: None,
    }  # fmt: skip
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch, "zeros", on_the_cpu)
    forget_lanes()
    yield captures
    forget_lanes()


def test_graphs_of_a_thread_share_one_pool_which_outlives_each_of_them(pools: list[tuple[Any, Any]]) -> None:
    first = captured(lambda: None, GPU)
    first()
    graph = weakref.ref(first.__self__)
    del first
    assert graph() is None, "a graph is gone with its training"
    captured(lambda: None, GPU)
    assert len(set(pools)) == 1 and len(pools) == 3, "the anchor's capture, and two"
    captured(lambda: None, OTHER)
    assert len(set(pools)) == 2, "another GPU has another pool"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(captured, lambda: None, GPU).result()
    assert len(set(pools)) == 3, "so has another thread, whose replays may run at the same time"


def test_a_capture_that_breaks_off_takes_its_pool_with_it(pools: list[tuple[Any, Any]]) -> None:
    def failing() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    captured(lambda: None, GPU)
    with pytest.raises(RuntimeError, match="not permitted"):
        captured(failing, GPU)
    captured(lambda: None, GPU)
    assert pools[-1] != pools[0] and pools[-1] == pools[-2]


def test_a_trial_that_failed_lets_go_of_the_pool(pools: list[tuple[Any, Any]]) -> None:
    anchor = weakref.ref(capture.lane_of(GPU)._anchor)
    release_memory()
    assert anchor() is None


def test_there_is_no_graph_on_a_cpu() -> None:
    with pytest.raises(RuntimeError, match="no CUDA graph on cpu"):
        captured(lambda: None, torch.device("cpu"))
