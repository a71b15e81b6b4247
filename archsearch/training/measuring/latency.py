"""The latency of a network on the device at hand, measured.

A measurement is of the network in eval mode, without gradients, channels_last, its norms not folded. Runs are timed one
by one, the device waited for at both ends, and taken in short rounds: the figure is the median of the rounds' medians,
so that another process that takes the cores for some of them does not move it. A CPU's single thread is timed by its
own clock, which stands while another process has the core; a GPU by its own too, as replays of a CUDA graph where it
can be captured (timing.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from archsearch.guests.either import Described, build
from archsearch.space.settings import Precision
from archsearch.training.devices import device_name, resolve_device
from archsearch.training.measuring.timing import Clock, GpuRuns, torch_threads

ClockKind = Literal["thread", "wall", "graph", "events"]
ROUND_SECONDS = 0.02  # long beside the clock's grain, short beside what other processes do
FEWEST_ROUNDS, FEWEST_RUNS, MOST_RUNS = 10, 3, 10_000
STEADY = 0.01  # the median's own interquartile range, as a share of it, at which a measurement ends
NOISY = 0.2  # the runs' interquartile range, as a share of the median, that is told


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds for one batch: the median, and the quartiles (25 %, 75 %) of all timed runs.

    `device_name` is the processor's own name; `clock` is what was read: thread or wall; on a GPU its own events, around
    replays of a CUDA graph (graph), or around kernels launched one by one (events). `steady` says that the median had
    settled before the time was up.
    """

    median_ms: float
    iqr_ms: tuple[float, float]
    batch: int
    device: str
    device_name: str
    dtype: Precision
    threads: int
    clock: ClockKind
    warmup: int
    repeats: int
    steady: bool

    @property
    def spread(self) -> float:
        """The interquartile range as a share of the median."""
        return (self.iqr_ms[1] - self.iqr_ms[0]) / self.median_ms

    @property
    def noisy(self) -> bool:
        """Whether the runs differ so much that the median is not to be relied on."""
        return not self.steady or self.spread > NOISY

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "iqr_ms": list(self.iqr_ms), "noisy": self.noisy}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Latency:
        """The inverse of `to_dict`. Raises KeyError or TypeError where a value is missing or of another type."""
        low, high = data["iqr_ms"]
        fields = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "iqr_ms": (float(low), float(high)), "median_ms": float(data["median_ms"])})

    def __str__(self) -> str:
        low, high = self.iqr_ms
        return (
            f"{self.median_ms:.3g} ms (quartiles {low:.3g} to {high:.3g}, n = {self.repeats}), "
            f"batch {self.batch}, {self.dtype}, {self.device_name}, {self.threads} "
            f"thread{'s' if self.threads != 1 else ''}{'; the machine is busy, so measure again' if self.noisy else ''}"
        )


def measure(
    architecture: Described,
    *,
    device: str | torch.device = "auto",
    batch: int = 1,
    precision: Precision = "float32",
    threads: int | None = None,
    warmup: int = 5,
    repeats: int = 20,
    seconds: float = 2.0,
) -> Latency:
    """Builds the network and times it: `warmup` runs, then at least `repeats`, until the median is steady; but once
    `seconds` are over, no more than three. `threads` are torch's on the CPU, put back after; None: as they are now.

    Raises InputError for a device that is not there, or where the image runs out; ValueError for counts below 1.
    """
    if min(batch, repeats) < 1 or warmup < 0 or (threads is not None and threads < 1):
        raise ValueError(f"batch {batch}, repeats {repeats}, warmup {warmup}, threads {threads}: at least 1 (warmup 0)")
    target = resolve_device(device)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    network = build(architecture, device=target).to(memory_format=torch.channels_last, dtype=dtype).eval()  # type: ignore[call-overload]
    draws = torch.Generator().manual_seed(0)
    images = torch.randn(batch, *architecture.input, generator=draws).to(target, dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch_threads(threads) as used, torch.inference_mode():
        run: Callable[[], object] = partial(network, images)
        clock: Callable[[], float]
        kind: ClockKind
        if target.type == "cuda":
            gpu = GpuRuns(run, target)
            run, clock, kind = gpu, gpu.clock, gpu.kind
        else:
            clock = Clock(target, used)
            kind = clock.kind
        rounds, steady = timed(run, warmup=warmup, repeats=repeats, seconds=seconds, clock=clock)
    runs = np.concatenate(rounds) * 1e3
    low, high = np.quantile(runs, (0.25, 0.75))
    return Latency(
        median_ms=1e3 * float(np.median([np.median(part) for part in rounds])),
        iqr_ms=(float(low), float(high)),
        batch=batch,
        device=target.type,
        device_name=device_name(target),
        dtype=precision,
        threads=used,
        clock=kind,
        warmup=warmup,
        repeats=len(runs),
        steady=steady,
    )


def timed(
    run: Callable[[], object],
    *,
    warmup: int,
    repeats: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[np.ndarray[Any, np.dtype[np.float64]]], bool]:
    """Seconds of each run by this clock, in rounds; and whether the median was steady before the time was up."""
    for _ in range(warmup):
        run()
    start = time.perf_counter()
    first = _seconds(run, clock)
    size = max(1, round(ROUND_SECONDS / max(first, 1e-9)))
    rounds, runs, steady = [], 0, False
    while not steady and runs < MOST_RUNS:
        rounds.append(np.array([_seconds(run, clock) for _ in range(size)]))
        runs += size
        enough = runs >= repeats and len(rounds) >= FEWEST_ROUNDS
        steady = enough and unsettled(rounds) <= STEADY
        if runs >= FEWEST_RUNS and time.perf_counter() - start > seconds:
            break
    return rounds, steady


def unsettled(rounds: list[np.ndarray[Any, np.dtype[np.float64]]]) -> float:
    """The interquartile range of the bootstrapped median of the rounds' medians, as a share of that median."""
    medians = np.array([np.median(part) for part in rounds])
    resamples = np.random.default_rng(0).choice(medians, (200, len(medians)))
    low, high = np.quantile(np.median(resamples, axis=1), (0.25, 0.75))
    return float((high - low) / np.median(medians))


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start
