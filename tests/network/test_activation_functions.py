"""`nonlinearity`: timm's networks with other activation functions, and what belongs to their ops."""

from typing import get_args

import pytest
import timm
import torch
from torch import nn

from archsearch import cost, load_space, zoo
from archsearch.analysis.drawing import draw
from archsearch.architecture.block import Block, Nonlinearity
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture, Stage
from archsearch.export.source import source
from archsearch.network import build
from tests.network.libraries import assert_equal_networks

FUNCTIONS = get_args(Nonlinearity)
LABELS = {"relu": "ReLU", "silu": "SiLU", "gelu": "GELU", "hard_swish": "hard-swish", "relu6": "ReLU6"}
NAMES = ("resnet18", "resnetv2_50")


def of_zoo(name: str, function: str) -> Architecture:
    """The zoo's network with this activation function, for images of 64x64 pixels."""
    network = zoo.get(name)
    stages = tuple(
        stage.model_copy(update={"block": stage.block.model_copy(update={"nonlinearity": function})})
        for stage in network.stages
    )
    return network.model_copy(update={"stages": stages, "input": (3, 64, 64)})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_timms_network_with_the_function_is_ours(name: str, function: str) -> None:
    theirs = timm.create_model(name, act_layer=timm.layers.get_act_layer(function))
    assert_equal_networks(of_zoo(name, function), theirs)


@pytest.mark.parametrize("placement", ["post", "pre", "norm_after_addition", "relu_before_addition", "relu_only_pre"])
def test_no_relu_is_left_in_any_placement(placement: str) -> None:
    block = Block(activation=placement, nonlinearity="silu")
    stages = (Stage(depth=2, stride=1, block=block), Stage(depth=2, width=32, entry="conv", block=block))
    kinds = {type(module) for module in build(Architecture(stages=stages)).modules()}
    assert nn.SiLU in kinds and nn.ReLU not in kinds


@pytest.mark.parametrize("function", FUNCTIONS)
def test_drawing_and_source_name_it(function: str) -> None:
    network = of_zoo("resnet18", function)
    assert f"<title>{LABELS[function]}</title>" in draw(network)
    kind = {"relu": "ReLU(inplace=True)", "silu": "SiLU()", "gelu": "GELU()", "hard_swish": "Hardswish()"}
    assert f"nn.{kind.get(function, 'ReLU6()')}" in source(network)


def test_it_costs_nothing_but_memory_and_each_is_a_network_of_its_own() -> None:
    networks = [of_zoo("resnet18", function) for function in FUNCTIONS]
    assert len({digest(network) for network in networks}) == len(FUNCTIONS)
    assert digest(networks[0]) == digest(zoo.get("resnet18").model_copy(update={"input": (3, 64, 64)}))
    first, *others = [cost(network) for network in networks]
    assert all(other == first and other.saved > 1.3 * first.saved for other in others)


@pytest.mark.parametrize(("function", "trains"), [("relu", False), ("relu6", False), ("silu", True), ("gelu", True)])
def test_what_a_relu_would_cut_off_trains_with_smooth_functions(function: str, trains: bool) -> None:
    """A dense block whose output starts at 0, and a shortcut that is subtracted from a branch that starts at 0."""
    for words in (
        {"learned_gain": True, "link": "dense", "activation": "pre"},
        {"zero_init": True, "shortcut_scale": -0.5},
    ):
        block = Block(nonlinearity=function, **words)
        assert (block.never_trains() is None) == trains
        assert block.link != "dense" or "ReLU" in (block.never_trains("pre") or "")  # the next stage may have one
    if trains:
        network = build(Architecture(stages=(Stage(depth=2, block=block),)), seed=1).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        before = network.stage1.block2.branch.conv1.weight.clone()
        for step in range(3):
            x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), torch.arange(8)).backward()
            optimizer.step()
        assert not torch.equal(network.stage1.block2.branch.conv1.weight, before)


def test_a_space_varies_it_by_stage(tmp_path) -> None:
    file = tmp_path / "space.yaml"
    functions = ", ".join(FUNCTIONS)
    file.write_text(
        "archsearch: 1\nname: functions\ndata: {name: digits}\nspace:\n  stages: 2\n  depth: 1\n  width: 8\n"
        f"  nonlinearity: {{choice: [{functions}], each: stage}}\n"
    )
    networks = load_space(file).sample(100)
    assert len({digest(network) for network in networks}) == len(FUNCTIONS) ** 2
    assert {network.stages[1].block.nonlinearity for network in networks} == set(FUNCTIONS)
