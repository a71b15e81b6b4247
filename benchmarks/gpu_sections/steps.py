"""Milliseconds of a training step: eager, replayed, and plain PyTorch's; kernels, captures, memory; against the device.

Ours on noise, augmentation and all, in the precision of a GPU's trainings; plain is float32, NCHW and torch.optim.SGD
on one batch that lies on the device: no loader, no augmentation. The share of the floor is that of the time that three
times the forward multiply-adds, or three times the activations' bytes, take at the rates of section ceilings.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import archsearch
from archsearch.architecture.spec import Architecture
from archsearch.training.loop import Training
from benchmarks.gpu_sections.ceilings import ceilings
from benchmarks.gpu_sections.row import NoTime, Row
from benchmarks.gpu_sections.setting import MEBI, NO_GPU, Setting
from benchmarks.gpu_sections.ways import captures_timed, fewest, noise, on_noise, problem_of, replayable_here
from benchmarks.gpu_sections.workers import WorkerFailed, workers
from benchmarks.memory import within_budget


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network, how it trains, and its marks: graph over eager, over plain PyTorch, and the seconds of a capture."""

    network: str
    batch: int = 128
    steps: int = 60
    precision: str = "bfloat16"
    over_eager: float | None = None
    over_plain: float | None = None
    capture: float | None = 0.5

    def architecture(self, setting: Setting) -> Architecture:
        if self.network == "digits":
            return within_budget("digits", 1, seed=1)[0].model_copy(update={"survival": NO_DEPTH})
        network = archsearch.zoo.get(self.network)
        if setting.device.type == "cuda":
            return network
        stages = tuple(stage.model_copy(update={"depth": 1}) for stage in network.stages)
        return network.model_copy(update={"input": (network.input[0], 32, 32), "stages": stages})


NO_DEPTH = archsearch.Survival()
SUBJECTS = (
    Subject(network="resnet20_cifar", over_eager=2.5, over_plain=2.0, capture=0.15),
    Subject(network="digits", batch=64, precision="float32", over_eager=4.0, capture=0.15),
    Subject(network="densenet_bc100_12_cifar", steps=40, over_eager=1.8, over_plain=2.0),
    Subject(network="resnet110_cifar", steps=40, over_eager=2.5, over_plain=2.0),
    Subject(network="stochastic_depth_resnet110_cifar", steps=40, capture=None),
    Subject(network="resnet56_cifar", steps=40, over_eager=2.5, over_plain=2.0, capture=0.25),
    Subject(network="wrn28_10_cifar", steps=20, over_eager=0.98, over_plain=2.0, capture=0.15),
    Subject(network="resnet50", batch=64, steps=12, over_eager=0.98, capture=0.25),
)  # fmt: skip


def run(row: Row, setting: Setting) -> None:
    rates = ceilings(setting)
    subjects = SUBJECTS[:2] if setting.quick or setting.gpu is None else SUBJECTS
    if setting.gpu is None:
        names = ", ".join(subject.network for subject in SUBJECTS[2:])
        row.leave_out("graphs, kernels, memory", NO_GPU)
        row.leave_out(names, "hours of a CPU for nothing")
    for subject in subjects:
        with row.part(subject.network), replayable_here(setting):
            row.needs(3)
            row.figure(subject.network, measured(row, subject, setting, rates))
        gc.collect()
    if setting.gpu is not None:
        counted(row, subjects, setting)


def counted(row: Row, subjects: Sequence[Subject], setting: Setting) -> None:
    """Kernels a step, by the profiler, in a process of its own: it slows launches, and may not be allowed."""
    if row.remaining() < 15:
        row.leave_out("kernels", "no time remains; they decide nothing")
        return
    with workers(1, "steps:kernels", setting, networks=[subject.network for subject in subjects]) as (worker,):
        try:
            for subject in subjects:
                row.figure(f"{subject.network}: kernels a step", worker.answer(row.remaining()))
                worker.go()
        except (WorkerFailed, NoTime) as error:
            row.leave_out("kernels", str(error)[:200])


def kernels(setting: Setting, networks: list[str]) -> Iterator[dict[str, float | None]]:
    """Yields each network's kernels a step, eagerly and replayed; None where the profiler saw none. Runs in a worker.

    All is captured before anything is profiled: after a profile, captured kernels may not be seen.
    """
    assert setting.gpu is not None
    trainings: dict[str, dict[str, Training]] = {}
    with fewest(0), replayable_here(setting):
        for subject in SUBJECTS:
            if subject.network in networks:
                network, trainings[subject.network] = subject.architecture(setting), {}
                for name, graph in (("eager", "off"), ("graph", "auto")):
                    training = on_noise(network, setting, batch=8, steps=4, precision=subject.precision, graph=graph)
                    training.train_epoch()
                    trainings[subject.network][name] = training
        for ways in trainings.values():
            yield {name: setting.gpu.kernels(of.train_epoch) / 4 or None for name, of in ways.items()}


