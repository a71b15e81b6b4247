"""Latency foretold: what it learns, what it refuses, and which networks it lets through."""

from itertools import pairwise

import numpy as np
import pytest

from archsearch.training.measuring.line import LatencyModel


def networks(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return {"macs": rng.uniform(1e6, 1e8, count), "activations": rng.uniform(1e4, 1e6, count),
            "params": rng.uniform(1e4, 1e6, count)}  # fmt: skip


def true_latency(costs) -> np.ndarray:
    return 0.2 + 3e-8 * costs["macs"] + 2e-6 * costs["activations"]


def test_a_device_that_is_linear_is_learned_from_ten_networks() -> None:
    costs = networks(10)
    model = LatencyModel.fit(costs, true_latency(costs))
    assert model.predict(networks(50, 1)) == pytest.approx(true_latency(networks(50, 1)), rel=1e-5)
    assert dict(zip(model.names, model.slopes, strict=True)) == pytest.approx(
        {"macs": 3e-8, "activations": 2e-6, "params": 0}, abs=1e-12
    )
    assert model.start == pytest.approx(0.2, rel=1e-4)
    assert model.error < 1e-5


def test_no_coefficient_is_negative_and_the_fit_is_the_best_of_those() -> None:
    rng = np.random.default_rng(3)
    costs = networks(12, 2)
    measured = true_latency(costs) * rng.lognormal(0, 0.3, 12) - 5e-7 * costs["params"]
    measured = np.maximum(measured, 0.1)
    model = LatencyModel.fit(costs, measured)
    best = np.array([model.start, *model.slopes])
    assert (best >= 0).all()

    def loss(coefficients: np.ndarray) -> float:
        columns = np.stack([np.ones(12), *costs.values()], axis=1)
        return float(np.sum((columns @ coefficients / measured - 1) ** 2))

    for _ in range(300):
        tried = np.maximum(best + rng.normal(0, 0.1, 4) * np.maximum(best, [0.1, 1e-9, 1e-7, 1e-7]), 0)
        assert loss(tried) >= loss(best) - 1e-9


def test_its_error_is_of_networks_that_it_has_not_seen() -> None:
    rng, costs = np.random.default_rng(5), networks(40)
    model = LatencyModel.fit(costs, true_latency(costs) * rng.lognormal(0, 0.1, 40))
    assert 0.03 < model.error < 0.15
    assert len(model.errors) == 40
    noise = LatencyModel.fit(networks(6), rng.lognormal(0, 1, 6))
    assert noise.error > 0.2  # six networks, four coefficients: the fit itself would look far better


def test_bounds_let_through_what_is_likely_to_keep_them() -> None:
    rng, costs = np.random.default_rng(7), networks(60)
    model = LatencyModel.fit(costs, true_latency(costs) * rng.lognormal(0, 0.1, 60))
    new = networks(500, 9)
    truth = true_latency(new) * rng.lognormal(0, 0.1, 500)
    bound = float(np.median(truth))
    likely, sure = (model.within(new, high=bound, probability=probability) for probability in (0.5, 0.95))
    assert (truth[likely] <= bound).mean() > 0.85
    assert (truth[sure] <= bound).mean() > 0.97
    assert sure.sum() < likely.sum() < 500
    window = model.within(new, low=0.9 * bound, high=1.1 * bound)
    assert ((truth[window] >= 0.8 * bound) & (truth[window] <= 1.25 * bound)).mean() > 0.9


def test_a_bound_is_kept_with_the_share_of_errors_that_keep_it() -> None:
    model = LatencyModel(names=("macs",), slopes=(2.0,), start=4.0, errors=(-0.5, 0.0, 0.5))
    costs = {"macs": [3.0], "params": [7.0]}  # 10 ms: 5, 10 and 15 with the errors
    assert model.predict(costs) == [10.0]
    for low, high, share in ((0, 15, 1), (5, 15, 1), (0, 14.9, 2 / 3), (5.1, 15, 2 / 3), (0, 5, 1 / 3), (16, 20, 0)):
        assert model.within(costs, low=low, high=high, probability=share)[0]
        assert not model.within(costs, low=low, high=high, probability=share + 0.01)[0]


@pytest.mark.parametrize("count", [1, 8])
def test_one_count_to_eight_are_enough(count: int) -> None:
    costs = {str(number): np.random.default_rng(number).uniform(1, 2, 20) for number in range(count)}
    model = LatencyModel.fit(costs, sum(costs.values()))
    assert model.slopes == pytest.approx([1.0] * count)
    with pytest.raises(ValueError, match="9 counts"):
        LatencyModel.fit({str(number): np.ones(20) for number in range(9)}, np.ones(20))


@pytest.mark.parametrize(
    ("costs", "medians", "problem"),
    [
        ({"macs": [1.0]}, [1.0], "1 measurements"),
        ({"macs": [1.0, 2.0]}, [1.0, 0.0], "not above zero"),
        ({"macs": [1.0, 2.0]}, [1.0, float("nan")], "not above zero"),
        ({"macs": [1.0, 2.0, 3.0]}, [1.0, 2.0], "2 latencies of 3 networks"),
        ({}, [1.0, 2.0], "of 0 counts"),
    ],
)
def test_too_little_or_impossible_is_refused(costs, medians, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LatencyModel.fit(costs, medians)


def test_more_counts_of_more_work_never_foretell_less_time() -> None:
    costs = networks(10, 4)
    model = LatencyModel.fit(costs, true_latency(costs) * np.random.default_rng(1).lognormal(0, 0.5, 10))
    steps = [model.predict({name: [scale * 1e5] for name in costs})[0] for scale in (0, 1, 2, 3)]
    assert all(later >= sooner for sooner, later in pairwise(steps))
