"""What is drawn and counted once an epoch, outside of its steps."""

from __future__ import annotations

import pytest
import torch

from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.network import build
from archsearch.network.units import StochasticDepth
from archsearch.space.settings import TrainingSettings
from archsearch.training.epoch.depth import Depth
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic
from archsearch.training.randomness import generator_of
from tests.training.capturing import Recorded


def network(per: str = "batch", schedule: str = "uniform", rescale: str = "train") -> Architecture:
    stage = Stage(depth=2, width=4, stride=1)
    survival = Survival(schedule=schedule, last=0.5, per=per, rescale=rescale)
    return Architecture(input=(1, 8, 8), stages=(stage, stage), survival=survival)


def training(architecture: Architecture, **settings: object) -> Training:
    images = synthetic(architecture.input, architecture.classes, train=41, validation=2)
    recipe = TrainingSettings(recipe="none", batch_size=10, device="cpu", **settings)
    return Training(build(architecture), images, recipe, seed=0, threads=1)


@pytest.mark.parametrize(("rescale", "schedule"), [("test", "uniform"), ("train", "uniform"), ("train", "count")])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_what_is_decided_before_an_epoch_is_what_the_network_would_draw(per: str, rescale: str, schedule: str) -> None:
    decided, drawing = (build(network(per, schedule, rescale)).train() for _ in range(2))
    depth = Depth(decided, (4, 3))
    for model in (decided, drawing):
        model.seed_stochastic_depth(generator_of(0, "depth", 0))
    depth.draw(5, torch.device("cpu"))
    seen = set()
    for step in range(5):
        for part, images in enumerate(depth.parts):
            depth.decide(depth.row(step), part)
            pixels = torch.ones(images, 1, 8, 8)
            outputs = decided(pixels)
            assert torch.equal(outputs, drawing(pixels))
            seen.add(tuple(outputs.flatten().tolist()))
    assert len(seen) > 5
    depth.clear()
    assert [module.decided for module in depth.modules] == [None] * 4 and depth.factors is None


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_a_step_with_stochastic_depth_reads_nothing_and_draws_nothing(per: str) -> None:
    trained, recorded = training(network(per)), []
    step = trained.step

    def watched(*args: object) -> None:
        with Recorded() as mode:
            step(*args)
        recorded.append(mode)

    for name in ("start", "losses", "right", "teacher"):
        setattr(watched, name, getattr(step, name))
    trained.step = watched
    trained.train_epoch()
    assert [mode.reads for mode in recorded] == [[]] * 4
    names = {name for mode in recorded for name, _ in mode.trace}
    assert "convolution" in names and not names & {"rand", "bernoulli_", "uniform_"}
    if per == "sample":
        assert recorded[1].trace == recorded[2].trace == recorded[3].trace


@pytest.mark.parametrize("micro_batch", [None, 4])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_norms_are_counted_as_often_as_they_were_computed(per: str, micro_batch: int | None) -> None:
    trained, computed = training(network(per), micro_batch=micro_batch, ema=0.9), {}
    norms = {name: module for name, module in trained.model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    for name, norm in norms.items():
        computed[name] = 0
        norm.register_forward_hook(lambda norm, *_, name=name: computed.update({name: computed[name] + norm.training}))
    for _ in range(2):
        next(trained)
    assert {name: norm.num_batches_tracked.item() for name, norm in norms.items()} == computed
    counted = {name: value for name, value in trained.weights().items() if name.endswith(".num_batches_tracked")}
    assert counted == {f"{name}.num_batches_tracked": count for name, count in computed.items()}
    dropped = {name for name, count in computed.items() if count < 2 * 4 * (3 if micro_batch else 1)}
    blocks = {name for name, module in trained.model.named_modules() if isinstance(module, StochasticDepth)}
    assert bool(dropped) == (per == "batch") and all(any(map(name.startswith, blocks)) for name in dropped)


def test_a_steps_count_of_batches_takes_no_kernel() -> None:
    trained = training(network(schedule="none"))
    with Recorded() as mode:
        trained.train_epoch()
    added = [shapes for name, shapes in mode.trace if name == "add_" and shapes == ((),)]
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in trained.model.modules())
    assert len(added) == 2 * trained.steps + norms, "a step's loss and right answers, then each norm once"
