"""Words of the grammar against timm's networks: equal parameters, equal counts of fvcore, equal outputs.

timm's tensors are copied in the order of its layers, which is ours where blocks are not pre-activated.
"""

import logging
import warnings

import pytest
import timm
import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
from torch import nn

from archsearch import Architecture, cost
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Stage, Stem
from archsearch.network.build import skeleton
from tests.network.published import published

SIZE = 64
TIERED, HALF = Stem(width=64, stride=2, deep="tiered", pool="max"), Stem(width=64, stride=2, deep="half", pool="max")


def resnet(depths: tuple[int, ...], stem: Stem, **words: object) -> Architecture:
    """The stages of an ImageNet ResNet, whose blocks are bottlenecks unless the words say otherwise."""
    block = Block(**{"kind": "bottleneck", **words})  # type: ignore[arg-type]
    first = 64 if block.kind == "basic" else 256
    stages = tuple(
        Stage(depth=depth, width=first * 2**index, stride=1 if index == 0 else 2, block=block)
        for index, depth in enumerate(depths)
    )
    return Architecture(input=(3, SIZE, SIZE), classes=1000, stem=stem, stages=stages)


NETWORKS = {
    "resnet10t": resnet((1, 1, 1, 1), TIERED, kind="basic", shortcut="B_pool"),
    "resnet18d": resnet((2, 2, 2, 2), HALF, kind="basic", shortcut="B_pool"),
    "resnet26d": resnet((2, 2, 2, 2), HALF, shortcut="B_pool"),
    "resnet26t": resnet((2, 2, 2, 2), TIERED, shortcut="B_pool"),
    "resnet50c": resnet((3, 4, 6, 3), HALF),
    "resnet50s": resnet((3, 4, 6, 3), HALF.model_copy(update={"width": 128})),
    "seresnext26t_32x4d": resnet(
        (2, 2, 2, 2), TIERED, shortcut="B_pool", attention="se", cardinality=32, bottleneck_ratio=0.5
    ),
    "ecaresnet26t": resnet((2, 2, 2, 2), TIERED, shortcut="B_pool", attention="eca"),
}


def counts(network: nn.Module, images: torch.Tensor) -> dict[str, int]:
    """fvcore's FLOPs by operator in eval mode and its activations."""
    flops, activations = FlopCountAnalysis(network.eval(), images), ActivationCountAnalysis(network, images)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return {**{name: int(n) for name, n in flops.by_operator().items() if n}, "activations": int(activations.total())}


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_timm_has_equal_parameters_counts_and_outputs(name: str) -> None:
    architecture, theirs = NETWORKS[name], published(name, "timm").eval()
    ours, counted = skeleton(architecture).eval(), cost(architecture)
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state, assign=True)
    for size in (SIZE + 7, SIZE):
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = theirs(images)
            assert expected.std() > 0.01
            assert (ours(images) - expected).abs().max() < 1e-5 * expected.abs().max()
    by_operator = counts(theirs, images[:1])
    assert counted.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert {**counted.by_operator(), "activations": counted.activations} == by_operator
    assert timm.is_model(name)
