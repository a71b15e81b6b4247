"""Words of the grammar against timm's networks: equal parameters, equal counts of fvcore, equal outputs.

timm's tensors are copied in the order of its layers, which is ours where blocks are not pre-activated.
"""

import logging
import warnings

import pytest
import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
from timm.layers import create_conv2d
from timm.models.resnetv2 import create_resnetv2_stem
from torch import nn

from archsearch import Architecture, InputError, cost
from archsearch.architecture.block import Block
from archsearch.architecture.composites import Unit
from archsearch.architecture.plan import plan, stem_ops
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Head, Stage, Stem, Survival
from archsearch.network.build import Network, skeleton
from archsearch.network.calls import call
from archsearch.network.pretrained import load_pretrained
from tests.network.published import published

SIZE = 64
TIERED, HALF = Stem(width=64, stride=2, deep="tiered", pool="max"), Stem(width=64, stride=2, deep="half", pool="max")

BLURRED = Stem(kernel=7, stride=2, width=64, pool="blur")


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
    "resnetrs50": resnet(
        (3, 4, 6, 3),
        HALF.model_copy(update={"pool": "conv"}),
        shortcut="B_pool",
        attention="se",
        attention_reduction=4,
    ),
    "resnetblur18": resnet((2, 2, 2, 2), BLURRED, kind="basic", downsample="blur"),
    "resnetblur50": resnet((3, 4, 6, 3), BLURRED, downsample="blur"),
    "resnetblur50d": resnet(
        (3, 4, 6, 3), HALF.model_copy(update={"pool": "blur"}), downsample="blur", shortcut="B_pool"
    ),
    "resnetaa50": resnet((3, 4, 6, 3), BLURRED.model_copy(update={"pool": "average"}), downsample="average"),
    "seresnetaa50d": resnet(
        (3, 4, 6, 3),
        HALF.model_copy(update={"pool": "average"}),
        shortcut="B_pool",
        downsample="average",
        attention="se",
    ),
    "legacy_seresnet50": resnet(
        (3, 4, 6, 3), BLURRED.model_copy(update={"pool": "max_unpadded"}), attention="se", stride_at="conv1x1"
    ),
    "legacy_seresnext26_32x4d": resnet(
        (2, 2, 2, 2),
        BLURRED.model_copy(update={"pool": "max_unpadded"}),
        attention="se",
        cardinality=32,
        bottleneck_ratio=0.5,
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
    agrees(NETWORKS[name], published(name, "timm"))


@pytest.mark.parametrize(
    ("name", "kind", "deep"), [("resnetv2_18d", "basic", "half"), ("resnetv2_50t", "bottleneck", "tiered")]
)
def test_a_deep_stem_before_preactivated_blocks_ends_in_its_convolution(name: str, kind: str, deep: str) -> None:
    depths = (2, 2, 2, 2) if kind == "basic" else (3, 4, 6, 3)
    stem = HALF.model_copy(update={"deep": deep, "first_shortcut": "raw"})
    network = resnet(depths, stem, kind=kind, activation="pre", shortcut="B_pool")
    network = network.model_copy(update={"head": Head(classifier="conv")})
    theirs, ours = published(name, "timm"), skeleton(network, device="cpu")
    load_pretrained(ours, theirs.state_dict())
    agrees(network, theirs, ours)


def agrees(architecture: Architecture, theirs: nn.Module, ours: Network | None = None) -> None:
    """Asserts that timm's model is this network, with its tensors in order where they are not loaded yet."""
    counted = cost(architecture)
    if ours is None:
        ours = skeleton(architecture)
        state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
        ours.load_state_dict(state, assign=True)
    ours.eval(), theirs.eval()
    for size in (SIZE + (32 if "average" in architecture.to_yaml() else 7), SIZE):  # timm averages even sizes alone
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = theirs(images)
            assert expected.std() > 0.01
            assert (ours(images) - expected).abs().max() < 1e-5 * expected.abs().max()
    assert counted.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert {**counted.by_operator(), "activations": counted.activations} == counts(theirs, images[:1])


def test_a_projection_with_a_stride_may_be_3x3() -> None:
    """senet154's, in a ResNet-26; the first stage's, without a stride, is 1x1."""
    stem = Stem(kernel=7, stride=2, width=64, pool="max")
    agrees(resnet((2, 2, 2, 2), stem, shortcut_kernel=3), published("resnet26", "timm", down_kernel_size=3))


def test_senet154s_blocks() -> None:
    """With a block a stage: three convolutions in the stem, half the channels before the 3x3, 3x3 projections."""
    words = {"cardinality": 64, "bottleneck_ratio": 1.0, "first_ratio": 0.5, "shortcut_kernel": 3, "attention": "se"}
    network = resnet((1, 1, 1, 1), HALF.model_copy(update={"width": 128}), **words)
    agrees(network, published("senet154", "timm", layers=(1, 1, 1, 1)))


def test_a_blur_refuses_what_it_cannot_mirror() -> None:
    block = Block(downsample="blur")
    network = Architecture(input=(3, 2, 2), stages=(Stage(depth=1), Stage(depth=1, block=block)))
    with pytest.raises(InputError, match="a blur needs 2x2 pixels or more, and its input has 1x1"):
        cost(network)
    assert cost(network.model_copy(update={"input": (3, 3, 3)})).params > 0


def test_bits_stem_pads_with_zeros_that_count() -> None:
    theirs = create_resnetv2_stem(3, 16, "fixed", conv_layer=create_conv2d, norm_layer=nn.BatchNorm2d)
    stem = Stem(kernel=7, stride=2, width=16, pool="max_zero_padded")
    ours = call(stem_ops(stem, Block(activation="pre")), Shape(3, 31, 32)).module()
    with torch.no_grad():
        ours.conv1.weight.copy_(theirs.conv.weight)
        for height in (31, 32):
            images = torch.randn(2, 3, height, 32, generator=torch.Generator().manual_seed(0))
            wanted = theirs(images)
            assert torch.equal(ours(images), wanted)
            ignored = nn.functional.max_pool2d(theirs.conv(images), 3, 2, padding=1)
            assert ignored.shape == wanted.shape
            assert not torch.equal(ignored, wanted), "all numbers at the edges are above 0"


@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("link", ["residual", "highway"])
def test_without_a_shortcut_a_block_that_changes_the_shape_is_its_branch_alone(link: str, activation: str) -> None:
    """And others of its stage have theirs. Stochastic depth counts those alone."""
    words = {"link": link, "activation": activation, "gate": "exclusive", "learned_gain": True, "branch_scale": 0.5}
    stages = tuple(Stage(depth=2, width=width, block=Block(shortcut="none", **words)) for width in (16, 24))
    units = [
        op
        for _, stage in plan(Architecture(stages=stages, survival=Survival(schedule="linear", last=0.5))).steps[1:-1]
        for _, op in stage.steps
        if isinstance(op, Unit)
    ]
    assert [unit.join for unit in units] == ["replace", "add", "replace", "add"]
    assert [unit.survival for unit in units] == [1.0, 0.75, 1.0, 0.5]
    plain = Stage(depth=2, width=16, block=Block(activation=activation, link="plain"))  # type: ignore[arg-type]
    steps = plan(Architecture(stages=(plain,))).steps[1][1].steps
    assert units[0] == steps[0][1]
    assert units[1].gate.steps and units[1].gain.steps
