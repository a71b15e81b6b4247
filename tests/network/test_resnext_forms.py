"""The three forms of a ResNeXt block (Xie 2017, figure 3) are one function: ours is (c), grouped convolutions."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage, Stem
from archsearch.network import build
from archsearch.network.units import ResidualUnit

GROUPS = 8


def grouped_block(stride: int, width: int = 64) -> ResidualUnit:
    """The last block of a small ResNeXt, with drawn norms."""
    block = Block(kind="bottleneck", bottleneck_ratio=0.5, cardinality=GROUPS)
    network = build(
        Architecture(stem=Stem(width=32), stages=(Stage(depth=1, width=width, stride=stride, block=block),)), seed=5
    )
    draws = torch.Generator().manual_seed(6)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=draws)
            module.bias.data.normal_(0, 0.3, generator=draws)
            module.running_mean.normal_(0, 0.3, generator=draws)
            module.running_var.uniform_(0.5, 1.5, generator=draws)
    return network.stage1.block1.eval()


def normed(x: Tensor, norm: torch.nn.BatchNorm2d, channels: slice = slice(None)) -> Tensor:
    """In a path a norm sees its own channels alone."""
    statistics = (norm.running_mean[channels], norm.running_var[channels])
    return functional.batch_norm(x, *statistics, norm.weight[channels], norm.bias[channels], eps=norm.eps)


def path_until_the_3x3(unit: ResidualUnit, x: Tensor, group: int) -> Tensor:
    """1x1 to d channels, 3x3 from d to d channels: one of the cardinality's paths."""
    branch = unit.branch
    d = branch.conv2.out_channels // GROUPS
    own = slice(group * d, (group + 1) * d)
    y = functional.conv2d(x, branch.conv1.weight[own]).contiguous()
    y = normed(y, branch.norm1, own).relu()
    y = functional.conv2d(y, branch.conv2.weight[own], stride=branch.conv2.stride, padding=1)
    return normed(y, branch.norm2, own).relu()


def form_a(unit: ResidualUnit, x: Tensor) -> Tensor:
    """Split, transform, add: each path has a 1x1 of its own to the full width, and the paths are summed."""
    d = unit.branch.conv2.out_channels // GROUPS
    weights = unit.branch.conv3.weight
    paths = [
        functional.conv2d(path_until_the_3x3(unit, x, group), weights[:, group * d : (group + 1) * d])
        for group in range(GROUPS)
    ]
    return torch.stack(paths).sum(0)


def form_b(unit: ResidualUnit, x: Tensor) -> Tensor:
    """Early concatenation: the paths side by side, then one 1x1."""
    paths = [path_until_the_3x3(unit, x, group) for group in range(GROUPS)]
    return functional.conv2d(torch.cat(paths, dim=1), unit.branch.conv3.weight)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("form", [form_a, form_b])
def test_the_three_forms_of_a_resnext_block_are_equal(form, stride: int) -> None:
    unit = grouped_block(stride)
    assert unit.branch.conv2.groups == GROUPS
    x = torch.randn(2, 32, 16, 16, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        wanted = unit(x)
        found = (normed(form(unit, x), unit.branch.norm3) + unit.shortcut(x)).relu()
        wrong = (normed(form(unit, x.flip(1)), unit.branch.norm3) + unit.shortcut(x)).relu()
    scale = wanted.abs().max()
    assert (found - wanted).abs().max() / scale < 1e-5
    assert (wrong - wanted).abs().max() / scale > 1e-2
