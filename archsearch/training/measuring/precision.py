"""The precision in which a device trains a network faster: measured once and kept in a file.

bfloat16 (autocast) is twice as fast as float32 where a processor has matrix units for it and as slow as emulation where
it has none; in narrow networks on small images it is in the way. So a step of the network itself, with one block a
stage, is timed both ways, in turns; bfloat16 has to be at least a tenth faster.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
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
    short = _one_block_a_stage(network)
    batch = min(settings.batch_size, MOST_IMAGES)
    if target.type == "cpu":
        batch = max(2, min(batch, MOST_MACS // max(1, cost(short).macs)))
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    file = cache if cache is not None else caches / "archsearch" / "precision.json"
    with torch_threads(threads) as used:
        key = f"{device_name(target)} | torch {torch.__version__} | {digest(short)} | batch {batch} | threads {used}"
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Chosen(**read_json(file)[key])
        run = TrainingRun(settings=endless(settings, batch), seed=0, device=target, threads=used)
        if not has_bfloat16(target):
            return _float32(run, f"{device_name(target)} has no bfloat16")
        try:
            result = _measured(short, run)
        except (RuntimeError, MemoryError, Diverged) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            return _float32(run, f"the faster precision could not be measured: {lines[0][:200]}")
    with suppress(OSError):
        _store(file, key, result)
    return result


def _float32(run: TrainingRun, reason: str) -> Chosen:
    assert isinstance(run.device, torch.device) and run.threads is not None
    name = device_name(run.device)
    return Chosen(
        precision="float32", float32_ms=0.0, bfloat16_ms=0.0, device_name=name, threads=run.threads, reason=reason
    )


def _measured(network: Described, run: TrainingRun) -> Chosen:
    """Times steps on noise in both precisions, in turns; `run.precision` is replaced."""
    assert isinstance(run.device, torch.device) and run.threads is not None
    clock = Clock(run.device, run.threads)
    images = synthetic(network.input, network.classes, train=STEPS * run.settings.batch_size, validation=2, test=2)
    seconds: dict[Precision, list[float]] = {precision: [] for precision in PRECISIONS}
    trainings = {
        precision: Training(build(network, seed=0), images, replace(run, precision=precision))
        for precision in PRECISIONS
    }
    for training in trainings.values():
        next(training)  # kernels are chosen and memory is taken
    for _ in range(ROUNDS):
        for precision, training in trainings.items():
            start = clock()
            training.train_epoch()
            seconds[precision].append((clock() - start) / STEPS)
    plain_ms, half_ms = (1e3 * float(np.median(seconds[precision])) for precision in PRECISIONS)
    return Chosen(
        precision="bfloat16" if plain_ms >= WORTH_IT * half_ms else "float32",
        float32_ms=round(plain_ms, 3),
        bfloat16_ms=round(half_ms, 3),
        device_name=device_name(run.device),
        threads=run.threads,
    )


def _one_block_a_stage(network: Described) -> Described:
    """The network with one block a stage: its faster precision is that of a deeper one, and sooner measured. A guest as
    it is."""
    if isinstance(network, Guest):
        return network
    stages = tuple(stage.model_copy(update={"depth": 1}) for stage in network.stages)
    return network.model_copy(update={"name": "one block a stage", "stages": stages})


def _store(file: Path, key: str, result: Chosen) -> None:
    results: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        results = dict(read_json(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps({**results, key: result.to_dict()}, indent=1))
