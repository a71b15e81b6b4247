"""Which trials count, and which is better, where some were trained for fewer epochs than others."""

from __future__ import annotations

import numpy as np

from archsearch.experiment.pareto import undominated
from archsearch.search.proposing.history import History
from archsearch.space.many.columns import FloatArray, IntArray


def order(history: History, last: int | None = None, enough: int | None = None) -> IntArray:
    """Indices of the trials that have a score, the best first; with `last`, of so many latest ones only.

    With `enough`, only the first so many are sure to be there: that saves most of the time.

    More epochs rank before fewer: a trial gets them for being among the best of its rung, and a score of few
    epochs says little about one of many. Among equal epochs the higher score is better; with several objectives the
    earlier Pareto front. Among equals the earlier trial.
    """
    (scored,) = np.nonzero(history.scored)
    if last is not None:
        scored = scored[-last:]
    if not len(scored):
        return scored.astype(np.int32)
    epochs = np.minimum(history.epochs[scored], history.full)
    if enough is not None:
        leading = _leading(epochs, history.scores[scored], enough)
        scored, epochs = scored[leading], epochs[leading]
    scores = history.scores[scored]
    merit = scores[:, 0]
    if history.objectives > 1:
        merit = np.zeros(len(scored))
        for level in np.unique(epochs):
            merit[epochs == level] = -fronts(scores[epochs == level], enough)
    return scored[np.lexsort((scored, -merit, -epochs))].astype(np.int32)


def _leading(epochs: IntArray, scores: FloatArray, enough: int) -> IntArray:
    """Indices, rising, among which the best `enough` of (n,) trials are: those of the most epochs, and of the last
    level of epochs that takes, with one objective, those that score as high as the last one that is looked for."""
    beyond = np.bincount(epochs)[::-1].cumsum()[::-1]  # by epochs: how many trials have so many, or more
    if beyond[0] <= enough:
        return np.arange(len(epochs))
    level = int(np.flatnonzero(beyond >= enough)[-1])
    among = epochs >= level
    if scores.shape[1] == 1:
        merit = scores[epochs == level, 0]
        missing = enough - int((epochs > level).sum())
        among &= (epochs > level) | (scores[:, 0] >= np.partition(merit, len(merit) - missing)[len(merit) - missing])
    return np.flatnonzero(among)


def comparable(history: History, minimum: int) -> tuple[IntArray, FloatArray]:
    """Trials that can be compared: all with a score at the highest rung (or the end) that `minimum` trials reached.

    That is how BOHB (Falkner 2018, arXiv:1807.01774, section 3.3) chooses what its model learns from. Where no rung
    has so many, the lowest with any. Returns (k,) indices and (k, M) scores.
    """
    chosen, scores = np.empty(0, np.int64), np.empty((0, history.objectives))
    for level in history.levels():
        level_scores = history.scores_at(level)
        (reached,) = np.nonzero(np.isfinite(level_scores).all(axis=1))
        if len(reached) >= minimum or not len(chosen):
            chosen, scores = reached, level_scores[reached]
    return chosen.astype(np.int32), scores


def fronts(scores: FloatArray, enough: int | None = None) -> IntArray:
    """(n,): 0 for the Pareto front of (n, M), 1 for the front without those, and so on (Deb 2002).

    With `enough`, sorting ends once so many rows have a front; the rest share the next number.
    """
    front = np.zeros(len(scores), np.int32)
    remaining = np.arange(len(scores))
    number = 0
    while len(remaining):
        if enough is not None and len(scores) - len(remaining) >= enough:
            front[remaining] = number
            break
        best = undominated(scores[remaining])
        front[remaining[best]] = number
        remaining, number = remaining[~best], number + 1
    return front
