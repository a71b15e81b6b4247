"""The precision in which a device trains a network faster: measured once and kept in a file.

bfloat16 (autocast) is twice as fast as float32 where a processor has matrix units for it and as slow as emulation where
it has none; in narrow networks on small images it is in the way. So a step of the network itself, with one block a
stage, is timed both ways, in turns; bfloat16 has to be at least a tenth faster.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archsearch.experiment import write_atomically
from archsearch.guests.either import Described, build, cost, digest
from archsearch.guests.guest import Guest
from archsearch.reading.files import read_json
from archsearch.space.settings import Precision, TrainingSettings
from archsearch.training.devices import device_name, has_bfloat16, resolve_device
from archsearch.training.loop import Diverged, Training
from archsearch.training.measuring.probe import endless, synthetic
from archsearch.training.measuring.timing import Clock, torch_threads
from archsearch.training.run import TrainingRun

WORTH_IT = 1.1  # bfloat16 rounds to eight bits: it has to be so much faster
ROUNDS, STEPS = 3, 2
MOST_IMAGES = 128  # of a timed step,
MOST_MACS = 10**9  # and of its forward pass on a CPU: a quarter of a second there, with what follows it
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The faster precision, and the median milliseconds of a training step in either; 0 where nothing was measured, for
    this `reason`."""

    precision: Precision
    float32_ms: float
    bfloat16_ms: float
    device_name: str
    threads: int
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.precision}: {self.reason}"
        ratio = self.float32_ms / self.bfloat16_ms
        return f"{self.precision}: on this device a step in bfloat16 is {ratio:.2f} times as fast as in float32"


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to carry out a training."""

    threads: int
    precision: Precision


def choose_precision(
    network: Described,
    settings: TrainingSettings,
    *,
    device: str | torch.device | None = None,
    threads: int | None = None,
    cache: Path | None = None,
) -> Chosen:
    """The precision that trains this network, at any depth, faster on this device.

    As kept in the file `cache` (None: one in the user's cache folder), or measured now, in a second or two, ten for
    ResNet-50. `threads` are torch's, put back after. float32, with a reason, for a GPU that only emulates bfloat16, and
    where the measurement fails.
    Raises InputError for a device that is not there. A file that cannot be read or written is done without.
    """
    target = resolve_device(device or settings.device)
    short, batch = shortened(network, settings, target)
    file = cache or cache_file()
    with torch_threads(threads) as used:
        key = key_of(short, target, batch, str(used))
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Chosen(**read_json(file)[key])
        if not has_bfloat16(target):
            return _float32(target, used, f"{device_name(target)} has no bfloat16")
        ways = {precision: Way(threads=used, precision=precision) for precision in PRECISIONS}
        try:
            seconds = measured_in_turns(short, settings, batch, list(ways.values()), device=target)
        except (RuntimeError, MemoryError, Diverged) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            return _float32(target, used, f"the faster precision could not be measured: {lines[0][:200]}")
    plain_ms, half_ms = (1e3 * seconds[way] for way in ways.values())
    result = Chosen(
        precision="bfloat16" if plain_ms >= WORTH_IT * half_ms else "float32",
        float32_ms=round(plain_ms, 3),
        bfloat16_ms=round(half_ms, 3),
        device_name=device_name(target),
        threads=used,
    )
    with suppress(OSError):
        store(file, key, result.to_dict())
    return result


def shortened(network: Described, settings: TrainingSettings, device: torch.device) -> tuple[Described, int]:
    """What stands for the network where steps are timed, and the images of such a step."""
    short = _one_block_a_stage(network)
    batch = min(settings.batch_size, MOST_IMAGES)
    return short, max(2, min(batch, MOST_MACS // max(1, cost(short).macs))) if device.type == "cpu" else batch


def cache_file() -> Path:
    """The file of the user's cache folder that keeps what was measured."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archsearch" / "precision.json"


def key_of(network: Described, device: torch.device, batch: int, threads: str) -> str:
    """What a measurement is kept under: another device, torch, network, batch or number of threads is measured anew."""
    name, version = device_name(device), torch.__version__
    return f"{name} | torch {version} | {digest(network)} | batch {batch} | threads {threads}"


def _float32(device: torch.device, threads: int, reason: str) -> Chosen:
    return Chosen(
        precision="float32",
        float32_ms=0.0,
        bfloat16_ms=0.0,
        device_name=device_name(device),
        threads=threads,
        reason=reason,
    )


def measured_in_turns(
    network: Described,
    settings: TrainingSettings,
    batch: int,
    ways: Sequence[Way],
    *,
    device: torch.device = CPU,
    wall: bool = False,
    seconds: float = math.inf,
) -> dict[Way, float]:
    """The median seconds of a training step on `batch` images of noise in each of these ways, taken in turns, by the
    thread's own clock or, with several threads or `wall`, by the clock on the wall. Once so many `seconds` are over no
    further round of turns begins. torch is left with the threads of the last."""
    images = synthetic(network.input, network.classes, train=STEPS * batch, validation=2, test=2)
    run = TrainingRun(settings=endless(settings, batch), seed=0, device=device)
    times: dict[Way, list[float]] = {way: [] for way in ways}
    trainings = {way: Training(build(network, seed=0), images, run, **asdict(way)) for way in ways}
    clock = Clock(device, 2 if wall else max(way.threads for way in ways))
    for way, training in trainings.items():
        torch.set_num_threads(way.threads)
        next(training)  # kernels are chosen and memory is taken
    end = time.perf_counter() + seconds
    for number in range(ROUNDS):
        if number and time.perf_counter() > end:
            break
        for way, training in trainings.items():
            torch.set_num_threads(way.threads)
            start = clock()
            training.train_epoch()
            times[way].append((clock() - start) / STEPS)
    return {way: float(np.median(measured)) for way, measured in times.items()}


def _one_block_a_stage(network: Described) -> Described:
    """The network with one block a stage: its faster precision is that of a deeper one, and sooner measured. A guest as
    it is."""
    if isinstance(network, Guest):
        return network
    stages = tuple(stage.model_copy(update={"depth": 1}) for stage in network.stages)
    return network.model_copy(update={"name": "one block a stage", "stages": stages})


def store(file: Path, key: str, result: Mapping[str, Any]) -> None:
    """Adds a measurement to the file. Raises OSError."""
    results: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        results = dict(read_json(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps({**results, key: dict(result)}, indent=1))
