"""A GPU that runs out of memory, and one whose kernel asserts: what a trial's error is called, and what trains next.

On a CPU: the texts of allocators that are known, and an allocation that the system refuses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch

import archsearch
from archsearch.search.running.worker import DEVICE_LOST
from archsearch.training.devices import gpu_problem
from archsearch.training.diagnosis import OUT_OF_MEMORY, failure_of
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Gpu, Setting
from benchmarks.gpu_sections.ways import on_noise
from benchmarks.gpu_sections.workers import Worker, WorkerFailed, workers

ALLOWED = 2 * 2**30  # bytes, of a process whose trial is larger
REMAINING = 300 * 2**20  # bytes of a GPU that is nearly full: less than a context takes


def run(row: Row, setting: Setting) -> None:
    with row.part("known texts"):
        kinds = [failure_of(RuntimeError(f"x {text} y")).kind for text in OUT_OF_MEMORY]
        kinds += [failure_of(error).kind for error in (MemoryError(), torch.cuda.OutOfMemoryError("x"))]
        row.mark("known texts", f"{kinds.count('oom')} of {len(kinds)} are oom", "all", passed={*kinds} == {"oom"})
    if setting.gpu is None:
        row.leave_out("a GPU out of memory, a device assert", NO_GPU)
        with row.part("the system refuses memory"):
            kind, text = refused()
            row.mark("memory of a CPU", f"{kind}: {text}", "oom", passed=kind == "oom")
            row.mark("the next training", loss := a_loss(setting), "a finite loss", passed=math.isfinite(loss))
        return
    with ExitStack() as stack:
        lanes = {}
        for name in ("too_large", "on_a_full_gpu", "asserting", "neighbour", "following"):
            function = name if name in globals() else "training"
            (lanes[name],) = stack.enter_context(workers(1, f"failures:{function}", setting))
        with row.part("processes start"):
            for lane in lanes.values():
                lane.answer(row.remaining())  # it is ready
        on_gpu(row, setting, setting.gpu, lanes)


def on_gpu(row: Row, setting: Setting, gpu: Gpu, lanes: dict[str, Worker]) -> None:
    """What lanes that are ready, and have nothing on the GPU yet, make of each failure."""
    with row.part("a process out of memory"):
        row.needs(1)
        lane = lanes["too_large"]
        kind, text = lane.next(row.remaining())
        row.mark("out of memory in the process", f"{kind}: {text}", "oom", passed=kind == "oom")
        loss = lane.next(row.remaining())
        row.mark("the next trial, there", loss, "a finite loss", passed=math.isfinite(loss))
    with row.part("a GPU that is full"):
        row.needs(1)
        full(row, setting, gpu, lanes["on_a_full_gpu"])
    with row.part("a device assert"):
        row.needs(1)
        before = lanes["neighbour"].next(row.remaining())
        kind, text, problem = lanes["asserting"].next(row.remaining())
        named = DEVICE_LOST in text and bool(problem)
        row.mark("a device assert", f"{kind}: {text}; {problem}", f"{DEVICE_LOST}, and the GPU's problem", passed=named)
        after = lanes["neighbour"].next(row.remaining())
        row.mark("its neighbour", [before, after], "finite losses", passed=math.isfinite(before + after))
    with row.part("after a device assert"):
        row.needs(1)
        loss = lanes["following"].next(row.remaining())
        row.mark("the next trial", loss, "a finite loss", passed=math.isfinite(loss))


def refused() -> tuple[str, str]:
    """(kind of the failure, text) of an allocation that no machine has room for."""
    try:
        torch.empty(2**60, dtype=torch.uint8)
    except Exception as error:  # any: what kind it is, is the question
        return failure_of(error).kind, str(error).splitlines()[0][:160]
    return "none", "it was allowed"


def a_loss(setting: Setting) -> float:
    """The loss of a small network's epoch, anew."""
    network = archsearch.zoo.get("resnet20_cifar")
    stages = tuple(stage.model_copy(update={"depth": 1}) for stage in network.stages)
    small = network.model_copy(update={"stages": stages, "input": (3, 16, 16)})
    return float(on_noise(small, setting, batch=8, steps=2).train_epoch()[0])


def too_large(setting: Setting) -> Iterator[Any]:
    """Yields (kind, text) of a trial that the process has no memory for, then the loss of another one in it."""
    assert setting.gpu is not None
    yield "ready"
    setting.gpu.limit(min(1.0, ALLOWED / setting.gpu.memory()[1]))
    try:
        if setting.rehearsed:
            raise torch.cuda.OutOfMemoryError("a rehearsal")
        network = archsearch.zoo.get("resnet50")
        on_noise(network, setting, batch=256, steps=1).train_epoch()
        answer = "none", "it had room"
    except Exception as error:  # any: what kind it is, is the question
        answer = failure_of(error).kind, str(error).splitlines()[0][:160]
    yield answer
    setting.gpu.forget()
    yield a_loss(setting)


def full(row: Row, setting: Setting, gpu: Gpu, lane: Worker) -> None:
    """A trial begins on a GPU that this process has filled: whatever it raises is to be called oom."""
    gpu.forget()
    room = 2**20 if setting.rehearsed else max(0, gpu.memory()[0] - REMAINING)
    held = torch.empty(room, dtype=torch.uint8, device=setting.device)
    try:
        kind, text = lane.next(row.remaining())
    except WorkerFailed as error:
        kind, text = failure_of(RuntimeError(str(error))).kind, str(error)[:160]
    finally:
        del held
        gpu.forget()
    row.mark("out of memory on a full GPU", f"{kind}: {text}", "oom, or it trains", passed=kind in ("oom", "none"))


def on_a_full_gpu(setting: Setting) -> Iterator[Any]:
    """Yields (kind, text) of what a trial raises. Runs in a worker."""
    yield "ready"
    try:
        a_loss(setting)
        answer = "none", "it trained"
    except Exception as error:  # any: what kind it is, is the question
        answer = failure_of(error).kind, str(error).splitlines()[0][:160]
    yield answer


def training(setting: Setting) -> Iterator[float]:
    """Yields the loss of one training after another. Runs in a worker."""
    yield "ready"
    while True:
        yield a_loss(setting)


def asserting(setting: Setting) -> Iterator[Any]:
    """Yields (kind, text, the GPU's problem as a lane looks for it) after a kernel has asserted. Runs in a worker."""
    assert setting.gpu is not None
    yield "ready"
    a_loss(setting)
    try:
        setting.gpu.assert_on_device()
        answer = "none", "nothing was raised", None
    except Exception as error:  # any: what kind it is, is the question
        answer = failure_of(error).kind, str(error).splitlines()[0][:160], gpu_problem()
    yield answer
