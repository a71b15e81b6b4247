"""The residual network to stand beside: the largest that a budget admits, whatever the images' size."""

import pytest

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.network import build
from archsearch.zoo.reference import DEPTHS, WIDTHS, outline, reference


def within(side: int, flops: float, params: float = 1e12) -> Architecture | None:
    return reference((3, side, side), 5, lambda _, counted: counted.flops <= flops and counted.params <= params)


@pytest.mark.parametrize(
    ("side", "stages", "large"), [(8, 2, 0), (16, 2, 0), (28, 3, 0), (32, 3, 0), (64, 4, 0), (96, 3, 1), (224, 4, 1)]
)
def test_the_last_stage_still_sees_a_few_pixels(side: int, stages: int, large: bool) -> None:
    plan = outline(side)
    assert (plan.stages, plan.pool, plan.stride) == (stages, large, 2 if large else 1)
    last = (side // 4 if large else side) // 2 ** (stages - 1)
    assert 4 <= last <= 8


@pytest.mark.parametrize("side", [8, 28, 32, 64, 128])
@pytest.mark.parametrize("flops", [1e7, 1e8, 1e9])
def test_it_is_the_largest_within_the_budget(side: int, flops: float) -> None:
    network = within(side, flops)
    assert network is not None
    counted = cost(network)
    assert counted.flops <= flops
    larger = within(side, counted.flops + 1)
    assert larger is not None and cost(larger).flops == counted.flops


def test_cifars_resnet_20_is_among_them() -> None:
    """He 2015, section 4.2, with shortcut B: 0.27 M parameters, 41 M multiply-adds."""
    network = reference((3, 32, 32), 10, lambda network, _: network.name == "resnet20_w16")
    assert network is not None
    counted = cost(network)
    assert 270_000 < counted.params < 276_000 and 40e6 < counted.macs < 42e6
    assert sum(parameter.numel() for parameter in build(network).parameters()) == counted.params


def test_a_bound_on_parameters_counts_too_and_there_may_be_none() -> None:
    network = within(28, 3e6, 60e3)
    assert network is not None and cost(network).params <= 60e3
    assert within(32, 1e4) is None
    assert len(WIDTHS) * len(DEPTHS) < 60  # each is counted, a millisecond each