def measured(row: Row, subject: Subject, setting: Setting, rates: dict[str, float]) -> dict[str, Any]:
    """The figures of a network; where there is a GPU, its marks."""
    steps = subject.steps if setting.device.type == "cuda" else 2
    batch = subject.batch if setting.device.type == "cuda" else 8
    network = subject.architecture(setting)
    images = noise(network, steps * batch)
    names = ["eager"] if setting.gpu is None else ["eager", "graph"]
    trainings: dict[str, Training] = {}
    figures: dict[str, Any] = {"precision": subject.precision, "batch": batch}
    reserved = None
    for name in names:
        if setting.gpu is not None:
            setting.gpu.forget()
            reserved = setting.gpu.reserved()
        with fewest(0), captures_timed(setting) as captures:
            trainings[name] = training = on_noise(
                network, setting, batch=batch, steps=steps, images=images, precision=subject.precision,
                graph="auto" if name == "graph" else "off",
            )  # fmt: skip
            figures[f"first_epoch_s_{name}"] = round(setting.seconds(training.train_epoch), 3)
        if setting.gpu is not None:
            figures[f"reserved_MiB_{name}"] = round((setting.gpu.reserved() - (reserved or 0)) / MEBI)
    ways: dict[str, Callable[[], object]] = {name: of.train_epoch for name, of in trainings.items()}
    if subject.network != "digits":
        ways["plain"] = plain(network, batch, setting, steps)
        ways["plain"]()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 if setting.quick else 3):
        for name, way in ways.items():
            seconds[name].append(setting.seconds(way) / steps)
    spent = {name: statistics.median(each) for name, each in seconds.items()}
    figures["ms_a_step"] = {name: round(1e3 * value, 4) for name, value in spent.items()}
    figures["images_per_second"] = {name: round(batch / value) for name, value in spent.items()}
    fastest = min(spent[name] for name in names)
    figures["share_of_floor"] = round(floor(network, batch, subject.precision, rates) / fastest, 3)
    if setting.gpu is not None:
        figures["captures"], figures["capture_s"] = len(captures.seconds), round(sum(captures.seconds), 3)
        marks(row, subject, spent, captures.seconds, problem_of(trainings["graph"]))
    return figures


def marks(row: Row, subject: Subject, spent: dict[str, float], captures: list[float], problem: str | None) -> None:
    """What graphs have to reach."""
    name = subject.network
    row.mark(f"{name}: replayed", problem or "yes", "no fall-back", passed=problem is None)
    if problem is not None:
        return
    for other, target in (("eager", subject.over_eager), ("plain", subject.over_plain)):
        if target is not None and other in spent:
            times = spent[other] / spent["graph"]
            row.mark(f"{name}: graph over {other}", round(times, 2), f"{target} times", passed=times >= target)
    taken = sum(captures)
    if subject.capture is not None:
        row.mark(f"{name}: capture", round(taken, 3), f"at most {subject.capture} s", passed=taken <= subject.capture)


def plain(
    network: Architecture,
    batch: int,
    setting: Setting,
    steps: int,
    *,
    precision: str = "float32",
    compiled: bool = False,
) -> Callable[[], None]:
    """Steps as a person writes them first; `compiled` through torch.compile, in channels_last."""
    device = setting.device
    model: nn.Module = archsearch.build(network, seed=0).to(device).train()
    images = torch.randn(batch, *network.input, device=device)
    if compiled:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(network.classes, (batch,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9, nesterov=True, weight_decay=5e-4)
    forward = torch.compile(model) if compiled else model

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                scores = forward(images)
            functional.cross_entropy(scores.float(), labels).backward()
            optimizer.step()

    return run


def floor(network: Architecture, batch: int, precision: str, rates: dict[str, float]) -> float:
    """Seconds that a step takes at least: its multiply-adds, or the activations that it has to move."""
    cost, size = archsearch.cost(network), 2 if precision == "bfloat16" else 4
    return max(3 * cost.macs * batch / rates[precision], 3 * 2 * cost.activations * size * batch / rates["bytes"])
