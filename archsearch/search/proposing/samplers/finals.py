"""What unfinished trials would have scored at the end, estimated from their scores at rungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.space.many.columns import FloatArray, IntArray

ENOUGH = 3  # trials that make a rung the one to be foretold
PRIOR = 2.0  # pseudo-trials behind a rung's line: slope 1, and errors as large as the scores' own spread


@dataclass(frozen=True)
class Finals:
    """k trials' scores at the highest rung that counts, measured or foretold, and how sure that is."""

    rows: IntArray  # (k,), indices of the history, rising
    values: FloatArray  # (k,)
    variance: FloatArray  # (k,), of the foretelling; 0 where it was measured


def finals(history: History, objective: int) -> Finals:
    """Every known trial's score at the end; at the highest rung of `ENOUGH` trials while few have finished.

    From a rung to the next leads a line, fitted to the trials that were seen at both. Who goes on is decided by the
    score at the lower rung, the line's input, so that the choice does not bend the line. A trial that stands lower
    gets what the lines foretell, with the variance of their residuals: it is never taken for a finished one.
    """
    levels = {level: history.scores_at(level)[:, objective] for level in history.levels()}
    levels = {level: scores for level, scores in levels.items() if np.isfinite(scores).sum() >= ENOUGH} or levels
    values, variance = np.full(len(history), np.nan), np.zeros(len(history))
    below: FloatArray | None = None
    for scores in levels.values():
        if below is not None:
            slope, shift, spread = _line(below, scores)
            values, variance = slope * values + shift, slope**2 * variance + spread
        measured = np.isfinite(scores)
        values, variance = np.where(measured, scores, values), np.where(measured, 0.0, variance)
        below = scores
    (rows,) = np.nonzero(np.isfinite(values))
    return Finals(rows, values[rows], variance[rows])


def _line(below: FloatArray, above: FloatArray) -> tuple[float, float, float]:
    """Slope, shift and residual variance of `above` given `below`, (n,) each with nan, held to slope 1."""
    paired = np.isfinite(below) & np.isfinite(above)
    spread = float(np.var(below[np.isfinite(below)]))
    if not paired.any() or spread == 0:
        shift = float(np.nanmean(above) - np.nanmean(below))
        return 1.0, shift, spread
    x, y = below[paired], above[paired]
    across, along = x - x.mean(), y - y.mean()
    slope = float((across @ along + PRIOR * spread) / (across @ across + PRIOR * spread))
    residuals = along - slope * across
    return slope, float(y.mean() - slope * x.mean()), float((residuals @ residuals + PRIOR * spread) / (len(x) + PRIOR))
