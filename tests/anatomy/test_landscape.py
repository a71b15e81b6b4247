"""Landscapes: directions of the filters' norms, losses as an independent evaluation has them, the weights kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import functional_call

from archsearch.anatomy.landscape import Grid, directions, flat_share, losses
from archsearch.anatomy.landscape_page import document
from archsearch.training.losses import Loss
from tests.anatomy.small import network_of, small

LOSS = Loss(task="single_label")
GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.randn(40, 3, 8, 8, generator=GENERATOR)
LABELS = torch.randint(0, 10, (40,), generator=GENERATOR)
BATCHES = [(IMAGES[:25], LABELS[:25]), (IMAGES[25:], LABELS[25:])]


def test_a_direction_has_each_filters_norm_and_leaves_norms_and_biases_alone() -> None:
    network = network_of(small())
    first, second = directions(network, 4)
    again, _ = directions(network, 4)
    for name, parameter in network.named_parameters():
        assert torch.equal(first[name], again[name])
        if parameter.ndim == 1:
            assert not first[name].any() and not second[name].any()
            continue
        torch.testing.assert_close(first[name].flatten(1).norm(dim=1), parameter.flatten(1).norm(dim=1))
        assert not torch.allclose(first[name], second[name])


@pytest.mark.parametrize("words", [{}, {"link": "plain"}, {"link": "dense", "growth_rate": 3}], ids=str)
def test_losses_are_those_of_an_independent_evaluation(words: dict[str, object]) -> None:
    network = network_of(small(**words))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    grid, ways = Grid(points=5, span=0.5), directions(network, 4)
    found = {(row, column): value for row, column, value in losses(network, ways, grid, lambda: BATCHES, LOSS)}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert len(found) == 25
    for (row, column), value in found.items():
        a, b = grid.steps[column], grid.steps[row]
        moved = {
            name: tensor + a * ways[0][name] + b * ways[1][name] if name in ways[0] else tensor
            for name, tensor in before.items()
        }
        with torch.no_grad():
            scores = functional_call(network, moved, (IMAGES,))
        assert value == pytest.approx(torch.nn.functional.cross_entropy(scores, LABELS).item(), abs=1e-5, rel=1e-5)
    with torch.no_grad():
        own = torch.nn.functional.cross_entropy(network(IMAGES), LABELS).item()
    assert found[2, 2] == pytest.approx(own, rel=1e-5)


def test_known_points_are_not_taken_again_and_a_closed_iterator_gives_the_weights_back() -> None:
    network = network_of(small())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    grid, ways = Grid(points=3), directions(network, 4)
    known = np.full((3, 3), np.nan)
    half = losses(network, ways, grid, lambda: BATCHES, LOSS)
    for row, column, value in half:
        known[row, column] = value
        if (row, column) == (1, 0):
            break
    half.close()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    rest = [point[:2] for point in losses(network, ways, grid, lambda: BATCHES, LOSS, known=known)]
    assert rest == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_what_follows_is_how_far_the_weights_may_change() -> None:
    grid, values = Grid(points=5), np.full((5, 5), 9.0)
    values[2], values[:, 2] = [1.0, 1.5, 1.0, 1.9, 2.0], [1.5, 1.5, 1.0, 1.9, np.inf]
    assert "by 1 of their filters' norms, or before" in document(values, grid, {})["remarks"][-1]
    values[1, 2] = 2.5
    assert "by 0.5 of their filters' norms, or before" in document(values, grid, {})["remarks"][-1]
    assert "may change by 1 of" in document(np.ones((5, 5)), grid, {})["remarks"][-1]


def test_the_valleys_share() -> None:
    values = np.array([[4.0, 1.9, np.inf], [1.0, 2.0, 1.5]])
    assert flat_share(values) == 3 / 6
    assert flat_share(np.full((2, 2), np.inf)) == 0
