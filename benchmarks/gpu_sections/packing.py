"""Trials that share a GPU: 1 to 16 processes that take turns, the same under MPS, and threads that replay graphs."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_sections.row import NoTime, Row
from benchmarks.gpu_sections.setting import MEBI, NO_GPU, Gpu, Setting
from benchmarks.gpu_sections.steps import SUBJECTS
from benchmarks.gpu_sections.ways import fewest, on_noise, problem_of, replayable_here
from benchmarks.gpu_sections.workers import mps, workers

CONTEXT = (350, 750)  # MiB
FOUR = 1.8  # times one


def run(row: Row, setting: Setting) -> None:
    counts = [1, 2] if setting.quick or setting.gpu is None else [1, 2, 4, 8, 16]
    seconds = 0.3 if setting.quick or setting.gpu is None else 2.0
    rates: dict[str, dict[int, float]] = {}
    if setting.gpu is None:
        row.leave_out("a context, MPS, threads with graphs", NO_GPU)
    else:
        with row.part("a context"):
            row.needs(5)
            context(row, setting, setting.gpu)
    with row.part("processes that take turns"):
        row.needs(15)
        rates["turns"] = {}
        steps_a_second(rates["turns"], row, "turns", setting, counts, seconds)
    if setting.gpu is not None:
        with row.part("processes under MPS"):
            row.needs(15)
            folder = Path(os.environ.get("PROOF_FOLDER") or tempfile.mkdtemp()) / "mps"
            try:
                with mps(folder) as environment:
                    rates["MPS"] = {}
                    steps_a_second(rates["MPS"], row, "MPS", setting, counts, seconds, environment)
            except OSError as error:
                row.leave_out("MPS", f"{type(error).__name__}: {str(error)[:300]}")
        with row.part("threads with graphs"):
            row.needs(8)
            rates["threads"] = threads(row, setting, setting.gpu, [one for one in counts if one <= 8], seconds)
        best = {way: of[4] / of[1] for way, of in rates.items() if 4 in of and of.get(1)}
        if not setting.quick:
            processes = {way: round(times, 2) for way, times in best.items() if way != "threads"}
            row.mark(
                "4 processes over one", processes, f"{FOUR} times, either way",
                passed=max(processes.values(), default=0.0) >= FOUR,
            )  # fmt: skip


def context(row: Row, setting: Setting, gpu: Gpu) -> None:
    """What a process takes of the GPU that has done next to nothing there."""
    before = gpu.memory()[0]
    with workers(1, "packing:idle", setting) as (worker,):
        worker.answer(row.remaining())
        size = round((before - gpu.memory()[0]) / MEBI)
    low, high = CONTEXT
    row.mark("a context, MiB", size, f"{low} to {high}", passed=low <= size <= high or setting.rehearsed)


def idle(setting: Setting) -> Iterator[bool]:
    """Has a context. Runs in a worker."""
    one = torch.ones(1, device=setting.device)
    setting.wait()
    yield bool(one.item() == 1)


def steps_a_second(
    rates: dict[int, float],
    row: Row,
    way: str,
    setting: Setting,
    counts: list[int],
    seconds: float,
    environment: dict[str, str] | None = None,
) -> None:
    """Fills steps a second of so many processes together. All are started once; those that take no part wait."""
    with workers(max(counts), "packing:lane", setting, environment, seconds=seconds) as lanes:
        for waiting in lanes:
            waiting.answer(row.remaining())
        for count in counts:
            if row.remaining() < 2 * seconds:
                row.leave_out(f"{way}: {count}", "no time remains")
                break
            for taking in lanes[:count]:
                taking.go()
            rates[count] = round(sum(taking.answer(row.remaining()) for taking in lanes[:count]), 1)
            row.figure(f"{way}: steps a second by processes", dict(rates))


def lane(setting: Setting, seconds: float) -> Iterator[Any]:
    """Yields when it is ready, then steps a second, whenever it is asked. Runs in a worker."""
    with fewest(0), replayable_here(setting):
        training = subject(setting)
        training.train_epoch()
        setting.wait()
        yield "ready"
        while True:
            steps, start = 0, time.perf_counter()
            while time.perf_counter() - start < seconds:
                training.train_epoch()
                steps += training.steps
            setting.wait()
            yield steps / (time.perf_counter() - start)


def subject(setting: Setting) -> Any:
    """A training of ResNet-20."""
    cuda = setting.device.type == "cuda"
    steps, batch = (20, 128) if cuda else (2, 4)
    return on_noise(SUBJECTS[0].architecture(setting), setting, batch=batch, steps=steps, precision="bfloat16")


def threads(row: Row, setting: Setting, gpu: Gpu, counts: list[int], seconds: float) -> dict[int, float]:
    """Steps a second of so many threads of one process. Each has a stream and a training of its own, whose steps it
    captures itself, one thread at a time: a pool of captured steps is a thread's."""
    rates: dict[int, float] = {}
    steps, problems = [0] * max(counts), [None] * max(counts)
    errors: list[Exception] = []
    taking, ready, capturing = [0], threading.Barrier(max(counts) + 1), threading.Lock()

    def trains(number: int) -> None:
        try:
            with gpu.stream():
                with capturing:
                    training = subject(setting)
                    training.train_epoch()
                    training.model.train()
                    gpu.drain()
                    problems[number] = problem_of(training)
                ready.wait()
                while True:
                    ready.wait()  # for the next number of threads
                    if not taking[0]:
                        return
                    start = time.perf_counter()
                    while number < taking[0] and time.perf_counter() - start < seconds:
                        for _ in training.graph.stepped(training._plan()):
                            steps[number] += 1
                        gpu.drain()
                    ready.wait()
        except threading.BrokenBarrierError:
            return
        except Exception as error:  # any: raised below
            errors.append(error)
            ready.abort()

    running = [threading.Thread(target=trains, args=(number,), daemon=True) for number in range(max(counts))]
    with fewest(0), replayable_here(setting):
        for thread in running:
            thread.start()
        try:
            ready.wait(max(1.0, row.remaining()))
            for count in [] if any(problems) else counts:
                steps[:], taking[0] = [0] * len(steps), count
                ready.wait()
                start = time.perf_counter()
                ready.wait(max(1.0, row.remaining()))
                rates[count] = round(sum(steps) / (time.perf_counter() - start), 1)
                row.figure("threads: steps a second by threads", dict(rates))
            taking[0] = 0
            ready.wait()
        except threading.BrokenBarrierError:
            raise (errors[0] if errors else NoTime("the threads took longer than there was time")) from None
        for thread in running:
            thread.join()
    if any(problems):
        row.leave_out("threads with graphs", f"the steps are not replayed: {problems}")
    return rates
