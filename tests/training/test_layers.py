"""Learning rates by layer: which layer a parameter is of, and the steps that it takes."""

from __future__ import annotations

import copy

import pytest
import torch

from archsearch import zoo
from archsearch.guests.either import build
from archsearch.guests.guest import Guest
from archsearch.space.settings import TrainingSettings
from archsearch.training.layers import rate_factors
from archsearch.training.optimizer import Optimizer


def layers(model: torch.nn.Module) -> dict[str, int]:
    """How many layers are above each parameter."""
    return {name: round(-torch.tensor(factor).log2().item()) for name, factor in rate_factors(model, 0.5).items()}


def test_the_layers_are_stem_units_and_head() -> None:
    above = layers(build(zoo.get("resnet18").model_copy(update={"input": (3, 32, 32), "classes": 10})))
    assert above["stem.conv1.weight"] == above["stem.norm1.bias"] == 9
    assert above["stage1.block1.branch.conv1.weight"] == 8 and above["stage4.block2.branch.norm2.bias"] == 1
    assert above["stage2.block1.shortcut.conv1.weight"] == above["stage2.block1.branch.conv2.weight"] == 6
    assert above["head.linear1.weight"] == above["head.linear1.bias"] == 0
    dense = layers(build(zoo.get("densenet40_12_cifar")))
    assert dense["stage2.entry.conv1.weight"] == dense["stage2.block1.branch.conv1.weight"] == 24
    assert dense["stage3.exit.norm1.weight"] == dense["stage3.block12.branch.conv1.weight"] == 1


def test_a_guests_layers_are_what_its_lists_consist_of() -> None:
    above = layers(build(Guest(guest="torchvision:resnet18", input=(3, 32, 32), classes=10)))
    assert above["conv1.weight"] == above["bn1.bias"] == 9 and above["fc.weight"] == 0
    assert above["layer1.0.conv1.weight"] == 8 and above["layer2.0.downsample.0.weight"] == 6
    vit = layers(build(Guest(guest="timm:vit_tiny_patch16_224", input=(3, 32, 32), classes=10)))
    assert vit["patch_embed.proj.weight"] == vit["pos_embed"] == 13 and vit["blocks.11.mlp.fc1.bias"] == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lamb"])
def test_a_step_is_the_factor_times_that_without_layers(optimizer: str) -> None:
    words = {"optimizer": optimizer, "weight_decay": 0.1, "clip_norm": 1.0, "decay_norms_and_biases": True}
    plain = build(zoo.get("resnet20_cifar").model_copy(update={"input": (1, 8, 8)})).double()
    by_layer, start = copy.deepcopy(plain), {name: p.detach().clone() for name, p in plain.named_parameters()}
    factors = rate_factors(by_layer, 0.5)
    assert len(set(factors.values())) == 11
    for model, decay in ((plain, 1.0), (by_layer, 0.5)):
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        Optimizer(model, TrainingSettings(recipe="none", layer_decay=decay, **words)).step(0.1)
    expected = dict(plain.named_parameters())
    for name, parameter in by_layer.named_parameters():
        step = (expected[name] - start[name]) * factors[name]
        torch.testing.assert_close(parameter - start[name], step, rtol=1e-6, atol=1e-12)


def test_a_tensor_of_rates_is_the_rate_times_each_factor() -> None:
    settings = TrainingSettings(recipe="none", layer_decay=0.5)
    one = build(zoo.get("resnet20_cifar").model_copy(update={"input": (1, 8, 8)}))
    other = copy.deepcopy(one)
    for model in (one, other):
        generator, optimizer = torch.Generator().manual_seed(0), Optimizer(model, settings)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        rates = torch.tensor([0.3 * factor for factor in optimizer.factors], dtype=torch.float64)
        optimizer.step(0.3 if model is one else rates)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
