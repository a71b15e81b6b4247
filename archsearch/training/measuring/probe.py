"""How long training takes on the device at hand: a few networks of a space, a few real steps each, and a line through
them that foretells the others.

    seconds an image = c0 + c1 * macs + c2 * activations + c3 * layers,  every c >= 0

(`training/measuring/line.py`), once for training and once for evaluation, at the recipe's batch. Per image and not per
step: where dear networks are timed on fewer images, images * macs would be the same for all, and nothing would be
learned of it. Steps are those of `Training`, on synthetic images of the right shape: no data set is needed. timing.py
says by which clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Shape, cost, layers
from archsearch.architecture.ops import Conv, Linear
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet, Split
from archsearch.network.build import build
from archsearch.space.settings import TrainingSettings
from archsearch.training.devices import device_name, resolve_device
from archsearch.training.feeds.batches import evaluated_at_once
from archsearch.training.loop import Training
from archsearch.training.measuring.line import LatencyModel
from archsearch.training.measuring.timing import Clock, torch_threads
from archsearch.training.run import TrainingRun

CPU_WORK = 1e9  # multiply-adds on a CPU beyond which fewer images are taken: some tenths of a second
FEWEST_IMAGES = 16
STEPS = {"cpu": 2, "cuda": 8}  # timed at once, behind one that is not
MOST_ROUNDS = 200
FEWEST_NETWORKS, PATIENCE = 4, 2.0  # with so many timed, no more once so many times the seconds are over


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A network's median seconds of a training step on `images` images, and of an evaluation of `evaluated` images."""

    digest: str
    macs: int
    activations: int
    layers: int
    images: int
    step: float
    evaluated: int
    evaluation: float
    rounds: int


