"""Paths: Veit's exact figures, gradients that add up to the whole one, the interval that holds a share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from archsearch import zoo
from archsearch.anatomy.paths import Gradients, Lengths, gradient_at_input, gradients, smallest_interval
from archsearch.anatomy.steps import Row
from archsearch.network import build
from tests.anatomy.small import network_of, small

VEIT = Lengths.binomial(54)


def test_veits_figures() -> None:
    """Section 3 and figure 6 (a, c); the last is a claim about the same paths that one of its readers made."""
    assert VEIT.total == 2**54
    assert round(VEIT.share(19, 35), 6) == 0.980166
    assert round(VEIT.share(5, 17), 6) == 0.004537
    assert round(VEIT.share(9, 18), 6) == 0.009917


@pytest.mark.parametrize("deleted", [1, 3, 10])
def test_deleted_modules_leave_a_power_of_two_of_the_paths(deleted: int) -> None:
    assert VEIT.total == 2**deleted * Lengths.binomial(54 - deleted).total


def test_lengths_follow_from_the_network() -> None:
    assert Lengths.of(Row.of(build(zoo.get("preact_resnet110_cifar")))) == VEIT
    plain = Lengths.of(Row.of(build(zoo.get("plain20_cifar"))))
    assert plain.total == 1 and plain.counts.index(1) == 9, "one path, through all of its nine blocks"
    mixed = Lengths.binomial(2, plain=3)
    assert mixed.counts == (0, 0, 0, 1, 2, 1) and mixed.share(4, 4) == 0.5


@pytest.mark.parametrize(
    "words",
    [{}, {"activation": "pre"}, {"link": "dense", "growth_rate": 3}, {"link": "dual_path", "growth_rate": 2},
     {"learned_gain": True}, {"shortcut": "A", "shortcut_scale": 0.5}],
    ids=str,
)  # fmt: skip
def test_the_gradients_of_all_paths_add_up_to_the_whole_one(words: dict[str, object]) -> None:
    network = network_of(small(**words)).double()
    for module in network.modules():
        if hasattr(module, "value"):
            module.value.data.fill_(0.3)  # else a fresh gain passes nothing
    row = Row.of(network)
    images, labels = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 3, 3, 9])
    x = images.clone().requires_grad_()
    (whole,) = torch.autograd.grad(cross_entropy(network(x), labels, reduction="sum"), x)
    parts = [
        gradient_at_input(row, images, labels, cross_entropy, frozenset(through))
        for count in range(7)
        for through in itertools.combinations(row.blocks, count)
    ]
    assert len(parts) == 2**6
    torch.testing.assert_close(sum(parts), whole)


def test_a_plain_block_is_always_passed() -> None:
    network = network_of(small(link="plain"))
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 3, 3, 9])
    result = gradients(Row.of(network), images, labels, cross_entropy, draws=3, seed=0)
    assert [len(norms) for norms in result.norms] == [0] * 6 + [1]
    x = images.clone().requires_grad_()
    (whole,) = torch.autograd.grad(cross_entropy(network(x), labels, reduction="sum"), x)
    assert np.isclose(result.means[-1], whole.flatten(1).norm(dim=1).mean().item())
    assert result.effective == (6, 6) and np.isnan(result.means[:6]).all()


def test_draws_differ_and_follow_from_the_seed() -> None:
    row = Row.of(network_of(small(activation="pre")))
    images, labels, told = torch.randn(4, 3, 8, 8), torch.tensor([0, 3, 3, 9]), []
    results = [
        gradients(row, images, labels, cross_entropy, draws=4, seed=seed, on_length=lambda *done: told.append(done))
        for seed in (1, 1, 2)
    ]
    assert results[0] == results[1] != results[2]
    assert [len(norms) for norms in results[0].norms] == [1, 4, 4, 4, 4, 4, 1] or len(results[0].norms[1]) < 4
    assert told[:7] == [(k, 7) for k in range(1, 8)]
    assert np.isclose(results[0].contributions.sum(), 1)


def test_what_decays_by_a_factor_is_a_line() -> None:
    lengths = Lengths.binomial(10)
    result = Gradients(lengths=lengths, norms=tuple((0.5**k, 0.5**k) for k in range(11)))
    factor, explained = result.decay()
    assert np.isclose(factor, 0.5) and np.isclose(explained, 1)
    # C(10, k) 0.5^k: a binomial of 10 draws with probability 1/3
    expected = [np.exp(np.log(float(c)) + k * np.log(0.5)) for k, c in enumerate(lengths.counts)]
    assert np.allclose(result.contributions, np.array(expected) / sum(expected))
    assert np.isclose(result.contributions[3], 120 * (1 / 3) ** 3 * (2 / 3) ** 7)
    assert result.effective == (1, 6)
    noisy = Gradients(lengths=lengths, norms=tuple((1.0 + k % 2,) for k in range(11)))
    assert noisy.decay()[1] < 0.2
    assert np.isnan(Gradients(lengths=Lengths.binomial(1), norms=((1.0,), (1.0,))).decay()[0])


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_interval_is_the_smallest(seed: int) -> None:
    weights = np.random.default_rng(seed).exponential(size=12)
    runs = [(a, b) for a in range(12) for b in range(a, 12) if weights[a : b + 1].sum() >= 0.8 * weights.sum()]
    shortest = min(b - a for a, b in runs)
    heaviest = max((weights[a : b + 1].sum(), a, b) for a, b in runs if b - a == shortest)
    assert smallest_interval(weights, 0.8) == heaviest[1:]
