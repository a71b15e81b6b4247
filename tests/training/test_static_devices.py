"""The static step on a GPU that is not there: torch's fake tensors refuse an op on tensors of two devices."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.network import build
from archsearch.network.build import skeleton
from archsearch.space.settings import TrainingSettings
from archsearch.training.epoch.pieces import PieceStep
from archsearch.training.epoch.static import StaticStep
from archsearch.training.feeds.feed import DeviceFeed
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic
from archsearch.training.step import Step
from tests.training.recipes import MIXED, RECIPES

GPU = torch.device("cuda", 0)


def moved(holder: Any) -> None:
    """Puts an object's tensors on the GPU, without their values."""
    for name, value in vars(holder).items():
        if isinstance(value, Tensor):
            setattr(holder, name, torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=GPU))


def stepped(
    monkeypatch: pytest.MonkeyPatch, *, stays: str = "", per: Literal["sample", "batch"] = "sample", **recipe: Any
) -> list[torch.device]:
    """Takes a static step but for backward and the optimizer, which torch cannot do with fakes: the devices of the loss
    and of the rate that those would take. `stays` names what is left on the CPU. With stochastic depth `per` batch it
    takes each piece once instead, of blocks that are kept and dropped."""
    images = synthetic((3, 8, 8), 10, train=35, validation=2)
    stage = Stage(depth=1, width=8, stride=1)
    survival = Survival(schedule="linear", last=0.5, per=per, rescale="train")
    architecture = Architecture(input=images.shape, classes=10, stages=(stage, stage), survival=survival)
    settings = TrainingSettings(**{"recipe": "none", "batch_size": 8, "device": "cpu", **recipe})
    here = Training(build(architecture), images, settings, seed=0, threads=1)
    feed, devices = here.feed, []
    assert isinstance(feed, DeviceFeed)
    static = StaticStep(here.step, feed, 8, settings.trained_size(8, 8), here._depth)
    static.begin(here._plan())
    monkeypatch.setattr(torch.autograd, "backward", lambda output, *_: devices.append(output.device))
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = skeleton(architecture, device=GPU).train()
        static.step = Step(model, settings, here.step.loss, device=GPU, precision="float32")
        static._depth.modules = type(here._depth)(model, here._depth.parts).modules
        parts = {"step": static, "feed": feed, "store": feed._windows.store, "normaliser": feed._windows.normalise}
        for name, part in parts.items():
            if name != stays:
                moved(part)
        feed._windows.normalise._rows = {}
        if stays != "tables":
            tables = [(name, table.shape, table.dtype) for name, table in static.tables.items()]
            static.tables = {name: torch.empty(shape, dtype=dtype, device=GPU) for name, shape, dtype in tables}
        monkeypatch.setattr(static.step.optimizer, "step", lambda rate: devices.append(rate.device))
        if per == "sample":
            static()
            return devices
        by_pieces = PieceStep(static.step, feed, 8, settings.trained_size(8, 8), static._depth, model)
        by_pieces.tables, by_pieces._pastes = static.tables, static._pastes
        for piece in by_pieces._pieces():
            piece()
    return devices


@pytest.mark.parametrize("recipe", ["crop", "resized", "mixed", "binary"])
def test_a_step_mixes_no_devices(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**RECIPES[recipe], "ema": 0.9}
    passes = 3 if "micro_batch" in settings else 1
    assert stepped(monkeypatch, **settings) == [GPU] * (passes + 1)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_nor_do_the_pieces_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = 2
    assert stepped(monkeypatch, per="batch", ema=0.9, **MIXED) == [GPU] * (2 * blocks + 2), "with the end and the stem"


@pytest.mark.parametrize("stays", ["store", "tables"])
def test_a_part_that_stays_on_the_cpu_is_noticed(stays: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="device"):
        stepped(monkeypatch, stays=stays, crop_padding=1)
