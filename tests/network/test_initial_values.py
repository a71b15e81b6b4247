"""Where training starts: each kind of layer's distribution, by its formula."""

import math

import pytest
import torch
from torch import nn

from archsearch.network.initialise import initialise
from archsearch.network.layers import AcrossChannels


@pytest.mark.parametrize(("kernel", "groups", "fan_out"), [(1, 1, 64), (3, 1, 576), (3, 4, 576)])
def test_convolutions_are_normal_by_what_they_feed(kernel: int, groups: int, fan_out: int) -> None:
    layer = nn.Conv2d(128, 64, kernel, groups=groups)
    initialise(layer, torch.Generator().manual_seed(0))
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.05 * math.sqrt(2 / fan_out))
    assert layer.bias is not None and not layer.bias.any()


@pytest.mark.parametrize(("layer", "inputs"), [(nn.Linear(100, 200), 100), (AcrossChannels(9), 9)])
def test_linear_layers_are_uniform_by_what_they_read(layer: nn.Module, inputs: int) -> None:
    weights = []
    for seed in range(20):
        initialise(layer, torch.Generator().manual_seed(seed))
        weights.append(layer.get_parameter("weight").detach().flatten().clone())
    bound, drawn = 1 / math.sqrt(inputs), torch.cat(weights)
    assert 0.95 * bound < drawn.max().item() <= bound
    assert -bound <= drawn.min().item() < -0.95 * bound
