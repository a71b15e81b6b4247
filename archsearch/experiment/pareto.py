"""The Pareto front: which of several alternatives, each with several scores, no other one beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import Trial

ScoreArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def objective_scores(
    trial: Trial, names: Iterable[str], objective: Objective = BY_ACCURACY, value: float | None = None
) -> list[float]:
    """A trial's score by each of the objectives' `names`, the higher the better: its value (or the one given) of the
    metric that `objective` is, and the others, which are costs, negated."""
    value = trial.value if value is None else value
    return [objective.key(value or 0.0) if name == objective.name else -trial.cost[name] for name in names]


def front(trials: Sequence[Trial], names: Sequence[str], objective: Objective = BY_ACCURACY) -> list[Trial]:
    """The trials that no other one dominates, in the order given. Takes the objectives as `objective_scores`."""
    if not trials:
        return []
    scores = np.array([objective_scores(trial, names, objective) for trial in trials], np.float64)
    return [trial for trial, stays in zip(trials, undominated(scores), strict=True) if stays]


def undominated(scores: ScoreArray) -> Mask:
    """(n,): whether no other row of (n, M) is at least as good everywhere and better somewhere. More is better.

    Equal rows do not dominate each other. Two objectives are one sort; more go through the rows by falling sum,
    each survivor striking out what it dominates.
    """
    n, objectives = scores.shape
    if n == 0:
        return np.zeros(0, bool)
    if objectives == 1:
        return np.asarray(scores[:, 0] == scores[:, 0].max())
    if objectives == 2:
        return _undominated_pairs(scores)
    candidates = np.arange(n)[np.argsort(-scores.sum(axis=1), kind="stable")]
    survives = np.zeros(n, bool)
    while len(candidates):
        first, remaining = candidates[0], candidates[1:]
        survives[first] = True
        worse = (scores[remaining] <= scores[first]).all(axis=1) & (scores[remaining] < scores[first]).any(axis=1)
        candidates = remaining[~worse]
    return survives


def _undominated_pairs(scores: ScoreArray) -> Mask:
    order = np.lexsort((-scores[:, 1], -scores[:, 0]))
    first, second = scores[order].T
    starts = np.r_[True, first[1:] < first[:-1]]
    # The best second value among strictly higher first values, and the best among those of an equal first value.
    group = np.cumsum(starts) - 1
    tops = second[starts]
    before = np.r_[-np.inf, np.maximum.accumulate(tops)[:-1]]
    survives = np.zeros(len(scores), bool)
    survives[order] = (second == tops[group]) & (second > before[group])
    return survives
