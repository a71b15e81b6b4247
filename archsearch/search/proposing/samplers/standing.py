"""Which trials count, and which is better, where some were trained for fewer epochs than others."""

from __future__ import annotations

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.pareto import fronts
from archsearch.space.many.columns import FloatArray, IntArray


def order(history: History, last: int | None = None, enough: int | None = None) -> IntArray:
    """The known trials' indices, the best first; of the `last` so many alone, where that is asked.

    With `enough`, only so many are surely in their places; with several objectives that saves most of the time.

    More epochs stand before fewer: a trial gets them for being among the best of its rung, and a score of few
    epochs says little about one of many. Among equal epochs the higher score is better; with several objectives the
    earlier Pareto front. Among equals the earlier trial.
    """
    (known,) = np.nonzero(history.known)
    if last is not None:
        known = known[-last:]
    if not len(known):
        return known.astype(np.int32)
    epochs, scores = np.minimum(history.epochs[known], history.full), history.scores[known]
    merit = scores[:, 0]
    if history.objectives > 1:
        merit = np.zeros(len(known))
        for level in np.unique(epochs):
            merit[epochs == level] = -fronts(scores[epochs == level], enough)
    return known[np.lexsort((known, -merit, -epochs))].astype(np.int32)


def comparable(history: History, least: int) -> tuple[IntArray, FloatArray]:
    """Trials that can be compared: everyone seen at the highest rung (or the end) that `least` trials reached.

    That is how BOHB (Falkner 2018, arXiv:1807.01774, section 3.3) chooses what its model learns from. Where no rung
    has so many, the lowest with any. Returns (k,) indices and (k, M) scores.
    """
    chosen, scores = np.empty(0, np.int64), np.empty((0, history.objectives))
    for level in history.levels():
        at = history.at(level)
        (reached,) = np.nonzero(np.isfinite(at).all(axis=1))
        if len(reached) >= least or not len(chosen):
            chosen, scores = reached, at[reached]
    return chosen.astype(np.int32), scores
