"""Trainings whose steps are taken eagerly, as static steps, or replayed; on a CPU tapes stand for graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from archsearch import build
from archsearch.architecture.spec import Architecture
from archsearch.space.settings import TrainingSettings
from archsearch.training.epoch import graph
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic
from benchmarks.gpu_sections.setting import Setting
from tests.training.capturing import Tape

NEVER = 10**12


@contextmanager
def patched(module: Any, **values: Any) -> Iterator[None]:
    """Inside, these names of a module have other values."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def taped(function: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """Stands for a captured graph: the operations of the function, carried out again on the same tensors."""
    with Tape() as tape:
        function()
    return tape.replay


@contextmanager
def replayable_here(setting: Setting) -> Iterator[None]:
    """Inside, trainings on a CPU are replayed as on a GPU, from tapes of their operations."""
    if setting.device.type != "cpu":
        yield
        return
    with patched(graph, captured=taped, replayable=lambda step: step.settings.graph == "auto"):
        yield


@contextmanager
def fewest(steps: int) -> Iterator[None]:
    """Inside, steps are replayed where more than so many are ahead: 0 for always, NEVER for never."""
    with patched(graph, FEWEST=steps):
        yield


@dataclass
class Captures:
    """Seconds of the captures, and how many there were."""

    seconds: list[float] = field(default_factory=list)


@contextmanager
def captures_timed(setting: Setting) -> Iterator[Captures]:
    """Inside, what captures a step is timed."""
    times, capture = Captures(), graph.captured

    def timed(*given: Any, **named: Any) -> Any:
        results: list[Callable[[], None]] = []
        times.seconds.append(setting.seconds(lambda: results.append(capture(*given, **named))))
        return results[0]

    with patched(graph, captured=timed):
        yield times


def problem_of(training: Training) -> str | None:
    """Why the training's steps are not replayed, if they are to be."""
    return "no graph" if training.graph is None else training.graph.problem


def noise(network: Architecture, images: int) -> Any:
    """Random images for a network."""
    return synthetic(network.input, network.classes, train=images, validation=2)


def on_noise(
    network: Architecture, setting: Setting, *, batch: int, steps: int, images: Any = None, **recipe: Any
) -> Training:
    """A training of which an epoch has so many steps on noise, at a rate of next to nothing, without an end."""
    precision = recipe.pop("precision", "float32")
    settings = TrainingSettings(
        **{"recipe": "none", "batch_size": batch, "learning_rate": 1e-9, "epochs": 100_000, "crop_padding": 4,
           "flip": True, **recipe}
    )  # fmt: skip
    images = noise(network, steps * batch) if images is None else images
    return Training(build(network, seed=0), images, settings, seed=0, device=setting.device, precision=precision)
