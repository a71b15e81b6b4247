"""Stochastic depth: Huang's exact figures, the distribution of the depth, timed steps."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
import pytest
import torch

from archsearch import zoo
from archsearch.anatomy.depth import STEPS, Depth, measured, with_survival
from archsearch.anatomy.depth_page import document, html
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Survival
from archsearch.space.settings import TrainingSettings
from archsearch.training.measuring.probe import synthetic
from tests.anatomy.small import small

HUANG = Depth.of(zoo.get("stochastic_depth_resnet110_cifar"))


def test_huangs_figures() -> None:
    """Section 3: L = 54, p_L = 0.5."""
    assert len(HUANG.probabilities) == 54
    assert round(HUANG.probabilities[0], 4) == 0.9907 and HUANG.probabilities[-1] == 0.5
    assert HUANG.expected == pytest.approx((3 * 54 - 1) / 4) == pytest.approx(40.25)
    assert round(100 * HUANG.dropped, 2) == 25.46
    assert HUANG.saved_flops == pytest.approx(0.2546, abs=0.002), "less stem, head and additions"


def test_the_distribution_is_that_of_independent_draws() -> None:
    depth = Depth.of(with_survival(small(), 0.3))
    expected = np.zeros(7)
    for kept in itertools.product((0, 1), repeat=6):
        expected[sum(kept)] += prod(p if k else 1 - p for p, k in zip(depth.probabilities, kept, strict=True))
    np.testing.assert_allclose(depth.distribution, expected, atol=1e-12)
    assert HUANG.distribution @ np.arange(55) == pytest.approx(40.25) and HUANG.distribution.sum() == pytest.approx(1)


def test_a_counted_draw_has_one_depth() -> None:
    """Veit's control: 23 of 54 modules."""
    network = zoo.get("preact_resnet110_cifar")
    network = network.model_copy(update={"survival": Survival(schedule="count", blocks=23)})
    depth = Depth.of(network)
    assert depth.expected == pytest.approx(23) and depth.distribution[23] == 1 and depth.distribution.sum() == 1
    assert depth.dropped == pytest.approx(31 / 54)


def test_what_is_never_dropped_saves_nothing() -> None:
    assert Depth.of(small()).dropped == 0 == Depth.of(small()).saved_flops
    assert Depth.of(small(link="plain")).probabilities == ()
    by_image = small().model_copy(update={"survival": Survival(schedule="uniform", per="sample")})
    assert Depth.of(by_image).dropped == 0.5 and Depth.of(by_image).saved_flops == 0


@pytest.mark.parametrize("fields", [{"schedule": "linear"}, {"schedule": "count", "blocks": 2}], ids=str)
def test_steps_are_timed_in_turn_with_and_without(fields: dict[str, object]) -> None:
    network = small().model_copy(update={"survival": Survival(**fields)})
    rounds: list[tuple[int, int]] = []
    threads = torch.get_num_threads()
    images = synthetic((3, 8, 8), 10, train=60, validation=4)
    saving = measured(
        network, images, TrainingSettings(epochs=1), torch.device("cpu"), batch=8, rounds=3,
        on_round=lambda *done: rounds.append(done),
    )  # fmt: skip
    assert saving.dropping.shape == saving.whole.shape == (3, STEPS) and (saving.whole > 0).all()
    assert rounds == [(1, 3), (2, 3), (3, 3)] and torch.get_num_threads() == threads
    assert (saving.images, saving.threads, saving.clock) == (8, 1, "thread")
    np.testing.assert_allclose(saving.shares, 1 - saving.dropping.mean(1) / saving.whole.mean(1))
    depth = Depth.of(network)
    figures = document(depth, saving, network.survival, {"network": "small", "data": "noise"}, assumed=False)
    assert figures["time_saved"]["n"] == 3 and figures["measured"]["seconds"]["n"] == 3 * STEPS
    assert figures["time_saved"]["median"] == np.median(saving.shares)
    assert f"{depth.expected:.4g} of 6 blocks" in html(figures)


def test_few_images_make_small_batches() -> None:
    images = synthetic((3, 8, 8), 10, train=12, validation=4)
    saving = measured(small(), images, TrainingSettings(epochs=1), torch.device("cpu"), batch=8, rounds=1)
    assert saving.images == 2 and saving.whole.shape == (1, STEPS)


def test_branches_are_most_of_a_network() -> None:
    network = with_survival(small(), 0.5)
    depth = Depth.of(network)
    assert sum(depth.branch_flops) < depth.flops == cost(network).flops
    assert with_survival(network, None) is network