@dataclass(frozen=True, kw_only=True)
class Timings:
    """The timings of several networks and the two lines through them. `seconds` is what the probe itself took; `busy`:
    other processes used the cores while the clock was the wall's, so that every figure is too high."""

    networks: tuple[Timing, ...]
    train: LatencyModel
    evaluate: LatencyModel
    device: str
    device_name: str
    precision: str
    threads: int
    clock: str
    busy: bool
    seconds: float

    @property
    def error(self) -> float:
        """The median of |measured / predicted - 1| of a training step, each predicted without its own network."""
        return self.train.error

    def epoch_seconds(self, architecture: Architecture, *, train: int, validation: int, batch: int) -> float:
        """Predicted seconds of an epoch on `train` images in batches of `batch` and its `validation` images."""
        costs, size = _counts(architecture), min(batch, train)
        training = self.train.predict(costs)[0] * (train // size * size)  # of whole batches alone
        return float(training + self.evaluate.predict(costs)[0] * validation)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        conditions = {
            name: getattr(self, name) for name in ("device", "device_name", "precision", "threads", "clock", "busy")
        }
        models = {name: {"start": model.start, **dict(zip(model.names, model.slopes, strict=True))}
                  for name, model in (("train", self.train), ("evaluate", self.evaluate))}  # fmt: skip
        return {**conditions, "seconds": self.seconds, "error": self.error, "seconds_an_image": models,
                "networks": [asdict(network) for network in self.networks]}  # fmt: skip


def probe(
    architectures: Sequence[Architecture],
    settings: TrainingSettings,
    *,
    device: str | torch.device = "auto",
    threads: int = 1,
    seconds: float = 10.0,
) -> Timings:
    """Times each network for its part of about `seconds`, by the recipe of `settings`: rounds of training steps, the
    first of which is not counted, and an evaluation; one round at least. Where that takes more than twice the seconds,
    as on a busy machine, the later networks are left out, but for four. On a CPU a step of more than 1e9 multiply-adds
    takes fewer images than the recipe's batch.

    `threads` are torch's, put back after. Raises InputError for a device that is not there, ValueError for fewer than
    two networks.
    """
    if len(architectures) < 2:
        raise ValueError(f"{len(architectures)} networks: a line needs two")
    start, target = time.perf_counter(), resolve_device(device)
    timings: list[Timing] = []
    precision, load = "float32", os.getloadavg()[0]
    with torch_threads(threads):
        clock = Clock(target, threads)
        for network in _ends_first(architectures):
            if len(timings) >= FEWEST_NETWORKS and time.perf_counter() - start > PATIENCE * seconds:
                break
            timer = _Timer(network, settings, clock, threads)
            timings.append(timer.measured(seconds / len(architectures)))
            precision = timer.training.precision
    columns = {name: np.array([getattr(t, name) for t in timings]) for name in ("macs", "activations", "layers")}
    return Timings(
        networks=tuple(timings),
        train=_line(columns, [timing.step / timing.images for timing in timings]),
        evaluate=_line(columns, [timing.evaluation / timing.evaluated for timing in timings]),
        device=target.type,
        device_name=device_name(target),
        precision=precision,
        threads=threads,
        clock=clock.kind,
        busy=target.type == "cpu" and clock.kind == "wall" and load + threads > 1.5 * (os.cpu_count() or 1),
        seconds=time.perf_counter() - start,
    )


def spread(architectures: Sequence[Architecture], count: int) -> list[Architecture]:
    """`count` of them, evenly from the 5 % to the 95 % quantile of their multiply-adds; all, where they are fewer."""
    ordered = sorted(architectures, key=lambda architecture: cost(architecture).macs)
    if len(ordered) <= count:
        return ordered
    return [ordered[round(q * (len(ordered) - 1))] for q in np.linspace(0.05, 0.95, count)]


def _ends_first(architectures: Sequence[Architecture]) -> list[Architecture]:
    """The first, the last, the middle, then the others: on a slow machine the later ones may not be timed."""
    count = len(architectures)
    order = dict.fromkeys((0, count - 1, count // 2, *range(1, count, 2), *range(count)))
    return [architectures[index] for index in order]


def depth(architecture: Architecture) -> int:
    """How many convolutions and linear layers the network has."""
    counted = layers(plan(architecture), Shape(*architecture.input))
    return sum(isinstance(layer.op, Conv | Linear) for layer in counted)


def _counts(architecture: Architecture) -> dict[str, int]:
    """What the lines through the timings are lines of."""
    counted = cost(architecture)
    return {"macs": counted.macs, "activations": counted.activations, "layers": depth(architecture)}


def synthetic(shape: tuple[int, int, int], classes: int, *, train: int, validation: int, test: int = 2) -> ImageSet:
    """Random pixels (seed 0) of this (channels, height, width) with random labels."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        pixels = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        return Split(images=pixels, labels=rng.integers(0, classes, count, dtype=np.int64))

    names = tuple(str(number) for number in range(classes))
    return ImageSet.of(name="synthetic", classes=names, train=split(train), validation=split(validation),
                       test=split(test))  # fmt: skip


def timed_batch(network: Architecture, settings: TrainingSettings, device: torch.device) -> int:
    """Images of a timed step: the recipe's batch, but on a CPU no more than take about `CPU_WORK` multiply-adds."""
    if device.type != "cpu":
        return settings.batch_size
    return min(settings.batch_size, max(FEWEST_IMAGES, int(CPU_WORK / (3 * max(1, cost(network).macs)))))


def endless(settings: TrainingSettings, batch: int) -> TrainingSettings:
    """The recipe for timed steps of `batch` images: its schedule never ends, and at a rate of next to nothing noise
    does not make a training diverge."""
    return settings.model_copy(update={"epochs": 10**9, "batch_size": batch, "learning_rate": 1e-9})


class _Timer:
    """One network's training on noise, of which steps and evaluations are timed."""

    def __init__(self, network: Architecture, settings: TrainingSettings, clock: Clock, threads: int) -> None:
        self._network, self._clock = network, clock
        self._steps = STEPS[clock.device.type]
        batch = timed_batch(network, settings, clock.device)
        evaluated = evaluated_at_once(network.input, batch, network if clock.device.type == "cuda" else None)
        self._batch, self._evaluated = batch, evaluated if batch == settings.batch_size else min(evaluated, batch)
        images = synthetic(
            network.input, network.classes, train=batch * (1 + self._steps), validation=2, test=self._evaluated
        )
        run = TrainingRun(settings=endless(settings, batch), seed=0, device=clock.device, threads=threads)
        self.training = Training(build(network, seed=0), images, run, on_step=self._stepped)
        self._marks: list[float] = []

    def measured(self, seconds: float) -> Timing:
        """Rounds of training steps and an evaluation for about so many seconds, one round at least."""
        start = time.perf_counter()
        steps: list[float] = []
        evaluations: list[float] = []
        if self._clock.device.type == "cuda":
            next(self.training)  # where cuDNN chooses
        self.training.evaluate("test")
        while not steps or (time.perf_counter() - start < seconds and len(steps) < MOST_ROUNDS):
            self._marks.clear()
            next(self.training)
            steps.append((self._marks[1] - self._marks[0]) / self._steps)
            began = self._clock()
            self.training.evaluate("test")
            evaluations.append(self._clock() - began)
        return Timing(
            digest=digest(self._network),
            **_counts(self._network),
            images=self._batch,
            step=float(np.median(steps)),
            evaluated=self._evaluated,
            evaluation=float(np.median(evaluations)),
            rounds=len(steps),
        )

    def _stepped(self, step: int, steps: int) -> None:
        if step in (1, steps):
            self._marks.append(self._clock())


def _line(costs: dict[str, Any], seconds: list[float]) -> LatencyModel:
    """The line of the least relative error, raised until it predicts the mean that was measured: by itself it falls
    short on average, the more so the less it fits."""
    line = LatencyModel.fit(costs, seconds)
    raised = sum(seconds) / float(line.predict(costs).sum())
    return replace(line, slopes=tuple(raised * slope for slope in line.slopes), start=raised * line.start)
