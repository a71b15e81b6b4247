"""A Gaussian process over architectures: their choices, and what they cost.

Two candidates are similar as far as their choices agree and their costs are near; how much each counts is learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archsearch.space.many.columns import Column, FloatArray, IntArray

NOISES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # variance of the noise as a share of the signal's
SCALES = (0.01, 0.04, 0.16, 0.64)  # weights that all parts have in common, before each gets its own
STEPS = (0.25, 4.0)  # what a weight is multiplied by, to see whether that explains more
FURTHEST = 64.0  # from the common weight
SWEEPS = 2
CAUTION = 1.0  # how strongly weights are held together: standard deviations are 1 / CAUTION in units of log 4


@dataclass(frozen=True)
class Inputs:
    """n candidates as points: (n, P), and (P,) which part each coordinate belongs to (D columns, then C numbers)."""

    points: FloatArray
    owners: IntArray

    @property
    def parts(self) -> int:
        """D + C, the number of parts."""
        return int(self.owners[-1]) + 1 if len(self.owners) else 0


@dataclass(frozen=True)
class Settings:
    """Hyperparameters: a weight for each part, the common weight that they are held to, the noise."""

    weights: tuple[float, ...]
    scale: float
    noise: float


def embedded(
    codes: IntArray, costs: Sequence[IntArray], columns: Sequence[Column], further: Sequence[FloatArray] = ()
) -> Inputs:
    """Points such that squared distances are: between different values of a choice 1; between ordered ones the
    square of the share of all places that lies between; between active and inactive 0.75 to 1; of costs, (n,) each,
    the square of the difference of their logarithms to base 2; of `further` numbers, (n,) each, that of the difference.
    """
    coordinates: list[FloatArray] = []
    owners: list[int] = []
    for part, column in enumerate(columns):
        values, size = codes[:, part], len(column.values)
        if column.ordered and size > 2:
            coordinates += [np.where(values < 0, 0.5, values / (size - 1)), np.where(values < 0, np.sqrt(0.75), 0.0)]
        else:
            coordinates += [np.where(values == code, np.sqrt(0.5), 0.0) for code in range(-1, size)]
        owners += [part] * (len(coordinates) - len(owners))
    coordinates += [np.log2(np.maximum(cost, 1)) for cost in costs]
    coordinates += further
    owners += range(len(columns), len(columns) + len(costs) + len(further))
    return Inputs(np.stack(coordinates, axis=1), np.array(owners))


def matern(squared: FloatArray) -> FloatArray:
    """Matern 5/2 of squared distances (Rasmussen & Williams 2006, equation 4.17), 1 at distance 0."""
    distance = np.maximum(squared, 0)
    distance *= 5
    np.sqrt(distance, out=distance)
    similarity = np.exp(-distance)
    similarity *= 1 + distance * (1 + distance / 3)
    return similarity


def evidence(squared: FloatArray, values: FloatArray, settings: Settings) -> float:
    """Logarithm of the marginal likelihood, the signal's variance at its best, less the weights' penalty.

    `squared` are the (parts, n, n) distances of n inputs; `values` (n,) have mean 0.
    """
    n = len(values)
    matrix = matern(np.tensordot(np.array(settings.weights), squared, axes=1))
    matrix[np.diag_indices(n)] += settings.noise
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return -np.inf
    white = np.linalg.solve(lower, values)
    variance = max(float(white @ white) / n, 1e-12)
    steps = np.log(np.array(settings.weights) / settings.scale) / np.log(4)
    penalty = 0.5 * CAUTION**2 * float(steps @ steps)
    return -0.5 * n * float(np.log(variance)) - float(np.log(np.diag(lower)).sum()) - penalty


def learn(inputs: Inputs, values: FloatArray) -> Settings:
    """The settings that explain (n,) values of mean 0 best, sought one after another on a small grid."""
    squared = np.zeros((inputs.parts, len(values), len(values)))
    for owner, point in zip(inputs.owners, inputs.points.T, strict=True):
        squared[owner] += (point[:, None] - point) ** 2
    first = [Settings((scale,) * len(squared), scale, noise) for scale in SCALES for noise in NOISES]
    evidences = [evidence(squared, values, settings) for settings in first]
    best, top = first[int(np.argmax(evidences))], max(evidences)
    for _ in range(SWEEPS):
        for part in range(len(squared)):
            for step in STEPS:
                weights = list(best.weights)
                weights[part] = float(np.clip(weights[part] * step, best.scale / FURTHEST, best.scale * FURTHEST))
                trial = replace(best, weights=tuple(weights))
                if (reached := evidence(squared, values, trial)) > top:
                    top, best = reached, trial
        for noise in NOISES:
            trial = replace(best, noise=noise)
            if (reached := evidence(squared, values, trial)) > top:
                top, best = reached, trial
    return best


class GaussianProcess:
    """The posterior of a function that was measured, with noise, at n inputs."""

    def __init__(self, inputs: Inputs, values: FloatArray, extra: FloatArray, settings: Settings) -> None:
        """`values` (n,); `extra` (n,): noise of single values, known beforehand, in units of the values' variance."""
        self._scales = np.sqrt(np.array(settings.weights))[inputs.owners]
        self._centre = inputs.points.mean(axis=0)
        self._points = (inputs.points - self._centre) * self._scales
        self._mean = float(values.mean())
        self._noise = settings.noise
        similarity = self._similarity(self._points)
        matrix = similarity.copy()
        matrix[np.diag_indices(len(values))] += settings.noise + extra
        self._inverse = np.linalg.inv(np.linalg.cholesky(matrix))
        white = self._inverse @ (values - self._mean)
        self._variance = max(float(white @ white) / len(values), 1e-12)
        self._coefficients = self._inverse.T @ white
        self.fitted = similarity @ self._coefficients + self._mean
        """(n,): the posterior mean at the inputs."""

    def predict(self, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the function, (m,) each, without the noise of a measurement."""
        cross = self._similarity(self._scaled(inputs))
        explained = ((cross @ self._inverse.T) ** 2).sum(axis=1)
        return cross @ self._coefficients + self._mean, np.sqrt(self._variance * np.maximum(1 - explained, 1e-9))

    def believing(self, inputs: Inputs) -> Callable[[int], FloatArray]:
        """What takes the input of an index for measured at its mean, as one more each time, and returns the standard
        deviations, (m,), that remain. The means stay as `predict` says."""
        points = self._scaled(inputs)
        white = self._similarity(points) @ self._inverse.T

        def believe(index: int) -> FloatArray:
            nonlocal white
            shared = self._similarity(points, points[index : index + 1])[:, 0] - white @ white[index]
            white = np.column_stack([white, shared / np.sqrt(max(float(shared[index]), 0.0) + self._noise)])
            return np.sqrt(self._variance * np.maximum(1 - (white**2).sum(axis=1), 1e-9))

        return believe

    def _scaled(self, inputs: Inputs) -> FloatArray:
        return (inputs.points - self._centre) * self._scales

    def _similarity(self, points: FloatArray, others: FloatArray | None = None) -> FloatArray:
        """(m, n): the covariance of points and others (None: the inputs), as a share of the signal's variance."""
        others = self._points if others is None else others
        lengths = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
        return matern(lengths - 2 * points @ others.T)
