"""Whether a replayed step is the step: every recipe, stochastic depth both ways, a restored training, a moved end.

In float32 with deterministic kernels a replayed training has to be the one by static steps to the bit, in bfloat16 its
losses within 1e-3; and the eager loop's losses, which a GPU rounds otherwise, within 1e-3. On a CPU a tape of a step's
operations stands for a graph, and all of it has to be the eager loop's to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from archsearch import build
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.feed import HostFeed
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting
from benchmarks.gpu_sections.ways import NEVER, fewest, problem_of, replayable_here
from tests.training.recipes import RECIPES

CLOSE = 1e-3
SHAPE, BATCH, EPOCHS = (3, 8, 8), 8, 3
DEPTH = {"schedule": "linear", "last": 0.5}
HARD = {"ema": 0.9, "crop_padding": 1, "mixup": 0.2, "cutmix": 1.0}
Case = Callable[[str, str], Training]  # (graph, precision) -> a training


def run(row: Row, setting: Setting) -> None:
    cases = all_cases(setting)
    if setting.quick:
        cases = {name: cases[name] for name in ("plain", "mixed", "depth per sample", "depth per batch", "restored")}
    wrong: dict[str, list[str]] = {"float32": [], "bfloat16": [], "eager": [], "fall-backs": []}
    checked = 0
    with replayable_here(setting):
        for name, case in cases.items():
            with row.part(name):
                row.needs(1)
                compared(row, name, case, wrong, setting)
                checked += 1
    if setting.gpu is None:
        row.leave_out("captured graphs", f"{NO_GPU}: a tape of the steps' operations stood for each")
    targets = {
        "float32": "replayed and static steps equal to the bit",
        "bfloat16": f"losses within {CLOSE:g}",
        "eager": f"the eager loop's losses within {CLOSE:g}" if setting.device.type == "cuda" else "equal to the bit",
        "fall-backs": "none",
    }
    for kind, names in wrong.items():
        what = f"{checked - len(names)} of {checked}" + (f", not {', '.join(names)}" if names else "")
        row.mark(kind, what, targets[kind], passed=not names and checked == len(cases))


def compared(row: Row, name: str, case: Case, wrong: dict[str, list[str]], setting: Setting) -> None:
    """Trains a case each way; what differs goes into `wrong`."""
    figures: dict[str, Any] = {}
    for precision in ("float32", "bfloat16"):
        with fewest(0):
            replayed = case("auto", precision)
            losses, state = outcome(replayed)
        if (problem := problem_of(replayed)) is not None:
            wrong["fall-backs"].append(f"{name} ({precision}: {problem[:160]})")
        with fewest(NEVER):
            static_losses, static_state = outcome(case("auto", precision))
        figures[precision] = farthest(losses, static_losses)
        differing = [key for key in state if not torch.equal(state[key], static_state[key])]
        if precision == "bfloat16" and not figures[precision] <= CLOSE:
            wrong["bfloat16"].append(name)
        if precision == "float32":
            figures["differing"] = differing[:4]
            if differing or losses != static_losses:
                wrong["float32"].append(name)
            eager_losses, eager_state = outcome(case("off", precision))
            figures["eager"] = farthest(losses[:2], eager_losses[:2])  # of an epoch: later, rounding has grown
            equal = losses == eager_losses and all(torch.equal(state[key], eager_state[key]) for key in state)
            if not (equal if setting.device.type == "cpu" else figures["eager"] <= CLOSE):
                wrong["eager"].append(name)
    row.figure(name, figures)


def outcome(training: Training) -> tuple[list[float], dict[str, Tensor]]:
    """Each epoch's training and validation loss, and the training's state in the end, on the CPU."""
    losses = [loss for metrics in training for loss in (metrics.train_loss, metrics.validation_loss)]
    return losses, {name: tensor.cpu().clone() for name, tensor in training.state()[0].items()}


def farthest(losses: list[float], others: list[float]) -> float:
    """The largest relative difference."""
    if len(losses) != len(others):
        return math.inf
    return max(abs(one - other) / max(abs(other), 1e-6) for one, other in zip(losses, others, strict=True))


def network(**survival: Any) -> Architecture:
    stage = Stage(depth=1, width=8, stride=1, block=Block(kind="bottleneck"))
    return Architecture(input=SHAPE, classes=10, stages=(stage, stage), survival=Survival(**survival))


def all_cases(setting: Setting) -> dict[str, Case]:
    images = synthetic(SHAPE, 10, train=35, validation=8)

    def training(
        graph: str, precision: str, *, depth: dict[str, Any] | None = None, host: bool = False, **recipe: Any
    ) -> Training:
        recipe = {"recipe": "none", "batch_size": BATCH, "epochs": EPOCHS, "deterministic": True, **recipe}
        settings = TrainingSettings(**{**recipe, "graph": graph, "precision": precision})
        feed = HostFeed(images, settings, setting.device) if host else None
        model = build(network(**(depth or {})), seed=0)
        return Training(model, images, settings, seed=0, device=setting.device, feed=feed)

    def case(**given: Any) -> Case:
        given.pop("precision", None)  # each case is trained in both
        return lambda graph, precision: training(graph, precision, **given)

    def restored(graph: str, precision: str) -> Training:
        """Goes on where another training, replayed too, was after its first epoch."""
        first = training(graph, precision, **HARD)
        next(first)
        tensors, extra = first.state()
        return training(graph, precision, **HARD).restore({key: one.clone() for key, one in tensors.items()}, extra)

    def ended(graph: str, precision: str) -> Training:
        """Its end is moved after its first epoch."""
        moved = training(graph, precision, **{**HARD, "epochs": 9})
        next(moved)
        moved.end_at(4)
        return moved

    cases = {name: case(**recipe) for name, recipe in RECIPES.items()}
    cases["depth per sample"] = case(depth={**DEPTH, "per": "sample", "rescale": "train"}, micro_batch=3)
    cases["images on the host"] = case(host=True, crop_padding=2, flip=True, mixup=0.2)
    cases["depth per batch"] = case(depth=DEPTH)
    cases["depth per batch, hard"] = case(depth={**DEPTH, "rescale": "train"}, **HARD)
    return cases | {"restored": restored, "moved end": ended}
