"""What samplers learn from: every trial of a search so far, as arrays.

A reading of the ledger, made anew for each proposal; a sampler decides from it and from a generator alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from archsearch.space.many.columns import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class History:
    """n trials of D columns and M objectives, in the order in which they ended; those that still run come last.

    Everything that a sampler reads here is turned so that more is better. A trial that was stopped, or that waits
    at a rung, has the epochs it was trained for, so that its score is never taken for that of a finished one.
    """

    codes: IntArray  # (n, D), canonical: the index of each column's value, -1 where the choice is inactive
    scores: FloatArray  # (n, M), the newest of each trial; nan: unknown (running without one yet, or failed)
    epochs: IntArray  # (n,), epochs of training behind `scores`
    full: int  # epochs of a finished training
    rungs: Mapping[int, FloatArray] = field(default_factory=dict)
    """Epochs of a rung -> (n, M): the scores there of every trial that was trained so far, nan elsewhere.

    Trials that went on are found in `scores` with more epochs, and here too. Rungs may be left out: then a trial is
    known by its newest score alone.
    """
    ended: FloatArray | None = None  # (n,) seconds at which trials ended; None: they ended in the order of their rows

    @classmethod
    def empty(cls, columns: int, objectives: int = 1, full: int = 1) -> History:
        """A history of no trials."""
        return cls(
            codes=np.empty((0, columns), np.int32),
            scores=np.empty((0, objectives)),
            epochs=np.empty(0, np.int32),
            full=full,
        )

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def objectives(self) -> int:
        """M, how many objectives a score has."""
        return int(self.scores.shape[1])

    @cached_property
    def scored(self) -> BoolArray:
        """(n,): whether every objective of a trial is known."""
        return np.asarray(np.isfinite(self.scores).all(axis=1))

    @property
    def finished(self) -> BoolArray:
        """(n,): whether a trial was trained in full, with a score."""
        return np.asarray(self.scored & (self.epochs >= self.full))

    def scores_at(self, epochs: int) -> FloatArray:
        """(n, M), not to be changed: the scores after so many epochs, nan where they are not known.

        At `full` epochs or more: those of finished trials.
        """
        if epochs not in self._by_epochs:
            self._by_epochs[epochs] = self._scores_at(epochs)
        return self._by_epochs[epochs]

    @cached_property
    def _by_epochs(self) -> dict[int, FloatArray]:
        return {}

    def _scores_at(self, epochs: int) -> FloatArray:
        newest = np.where((self.epochs == epochs)[:, None] & self.scored[:, None], self.scores, np.nan)
        if epochs >= self.full:
            return np.where(self.finished[:, None], self.scores, np.nan)
        at_rung = self.rungs.get(epochs)
        return newest if at_rung is None else np.where(np.isfinite(at_rung), at_rung, newest)

    def levels(self) -> tuple[int, ...]:
        """The epochs after which any trial has a score, rising: rungs, and `full` once a trial has finished."""
        scored = {int(epochs) for epochs in np.flatnonzero(np.bincount(self.epochs[self.scored]))} | set(self.rungs)
        return tuple(sorted({min(epochs, self.full) for epochs in scored}))
