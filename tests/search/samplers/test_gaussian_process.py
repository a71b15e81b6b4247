"""The Gaussian process against the textbook's formulas."""

import numpy as np
import pytest

from archsearch.search.proposing.samplers.gaussian_process import (
    GaussianProcess,
    Inputs,
    Settings,
    embedded,
    evidence,
    learn,
    matern,
)
from archsearch.space.many.columns import Column


def column(name: str, values: tuple[str | int, ...]) -> Column:
    ordered = isinstance(values[0], int)
    return Column(name=name, values=values, weights=np.full(len(values), 1 / len(values)), ordered=ordered)


COLUMNS = [column("depth", (1, 2, 3, 4)), column("link", ("plain", "residual", "dense")), column("width", (8, 16, 32))]


def random_inputs(count: int, seed: int = 0) -> tuple[np.ndarray, Inputs]:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, len(c.values), count) for c in COLUMNS], axis=1)
    return codes, embedded(codes, [2 ** rng.integers(3, 9, count)], COLUMNS)


def test_distances_are_as_stated() -> None:
    codes = np.array([[0, 0, 0], [3, 0, 0], [1, 2, 0], [0, 0, -1], [0, 0, 1], [0, -1, 0]])
    inputs = embedded(codes, [np.array([8, 8, 8, 8, 8, 32])], COLUMNS)
    squared = ((inputs.points[:, None] - inputs.points) ** 2).sum(axis=2)
    assert squared[0].tolist() == pytest.approx([0, 1, 1 / 9 + 1, 1, 1 / 4, 1 + 4])
    assert squared[3, 4] == pytest.approx(0.75)
    assert inputs.parts == 4


def by_the_book(inputs: Inputs, settings: Settings, values: np.ndarray, at: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Rasmussen & Williams 2006, equations 2.25 and 2.26, the signal's variance as its maximum likelihood."""
    scale = np.sqrt(np.array(settings.weights))[inputs.owners]
    everything = np.concatenate([inputs.points, at.points]) * scale
    distance = np.sqrt(5 * ((everything[:, None] - everything) ** 2).sum(axis=2))
    covariance = (1 + distance + distance**2 / 3) * np.exp(-distance)
    n = len(values)
    noisy = covariance[:n, :n] + settings.noise * np.eye(n)
    centred = values - values.mean()
    solved = np.linalg.solve(noisy, centred)
    variance = centred @ solved / n
    mean = covariance[n:, :n] @ solved + values.mean()
    left = np.diag(covariance[n:, n:] - covariance[n:, :n] @ np.linalg.solve(noisy, covariance[:n, n:]))
    return mean, np.sqrt(variance * left)


def test_the_posterior_is_that_of_the_book() -> None:
    _, inputs = random_inputs(30)
    _, others = random_inputs(20, seed=1)
    values = np.random.default_rng(2).normal(size=30)
    settings = Settings((0.5, 1.0, 0.1, 0.3), 0.25, 0.1)
    model = GaussianProcess(inputs, values, np.zeros(30), settings)
    mean, spread = model.predict(others)
    expected_mean, expected_spread = by_the_book(inputs, settings, values, others)
    assert mean == pytest.approx(expected_mean, abs=1e-8)
    assert spread == pytest.approx(expected_spread, abs=1e-6)
    assert model.fitted == pytest.approx(model.predict(inputs)[0])


def test_an_input_that_is_believed_leaves_as_much_doubt_as_one_measured_at_its_mean() -> None:
    _, inputs = random_inputs(30)
    _, others = random_inputs(20, seed=1)
    values = np.random.default_rng(2).normal(size=30)
    settings = Settings((0.5, 1.0, 0.1, 0.3), 0.25, 0.1)
    model = GaussianProcess(inputs, values, np.zeros(30), settings)
    mean, _ = model.predict(others)
    believe = model.believing(others)
    for indices in ([4], [4, 11]):
        spread = believe(indices[-1])
        points = Inputs(np.concatenate([inputs.points, others.points[indices]]), inputs.owners)
        again = GaussianProcess(points, np.concatenate([values, mean[indices]]), np.zeros(30 + len(indices)), settings)
        expected, deviation = again.predict(others)
        ratio = deviation / np.sqrt(again._variance)
        np.testing.assert_allclose(spread / np.sqrt(model._variance), ratio, rtol=1e-6)
        assert expected.shape == spread.shape and spread[4] < deviation.max()


def test_a_value_of_which_less_is_known_counts_less() -> None:
    _, inputs = random_inputs(12, seed=3)
    values = np.zeros(12)
    values[0] = 5.0
    settings = Settings((1.0,) * 4, 1.0, 0.01)
    sure = GaussianProcess(inputs, values, np.zeros(12), settings).fitted[0]
    doubt = GaussianProcess(inputs, values, np.where(np.arange(12) == 0, 10.0, 0.0), settings).fitted[0]
    assert sure > 3 > 1.5 > doubt


def test_evidence_is_the_density_of_the_values() -> None:
    """Differences of evidence are those of the log density of a normal distribution with the best variance."""
    _, inputs = random_inputs(15)
    values = np.random.default_rng(0).normal(size=15)
    values -= values.mean()
    squared = np.zeros((4, 15, 15))
    for owner, point in zip(inputs.owners, inputs.points.T, strict=True):
        squared[owner] += (point[:, None] - point) ** 2

    def density(settings: Settings) -> float:
        covariance = matern(np.tensordot(settings.weights, squared, axes=1)) + settings.noise * np.eye(15)
        covariance *= values @ np.linalg.solve(covariance, values) / 15
        _, logdet = np.linalg.slogdet(2 * np.pi * covariance)
        return float(-0.5 * (values @ np.linalg.solve(covariance, values) + logdet))

    one, other = Settings((0.25,) * 4, 0.25, 0.1), Settings((0.25,) * 4, 0.25, 1.0)
    assert evidence(squared, values, one) - evidence(squared, values, other) == pytest.approx(
        density(one) - density(other)
    )


def test_what_matters_gets_weight_and_what_does_not_loses_it() -> None:
    codes, inputs = random_inputs(60)
    values = np.array([0.0, 1.0, -1.0])[codes[:, 1]] + np.random.default_rng(4).normal(0, 0.05, 60)
    settings = learn(inputs, values - values.mean())
    assert settings.weights[1] > 4 * max(settings.weights[0], settings.weights[2], settings.weights[3])
    assert settings.noise <= 0.03
    noise = np.random.default_rng(5).normal(size=60)
    assert learn(inputs, noise - noise.mean()).noise >= 0.3
