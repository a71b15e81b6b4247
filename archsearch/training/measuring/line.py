"""Latency foretold from counts, so that networks that would break a bound are seldom built and measured.

    milliseconds = c0 + sum_i c_i * count_i,  every c >= 0

fitted to the relative error. A device does nothing in negative time: with coefficients that cannot be negative, ten
measurements are enough to say something of networks unlike the measured ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MOST_COUNTS = 8
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """`names` and `slopes` (milliseconds a count), `start` (milliseconds of a network of no counts), and `errors`:
    measured / predicted - 1 of the measurements, each predicted by a model that has not seen it, sorted."""

    names: tuple[str, ...]
    slopes: tuple[float, ...]
    start: float
    errors: tuple[float, ...]

    @classmethod
    def fit(cls, costs: Mapping[str, npt.ArrayLike], medians: npt.ArrayLike) -> Self:
        """The model fitted to the counts of n networks, (n,) each, and their measured latencies in milliseconds, (n,).

        Raises ValueError for fewer than two, for more than eight counts, or for latencies that are not above zero.
        """
        names, measured = tuple(costs), np.asarray(medians, np.float64)
        if len(measured) < 2 or not 1 <= len(names) <= MOST_COUNTS:
            raise ValueError(f"{len(measured)} measurements of {len(names)} counts: at least 2, of 1 to {MOST_COUNTS}")
        if not (np.isfinite(measured).all() and (measured > 0).all()):
            raise ValueError("a latency that is not above zero")
        counts = _columns(costs, names)
        if len(counts) != len(measured):
            raise ValueError(f"{len(measured)} latencies of {len(counts)} networks")
        start, *slopes = _not_negative(counts, measured).tolist()
        fold, unseen = np.arange(len(measured)) % min(FOLDS, len(measured)), np.empty(len(measured))
        for number in range(fold.max() + 1):
            test = fold == number
            unseen[test] = counts[test] @ _not_negative(counts[~test], measured[~test])
        errors = np.sort(measured / np.maximum(unseen, 1e-9) - 1)
        return cls(names=names, slopes=tuple(slopes), start=start, errors=tuple(errors.tolist()))

    def predict(self, costs: Mapping[str, npt.ArrayLike]) -> Floats:
        """Predicted milliseconds, (n,). Counts of other names are ignored; KeyError where one of `names` is missing."""
        milliseconds: Floats = _columns(costs, self.names) @ np.array([self.start, *self.slopes])
        return milliseconds

    @property
    def error(self) -> float:
        """The median of |measured / predicted - 1| on networks that the model had not seen."""
        return float(np.median(np.abs(self.errors)))

    def within(
        self, costs: Mapping[str, npt.ArrayLike], *, low: float = 0.0, high: float = np.inf, probability: float = 0.5
    ) -> npt.NDArray[np.bool_]:
        """Which networks will keep a bound of `low` to `high` milliseconds with this `probability` or more, if
        errors stay as they were: (n,)."""
        likely = self.predict(costs)[:, None] * (1 + np.array(self.errors))
        return np.asarray(((likely >= low) & (likely <= high)).mean(axis=1) >= probability)


def _columns(costs: Mapping[str, npt.ArrayLike], names: tuple[str, ...]) -> Floats:
    counts = [np.atleast_1d(np.asarray(costs[name], np.float64)) for name in names]
    return np.stack([np.ones_like(counts[0]), *counts], axis=1)


def _not_negative(counts: Floats, measured: Floats) -> Floats:
    """The coefficients, none negative, of the least relative squared error (Lawson & Hanson 1974)."""
    # Half a second, which a search without a bound on latency need not pay.
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    relative = counts / measured[:, None]
    scale = np.maximum(np.abs(relative).max(axis=0), 1e-300)
    coefficients: Floats = nnls(relative / scale, np.ones(len(measured)))[0] / scale
    return coefficients
