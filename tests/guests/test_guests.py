"""Networks of torchvision and timm as values: how they are named, made, counted, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn
from torchvision import models

from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.guests import libraries
from archsearch.guests.building import load_guest, smallest_side
from archsearch.guests.counting import saved_elements
from archsearch.guests.either import build, cost, digest, origin, parsed, parts, read
from archsearch.guests.guest import Guest
from archsearch.guests.libraries import named
from archsearch.network import build as build_ours
from archsearch.reading.errors import InputError
from archsearch.zoo import get

SMALL = Guest(guest="torchvision:mobilenet_v3_small", input=(1, 8, 8), classes=10)


@pytest.mark.parametrize("model", ["alexnet", "mobilenet_v3_small", "resnet18", "googlenet"])
def test_counts_are_those_that_torchvision_publishes(model: str) -> None:
    guest, published = named(f"torchvision:{model}"), models.get_model_weights(model).DEFAULT.meta
    counted = cost(guest)
    assert counted.macs / 1e9 == pytest.approx(published["_ops"], abs=6e-4)
    assert counted.params == published["num_params"]
    assert counted.flops == sum(counted.by_operator().values()) >= counted.macs


def test_a_guest_that_the_grammar_also_has_costs_the_same() -> None:
    ours, guest = get("resnet18"), named("torchvision:resnet18")
    expected, counted = cost(ours), cost(guest)
    assert counted.by_operator() == expected.by_operator()
    assert counted.to_dict() == expected.to_dict()
    assert counted.saved == pytest.approx(expected.saved, rel=0.01)  # measured here, counted there
    assert counted.largest == expected.largest
    assert digest(guest) != digest(ours)


def test_the_products_of_attention_are_counted() -> None:
    counted = cost(named("torchvision:vit_b_16"))
    assert counted.macs / 1e9 == pytest.approx(17.56, abs=5e-3)
    assert counted.by_operator()["matmul"] == 12 * 2 * 197 * 197 * 768


def test_what_training_saves_is_measured_by_autograd() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = nn.Conv2d(1, 4, 1), nn.Linear(4 * 8 * 8, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(self.conv(x).relu().flatten(1))

    # The ReLU's output, which the linear layer reads too, and the log-probabilities of the loss.
    assert saved_elements(Two(), SMALL) == (4 * 8 * 8 + 10, 4 * 8 * 8)


def test_parts_are_modules_in_the_order_of_a_forward_pass() -> None:
    guest = Guest(guest="torchvision:alexnet", input=(3, 64, 64), classes=7)
    stages = parts(guest, layers=False)
    assert [(name, shape) for name, shape, _ in stages] == [
        ("features", "256x1x1"), ("avgpool", "256x6x6"), ("classifier", "7")
    ]  # fmt: skip
    assert sum(part.flops for _, _, part in stages) == cost(guest).flops
    layers = parts(guest, layers=True)
    assert [name for name, _, _ in layers][:2] == ["features.0", "features.3"]
    assert sum(part.params for _, _, part in layers) == cost(guest).params


def test_a_network_is_the_same_for_the_same_seed_and_torchs_generator_stays() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, same, other = (build(SMALL, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["classifier.3.weight"], other["classifier.3.weight"])


def test_of_one_channel_torchvisions_network_computes_what_it_would_of_three_alike() -> None:
    grey = Guest(guest="torchvision:mobilenet_v3_small", input=(1, 32, 32), classes=10)
    colour = grey.model_copy(update={"input": (3, 32, 32)})
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    ours, theirs = build(grey, seed=2).eval(), build(colour, seed=2).eval()
    first = ours.get_submodule("features.0.0")
    assert isinstance(first, nn.Conv2d) and (first.in_channels, first.stride, first.bias) == (1, (2, 2), None)
    assert torch.allclose(ours(images), theirs(images.expand(-1, 3, -1, -1)), atol=1e-6)
    assert origin(grey).endswith(", its first convolution is replaced by one for images of 1 channel")
    assert "replaced" not in origin(colour)


def test_of_more_channels_the_first_convolutions_weights_are_repeated() -> None:
    four = Guest(guest="torchvision:mobilenet_v3_small", input=(4, 32, 32), classes=10)
    colour = four.model_copy(update={"input": (3, 32, 32)})
    wider, theirs = (build(guest).state_dict()["features.0.0.weight"] for guest in (four, colour))
    assert torch.allclose(wider[:, :3], 0.75 * theirs)
    assert torch.equal(wider[:, 3], wider[:, 0])


@pytest.mark.parametrize("model", ["googlenet", "inception_v3"])
def test_auxiliary_heads_are_off(model: str) -> None:
    module = build(Guest(guest=f"torchvision:{model}", input=(3, 96, 96), classes=10)).train()
    assert isinstance(module(torch.rand(2, 3, 96, 96)), torch.Tensor)
    assert not [name for name, _ in module.named_modules() if name.lower().startswith("aux")]


def test_timm_is_asked_for_classes_channels_and_the_size_of_a_network_that_has_one() -> None:
    pytest.importorskip("timm")
    module = build(Guest(guest="timm:vit_tiny_patch16_224", input=(1, 32, 32), classes=6)).eval()
    assert module(torch.rand(2, 1, 32, 32)).shape == (2, 6)
    assert module.get_submodule("patch_embed.proj").weight.shape[1] == 1
    assert named("timm:inception_v3").input == (3, 299, 299)


# ---- what is refused


@pytest.mark.parametrize(("model", "side"), [("alexnet", 63), ("googlenet", 15)])
def test_an_image_that_is_too_small_is_refused_with_the_size_that_is_needed(model: str, side: int) -> None:
    guest = Guest(guest=f"torchvision:{model}", input=(1, 8, 8), classes=10)
    assert smallest_side(guest) == side
    with pytest.raises(InputError) as refused:
        cost(guest)
    (problem,) = refused.value.problems
    assert problem.message == f"it takes images of {side}x{side} and more, not of 8x8"
    assert f"data.size={side}" in problem.hint and problem.file == guest.name
    build(guest.model_copy(update={"input": (1, side, side)}))


def test_inceptions_smallest_image_is_of_75_pixels() -> None:
    guest = Guest(guest="torchvision:inception_v3", input=(3, 74, 74), classes=10)
    with pytest.raises(InputError, match="images of 75x75 and more"):
        build(guest)


def test_an_image_of_another_kind_is_refused_with_the_librarys_reason() -> None:
    with pytest.raises(InputError, match=r"3x40x40: Input shape indivisible by patch size"):
        build(Guest(guest="torchvision:vit_b_16", input=(3, 40, 40), classes=10))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:vgg16bn", "torchvision has no network 'vgg16bn'.*did you mean vgg16_bn"),
        ("torchvision:fcn_resnet50", "torchvision has no network"),
        ("timm:hf_hub:somebody/net", "timm has no network"),
        ("torchvision:", "torchvision has no network ''"),
    ],
)
def test_names_that_no_library_has_are_refused(name: str, message: str, capsys) -> None:
    assert main(["profile", name]) == 2
    assert re.search(message, capsys.readouterr().err, re.DOTALL)


def test_without_timm_a_line_says_how_it_comes(monkeypatch, capsys) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    assert main(["profile", "timm:resnet18"]) == 2
    error = capsys.readouterr().err
    assert "timm:resnet18 needs timm, which is not installed" in error and "pip install timm" in error


# ---- files


def test_a_file_holds_a_guest_by_its_name_image_and_classes(tmp_path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(SMALL.to_yaml())
    assert read(file) == SMALL == parsed(SMALL.to_dict())
    file.write_text(get("resnet18").to_yaml())
    assert isinstance(read(file), Architecture)
    file.write_text("guest: torchvision:alexnet\ninput: [3, 64]\nclases: 2\n")
    with pytest.raises(InputError) as refused:
        read(file)
    assert {problem.line for problem in refused.value.problems} >= {2, 3}


@pytest.mark.parametrize("name", ["alexnet", "keras:vgg16", "timm:hf-hub:a/b", "timm:../x"])
def test_a_file_names_a_network_of_a_library_that_there_is(name: str) -> None:
    with pytest.raises(InputError):
        parsed({"guest": name, "input": [3, 64, 64], "classes": 10})


def test_profile_says_whose_network_it_is(capsys, tmp_path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(SMALL.to_yaml())
    assert main(["profile", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "torchvision:mobilenet_v3_small, digest" in shown and "\nguest: torchvision " in shown
    assert "FLOPs by operator (fvcore)" in shown
    assert main(["profile", "torchvision:mobilenet_v3_small", "--input", "3x32x32", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["input"], document["classes"], document["counter"]) == ([3, 32, 32], 1000, "fvcore")
    assert main(["profile", str(file), "--draw", str(tmp_path / "net.svg")]) == 2
    assert "only networks of archsearch are drawn" in capsys.readouterr().err


# ---- weights


def test_a_librarys_weights_start_a_guest_whose_classifier_may_be_another() -> None:
    guest = Guest(guest="torchvision:googlenet", input=(3, 32, 32), classes=10)
    theirs = models.googlenet(weights=None, init_weights=False, aux_logits=True).state_dict()
    module = build(guest)
    start = load_guest(module, guest, theirs)
    assert start.source == "torchvision" and start.replaced == ("fc.weight", "fc.bias")
    loaded = module.state_dict()
    assert torch.equal(loaded["conv1.conv.weight"], theirs["conv1.conv.weight"])
    assert loaded["fc.weight"].shape == (10, 1024)
    assert start.loaded == len(loaded) - 2
    with pytest.raises(InputError, match="not the weights of torchvision:googlenet"):
        load_guest(module, guest, build_ours(get("resnet20_cifar")).state_dict())
