"""Group norms and weight standardisation: timm's BiT and resnet50_gn, and what follows from them elsewhere."""

import functools
from pathlib import Path

import pytest
import timm
import torch
from timm.layers import GroupNormAct, StdConv2d
from timm.models.resnetv2 import ResNetV2
from torch import nn

from archsearch import cost, zoo
from archsearch.analysis.drawing import draw
from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Shape, layers
from archsearch.architecture.ops import Norm
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture, Stage, Stem
from archsearch.export import formats, int8, parity
from archsearch.export.fresh import fresh
from archsearch.network import build
from archsearch.network.layers import StandardizedConv
from archsearch.training.freezing import Frozen
from tests.network.libraries import assert_equal_networks


def of_zoo(name: str, **words: object) -> Architecture:
    """The zoo's network with these words in each block, for images of 64x64 pixels."""
    network = zoo.get(name)
    stages = tuple(stage.model_copy(update={"block": stage.block.model_copy(update=words)}) for stage in network.stages)
    return network.model_copy(update={"stages": stages, "input": (3, 64, 64)})


def test_timms_resnet50_with_group_norms_is_ours() -> None:
    assert_equal_networks(of_zoo("resnet50", norm="group"), timm.create_model("resnet50_gn"))


def test_timms_big_transfer_is_ours() -> None:
    """ResNet-v2 with group norms and weight standardisation, but for the padding of BiT's stem pool."""
    theirs = ResNetV2(
        [3, 4, 6, 3],
        stem_type="",
        norm_layer=functools.partial(GroupNormAct, num_groups=32),
        conv_layer=functools.partial(StdConv2d, eps=1e-8),
    )
    theirs.head.fc = nn.Conv2d(2048, 1000, 1)
    theirs.head.flatten = nn.Flatten(1)
    ours = of_zoo("resnetv2_50", norm="group", weight_standardization=True)
    assert_equal_networks(ours, theirs)
    assert cost(ours).params == sum(p.numel() for p in timm.create_model("resnetv2_50x1_bit").parameters())


def small(size: int = 16, **words: object) -> Architecture:
    block = Block(**words)
    stages = (Stage(depth=2, width=12, stride=1, block=block), Stage(depth=2, width=18, block=block))
    return Architecture(input=(3, size, size), stem=Stem(width=12), stages=stages)


def test_groups_divide_the_channels_and_equal_groups_are_one_network() -> None:
    network = small(norm="group", norm_groups=8)
    norms = [layer for layer in layers(plan(network), Shape(*network.input)) if isinstance(layer.op, Norm)]
    assert {(layer.input.channels, layer.op.groups) for layer in norms} == {(12, 4), (18, 2)}
    assert digest(small(norm="group", norm_groups=4)) == digest(network) != digest(small())
    assert digest(small(norm_groups=4)) == digest(small())


def test_a_group_is_never_a_single_number() -> None:
    """At a resolution of one pixel: such a norm would emit its shift alone."""
    stages = [Stage(depth=1, width=8, stride=4, block=Block(norm="group")) for _ in range(2)]
    network = Architecture(input=(3, 16, 16), stem=Stem(width=8), stages=tuple(stages))
    norms = [layer for layer in layers(plan(network), Shape(*network.input)) if isinstance(layer.op, Norm)]
    assert {(layer.input.height, layer.op.groups) for layer in norms} == {(16, 8), (4, 8), (1, 1)}


@pytest.mark.parametrize("words", [{}, {"kind": "bottleneck", "activation": "pre"}])
def test_standardised_weights_are_plain_ones_in_exported_files(words: dict, tmp_path: Path) -> None:
    network = fresh(small(norm="group", weight_standardization=True, **words))
    assert sum(isinstance(module, StandardizedConv) for module in network.modules()) > 8
    folded, images = formats.folded(network), parity.random_images((3, 16, 16), 40)
    assert not any(isinstance(module, StandardizedConv) for module in folded.modules())
    weight = folded.stage1.block1.branch.conv1.weight
    assert weight.flatten(1).mean(1).abs().max() < 1e-5
    assert torch.allclose(weight.flatten(1).var(1, correction=0), torch.ones(len(weight)), atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images))
        formats.write_onnx(formats.program(network), tmp_path / "model.onnx")
        by_onnx = parity.by_onnx(tmp_path / "model.onnx", images)
        torch.testing.assert_close(by_onnx, network(images), atol=1e-4, rtol=1e-4)
    int8.quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", images)
    scores = parity.by_onnx(tmp_path / "int8.onnx", images)
    assert (scores - by_onnx).square().mean().sqrt() < 0.25 * by_onnx.std()


def test_filters_of_one_weight_are_left_alone() -> None:
    """Standardised they would be 0: 1x1 convolutions of gray images, and of one channel a group."""
    gray = small(weight_standardization=True).model_copy(update={"input": (1, 16, 16)})
    network = gray.model_copy(update={"stem": Stem(width=12, kernel=1)})
    built = build(network)
    assert type(built.stem.conv1) is not StandardizedConv
    assert type(built.stage1.block1.branch.conv1) is StandardizedConv
    assert cost(network).batch_norm % 4 == 0 and cost(network).batch_norm > cost(small()).batch_norm


def test_freezing_the_norms_freezes_group_norms() -> None:
    network = build(small(norm="group"))
    frozen = Frozen(network, "bn")
    assert len(frozen.norms) == sum(isinstance(module, nn.GroupNorm) for module in network.modules()) > 8
    assert all(not parameter.requires_grad for norm in frozen.norms for parameter in norm.parameters())


def test_a_block_that_starts_as_its_shortcut_does_with_group_norms() -> None:
    network = build(small(norm="group", zero_init=True))
    last = network.stage1.block2.branch[-1]
    assert isinstance(last, nn.GroupNorm) and not last.weight.any()
    x = torch.rand(2, 12, 16, 16)
    assert torch.equal(network.stage1.block2(x), x)


def test_the_drawing_says_which_norm_it_is() -> None:
    assert "<title>group norm</title>" in draw(small(norm="group"))
    assert "<title>group norm</title>" not in draw(small())
