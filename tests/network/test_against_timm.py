"""Words of a branch against timm's networks: equal parameters, equal counts of fvcore and, with the same random
weights, equal outputs."""

import warnings

import pytest
import timm
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from archsearch import Architecture, build, cost
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Stage, Stem


def imagenet(
    blocks: list[Block], depths: list[int], widths: list[int], *, strides=(1, 2, 2, 2), **stem
) -> Architecture:
    """A network of stages on images of 64x64, which have the counts of larger ones but for the positions."""
    stages = tuple(
        Stage(depth=depth, width=width, stride=stride, block=block)
        for block, depth, width, stride in zip(blocks, depths, widths, strides, strict=True)
    )
    words = {"kernel": 7, "stride": 2, "width": 64, "pool": "max"} | stem
    return Architecture(input=(3, 64, 64), classes=1000, stem=Stem(**words), stages=stages)


def regnet(name: str, **words) -> Architecture:
    """RegNetX and RegNetY from timm's own parameters, by the rule of the paper."""
    from timm.models.regnet import generate_regnet, model_cfgs

    cfg = model_cfgs[name]
    widths, *_ = generate_regnet(cfg.wa, cfg.w0, cfg.wm, cfg.depth, cfg.group_size)
    stages = sorted(set(widths))
    block = Block(kind="bottleneck", bottleneck_ratio=cfg.bottle_ratio, group_width=cfg.group_size, **words)
    rounded = [round(width / min(cfg.group_size, width)) * min(cfg.group_size, width) for width in stages]
    return imagenet(
        [block] * len(stages), [widths.count(width) for width in stages], rounded, strides=(2,) * len(stages),
        kernel=3, width=cfg.stem_width, pool="none",
    )  # fmt: skip


def randomised(model: nn.Module) -> nn.Module:
    """In eval mode, with random weights and random statistics of the norms."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            low = 0.5 if name.endswith("running_var") else -0.5
            scale = 1.0 if tensor.ndim < 2 else (3 / tensor[0].numel()) ** 0.5
            tensor.copy_((torch.rand(tensor.shape, generator=generator) + low) * (2 * scale if tensor.ndim > 1 else 1))
    return model.eval()


def assert_equal(architecture: Architecture, model: nn.Module) -> None:
    """Equal parameters, counts and outputs. Layers are matched by the order in which they are called."""
    model, ours = randomised(model), build(architecture).eval()
    images = torch.randn(2, *architecture.input, generator=torch.Generator().manual_seed(1))
    calls: dict[str, list[nn.Module]] = {"theirs": [], "ours": []}
    for side, network in (("theirs", model), ("ours", ours)):
        for module in network.modules():
            if next(module.parameters(recurse=False), None) is not None:
                module.register_forward_hook(lambda layer, *_, side=side: calls[side].append(layer))
    with torch.no_grad():
        expected, _ = model(images), ours(images)
        for layer, our_layer in zip(*calls.values(), strict=True):
            our_layer.load_state_dict(layer.state_dict())
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    counted = cost(architecture)
    assert counted.params == sum(parameter.numel() for parameter in model.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, images[:1]).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        assert counted.by_operator() == {name: count for name, count in analysis.by_operator().items() if count}


@pytest.mark.parametrize("name", ["regnetx_002", "regnetx_004"])
def test_regnetx(name: str) -> None:
    assert_equal(regnet(name), timm.create_model(name, pretrained=False))


@pytest.mark.parametrize("name", ["regnety_002", "regnety_008"])
def test_regnety(name: str) -> None:
    se = {"attention": "se", "attention_at": "inside", "attention_from": "input", "attention_reduction": 4}
    assert_equal(regnet(name, **se), timm.create_model(name, pretrained=False))


def test_seresnet_with_rounded_hidden_channels() -> None:
    block = Block(attention="se", attention_rounding=8)
    assert_equal(imagenet([block] * 4, [2, 2, 2, 2], [64, 128, 256, 512]), timm.create_model("seresnet18"))


@pytest.mark.parametrize(
    ("name", "inner", "words"),
    [
        ("res2net50_26w_4s", 104, {"scales": 4}),
        ("res2net50_48w_2s", 96, {"scales": 2}),
        ("res2net50_14w_8s", 112, {"scales": 8}),
        ("res2next50", 128, {"scales": 4, "cardinality": 8}),
        ("skresnet50", 64, {"attention": "selective_sliced", "attention_rounding": 8}),
        ("skresnext50_32x4d", 128, {"attention": "selective", "attention_rounding": 32, "cardinality": 32}),
    ],
)
def test_bottlenecks_of_several_paths(name: str, inner: int, words: dict) -> None:
    block = Block(kind="bottleneck", bottleneck_ratio=inner / 256, **words)
    assert_equal(imagenet([block] * 4, [3, 4, 6, 3], [256, 512, 1024, 2048]), timm.create_model(name))


def test_skresnet18() -> None:
    block = Block(attention="selective_sliced", attention_reduction=8, attention_rounding=16)
    assert_equal(imagenet([block] * 4, [2, 2, 2, 2], [64, 128, 256, 512]), timm.create_model("skresnet18"))


@pytest.mark.parametrize(
    ("name", "depths", "inner", "words"),
    [
        ("resnest14d", [1, 1, 1, 1], 64, {"radix": 2, "downsample": "average_overlapping"}),
        ("resnest50d_4s2x40d", [3, 4, 6, 3], 80, {"radix": 4, "cardinality": 2, "downsample": "average_before"}),
        ("resnest50d_1s4x24d", [3, 4, 6, 3], 96, {"radix": 1, "cardinality": 4, "downsample": "average_before"}),
    ],
)
def test_resnest(name: str, depths: list[int], inner: int, words: dict) -> None:
    attention = {"attention": "split", "attention_reduction": 4, "attention_rounding": 8}
    block = Block(kind="bottleneck", bottleneck_ratio=inner / 256, shortcut="B_pool", **attention, **words)
    assert_equal(imagenet([block] * 4, depths, [256, 512, 1024, 2048], deep="half"), timm.create_model(name))
