"""The trials so far as growing arrays: what `History` shows a sampler, without being made anew for each proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.search.proposing.history import History
from archsearch.space.many.columns import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class TrainedCandidate:
    """A candidate's choices and costs, and its training so far: `curve` maps epochs to the metric's value on
    validation; when it `ended`, in seconds."""

    choices: Mapping[str, Any]
    costs: Mapping[str, float]
    curve: Mapping[int, float]
    ended: float = 0.0


class Records:
    """n trials, in the order in which something was known of them; `begin` adds one that only runs so far.

    `rungs` are the epochs, below `full`, at which scores of unfinished trials can be compared. Of the `objectives`,
    those that are not `objective`'s metric are costs.
    """

    def __init__(
        self,
        *,
        columns: int,
        objectives: tuple[str, ...],
        rungs: Sequence[int],
        full: int,
        objective: Objective = BY_ACCURACY,
    ) -> None:
        self._objective = objective
        self._objectives, self._levels, self._full = objectives, frozenset(rungs), full
        self._count = 0
        self._codes: IntArray = np.empty((64, columns), np.int32)
        self._scores: FloatArray = np.empty((64, len(objectives)))
        self._epochs: IntArray = np.empty(64, np.int32)
        self._ended: FloatArray = np.empty(64)
        self._rungs: dict[int, FloatArray] = {}
        self._indices: dict[int, int] = {}
        self._running: dict[int, IntArray] = {}

    def begin(self, number: int, row: IntArray) -> None:
        """Trial `number` runs, and nothing is known of it."""
        self._running[number] = row

    def learn(self, row: IntArray, trained: TrainedCandidate, *, number: int | None = None, ended: bool = True) -> None:
        """Notes a trial's training so far; trials without a number are another experiment's.

        One that has not `ended` counts as running, with no score.
        """
        if not ended and number is not None:
            self._running[number] = row
            return
        index = self._index(number)
        self._codes[index] = row
        reached = max(trained.curve, default=0)
        self._epochs[index] = reached
        self._scores[index] = self._score(trained, reached)
        self._ended[index] = trained.ended
        for epochs in self._levels & trained.curve.keys():
            if epochs not in self._rungs:
                self._rungs[epochs] = np.full((len(self._codes), len(self._objectives)), np.nan)
            self._rungs[epochs][index] = self._score(trained, epochs)

    def history(self) -> History:
        """The trials so far; running ones without a score come last."""
        count, running = self._count, list(self._running.values())
        codes, scores, epochs = self._codes[:count], self._scores[:count], self._epochs[:count]
        ended = self._ended[:count]
        rungs = {at: values[:count] for at, values in self._rungs.items()}
        if running:
            blank = np.full((len(running), len(self._objectives)), np.nan)
            codes = np.concatenate([codes, np.array(running, np.int32)])
            scores = np.concatenate([scores, blank])
            epochs = np.concatenate([epochs, np.zeros(len(running), np.int32)])
            ended = np.concatenate([ended, np.zeros(len(running))])
            rungs = {at: np.concatenate([values, blank]) for at, values in rungs.items()}
        return History(codes=codes, scores=scores, epochs=epochs, full=self._full, rungs=rungs, ended=ended)

    def _score(self, trained: TrainedCandidate, epochs: int) -> FloatArray:
        """Every objective, turned so that more is better."""
        value = self._objective.key(trained.curve.get(epochs, np.nan))
        return np.array(
            [value if name == self._objective.name else -trained.costs.get(name, np.nan) for name in self._objectives]
        )

    def _index(self, number: int | None) -> int:
        """Where a trial stands in the arrays; one that is new gets the next index, and room for it."""
        if number is not None and number in self._indices:
            return self._indices[number]
        if self._count == len(self._codes):
            added = len(self._codes)
            self._codes = np.concatenate([self._codes, np.empty_like(self._codes)])
            self._scores = np.concatenate([self._scores, np.empty_like(self._scores)])
            self._epochs = np.concatenate([self._epochs, np.zeros(added, np.int32)])
            self._ended = np.concatenate([self._ended, np.zeros(added)])
            blank = np.full((added, len(self._objectives)), np.nan)
            self._rungs = {at: np.concatenate([values, blank]) for at, values in self._rungs.items()}
        index, self._count = self._count, self._count + 1
        for values in self._rungs.values():
            values[index] = np.nan
        if number is not None:
            self._indices[number] = index
            self._running.pop(number, None)
        return index
