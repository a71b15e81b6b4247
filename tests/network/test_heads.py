"""Heads with hidden layers and biases beside norms: torchvision's and timm's VGG."""

import pytest
import torch
import torchvision
from timm.models._efficientnet_blocks import InvertedResidual
from timm.models.vgg import VGG

from archsearch import InputError, cost
from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.heads import head_ops
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.export.fresh import fresh
from archsearch.network import build
from tests.network.libraries import assert_equal_networks, in_order
from tests.network.published import filled

LAYERS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
WIDTHS = (64, 128, 256, 512, 512)


def vgg(
    depth: int, *, size: int = 64, widths: tuple[int, ...] = WIDTHS, norm: str = "none", **head: object
) -> Architecture:
    """The first convolution is the stem; a max pool is before each stage but the first, and in the head."""
    block = Block(kind="single", link="plain", norm=norm, bias=True)
    layers = [LAYERS[depth][0] - 1, *LAYERS[depth][1 : len(widths)]]
    stages = tuple(
        Stage(depth=count, width=width, stride=1 + (number > 0), entry="pool", block=block)
        for number, (count, width) in enumerate(zip(layers, widths, strict=True))
        if count
    )
    words = {"pool": "max", "hidden": 4096, "grid": 7, **head}
    return Architecture(
        input=(3, size, size), classes=1000, stem=Stem(width=widths[0]), stages=stages, head=Head(**words)
    )


@pytest.mark.parametrize(("depth", "norm"), [(11, "none"), (16, "batch")])
def test_torchvisions_vgg_is_ours(depth: int, norm: str) -> None:
    name = f"vgg{depth}_bn" if norm == "batch" else f"vgg{depth}"
    assert_equal_networks(vgg(depth, norm=norm), torchvision.models.get_model(name, dropout=0.0))


@pytest.mark.parametrize(("norm", "size"), [("none", 56), ("batch", 72)])
def test_timms_vgg_whose_hidden_layers_are_convolutions_is_ours(norm: str, size: int) -> None:
    """A narrow one. On 72x72 pixels its hidden layers see more than one position."""
    widths = (8, 12, 16)
    theirs = VGG(
        [8, 8, "M", 12, 12, "M", 16, 16, 16, "M"], norm_layer=torch.nn.BatchNorm2d if norm == "batch" else None
    )
    assert_equal_networks(vgg(16, size=size, widths=widths, norm=norm, hidden_form="conv"), theirs)


def test_counts_of_the_full_sized_networks_are_those_that_are_published() -> None:
    """Simonyan & Zisserman 2015, table 2: 133M and 138M parameters; with norms torchvision's own figures."""
    counts = [cost(vgg(depth, size=224)).params for depth in (11, 16)]
    assert counts == [132_863_336, 138_357_544]
    assert cost(vgg(16, size=224, norm="batch")).params == 138_365_992


def test_dropout_stands_before_the_classifier_and_between_hidden_layers() -> None:
    for words, wanted in (
        ({}, ["GlobalPool", "Dropout", "Linear"]),
        ({"classifier": "conv"}, ["GlobalPool", "Dropout", "Conv", "Flatten"]),
        ({"hidden": 5}, ["GlobalPool", "Linear", "Relu", "Dropout", "Linear", "Relu", "Dropout", "Linear"]),
        ({"hidden": 5, "hidden_layers": 1, "grid": 2}, ["GridPool", "Flatten", "Linear", "Relu", "Dropout", "Linear"]),
        (
            {"hidden": 5, "hidden_form": "conv", "grid": 2, "classifier": "conv"},
            ["Conv", "Relu", "Dropout", "Conv", "Relu", "GlobalPool", "Dropout", "Conv", "Flatten"],
        ),
    ):
        ops = head_ops(Head(dropout=0.5, **words), 10)
        assert [type(op).__name__ for _, op in ops.steps] == wanted


def test_an_inverted_bottleneck_is_a_value() -> None:
    """MobileNetV2's block of unchanged shape: 1x1 to six times the width, a 3x3 a channel, 1x1; no ReLU behind."""
    block = Block(kind="bottleneck", bottleneck_ratio=6, group_width=1, activation="linear", nonlinearity="relu6")
    stage = Stage(depth=2, width=16, stride=1, block=block)
    network = build(Architecture(input=(3, 12, 12), stages=(stage,)), seed=1)
    ours, theirs = network.stage1.block2, filled(InvertedResidual(16, 16, exp_ratio=6, act_layer=torch.nn.ReLU6))
    ours.load_state_dict(in_order(theirs.state_dict(), ours.state_dict()))
    x = torch.randn(2, 16, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = theirs.eval()(x)
        torch.testing.assert_close(ours.eval()(x), wanted)
    assert (wanted < 0).any()


def test_without_an_activation_function_behind_the_join_every_branch_has_one() -> None:
    for words in ({"kind": "single"}, {"link": "dense"}, {"kind": "bottleneck", "link": "dense"}, {"layers": 1}):
        linear, post = (
            Architecture(stages=(Stage(depth=2, stride=1, block=Block(activation=activation, **words)),))
            for activation in ("linear", "post")
        )
        assert digest(linear) == digest(post)
    assert digest(Architecture(stages=(Stage(depth=2, block=Block(activation="linear")),))) != digest(
        Architecture(stages=(Stage(depth=2),))
    )


def test_hidden_convolutions_that_are_larger_than_the_maps_are_refused() -> None:
    with pytest.raises(InputError, match="7x7 convolution is larger than its input of 2x2"):
        cost(vgg(11, hidden_form="conv"))


def test_a_grid_makes_the_network_independent_of_the_images_size() -> None:
    network = build(vgg(11, widths=(4, 4, 4), hidden=8, grid=3)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, 50, 61)).shape == (2, 1000)
    assert fresh(network.architecture).training is False
