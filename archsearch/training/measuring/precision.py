"""In which precision a device trains a network faster: measured once, stated, and kept.

bfloat16 (autocast) is twice as fast as float32 where a processor has matrix units for it and as slow as emulation where
it has none; in narrow networks on small images it is in the way. So a step of the network itself, with one block a
stage, is timed both ways, in turns; bfloat16 has to be at least a tenth faster.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment import write_atomically
from archsearch.network.build import build
from archsearch.space.settings import Precision, TrainingSettings
from archsearch.training.devices import device_name, resolve_device
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic

WORTH_IT = 1.1  # bfloat16 rounds to eight bits: it has to be so much faster
ROUNDS, STEPS = 3, 2
MOST_IMAGES = 128  # of a timed step,
MOST_MACS = 10**9  # and of its forward pass on a CPU: a quarter of a second there, with what follows it
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The precision, and the median milliseconds of a step in either. `device_name` is the processor's own."""

    precision: Precision
    float32_ms: float
    bfloat16_ms: float
    device_name: str
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        ratio = self.float32_ms / self.bfloat16_ms
        return f"{self.precision}: here a step in bfloat16 is {ratio:.2f} times as fast as in float32"


def choose_precision(
    network: Architecture,
    settings: TrainingSettings,
    *,
    device: str | torch.device | None = None,
    threads: int | None = None,
    cache: Path | None = None,
) -> Chosen:
    """What trains this network, and those like it, faster on this device: as kept in the file `cache` (None: the user's
    own), or measured now, which takes a second or two, of ResNet-50 ten. `threads` are torch's, put back after.

    Raises InputError for a device that is not there. A file that cannot be read or written is done without.
    """
    place = resolve_device(device or settings.device)
    used = threads if threads is not None else torch.get_num_threads()
    short = _one_block_a_stage(network)
    batch = min(settings.batch_size, MOST_IMAGES)
    if place.type == "cpu":
        batch = max(2, min(batch, MOST_MACS // max(1, cost(short).macs)))
    file = cache if cache is not None else _file()
    key = f"{device_name(place)} | torch {torch.__version__} | {digest(short)} | batch {batch} | threads {used}"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Chosen(**json.loads(file.read_text())[key])
    before = torch.get_num_threads()
    try:
        found = _measured(short, settings, place, used, batch)
    finally:
        torch.set_num_threads(before)
    with suppress(OSError):
        _keep(file, key, found)
    return found


def _measured(
    network: Architecture, settings: TrainingSettings, place: torch.device, threads: int, batch: int
) -> Chosen:
    alone = place.type == "cpu" and threads == 1
    clock = time.thread_time if alone else time.perf_counter
    seconds: dict[Precision, list[float]] = {precision: [] for precision in PRECISIONS}
    runs = {precision: _run(network, settings, place, threads, batch, precision) for precision in PRECISIONS}
    for training in runs.values():
        next(training)  # kernels are chosen and memory is taken
    for _ in range(ROUNDS):
        for precision, training in runs.items():
            start = clock()
            training.train_epoch()
            seconds[precision].append((clock() - start) / STEPS)
    plain, half = (1e3 * float(np.median(seconds[precision])) for precision in PRECISIONS)
    return Chosen(
        precision="bfloat16" if plain >= WORTH_IT * half else "float32",
        float32_ms=round(plain, 3),
        bfloat16_ms=round(half, 3),
        device_name=device_name(place),
        threads=threads,
    )


def _run(
    network: Architecture,
    settings: TrainingSettings,
    place: torch.device,
    threads: int,
    batch: int,
    precision: Precision,
) -> Training:
    """On noise, at a rate of next to nothing."""
    images = synthetic(network.input, network.classes, train=STEPS * batch, validation=2, test=2)
    still = settings.model_copy(update={"epochs": 10**9, "batch_size": batch, "learning_rate": 1e-9})
    model = build(network, seed=0)
    return Training(model, images, still, seed=0, device=place, threads=threads, precision=precision)


def _one_block_a_stage(network: Architecture) -> Architecture:
    """Deep networks are no other question than shallow ones, and no other answer."""
    stages = tuple(stage.model_copy(update={"depth": 1}) for stage in network.stages)
    return network.model_copy(update={"name": "one block a stage", "stages": stages})


def _file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archsearch" / "precision.json"


def _keep(file: Path, key: str, found: Chosen) -> None:
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        known = dict(json.loads(file.read_text()))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps({**known, key: found.to_dict()}, indent=1))
