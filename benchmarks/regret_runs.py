"""Searches replayed on a table of finished trainings: what regret.py measures.

Every query of a network draws one of its training seeds; the score is that run's validation accuracy at the epoch
asked for. A run that diverged has no score: its trial failed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from finite_field import FiniteField
from tabular.table import Table

from archsearch.search.deciding.rungs import Rungs
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers import Sampler
from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.space.choices import Recorder
from archsearch.space.many.columns import IntArray
from archsearch.space.many.features import features
from archsearch.space.many.grid import Grid
from archsearch.space.sampling import draw

GRACE, REDUCTION = 1, 3


@dataclass(frozen=True)
class Ground:
    """A table as a sampler meets it: its candidates, (N, seeds, epochs) accuracies, and the mean of the seeds."""

    table: Table
    field: FiniteField
    accuracy: np.ndarray
    truth: np.ndarray

    @classmethod
    def of(cls, table: Table) -> Ground:
        """A run that diverged counts as 0 in the mean."""
        grid = Grid(table.space.parameters)
        rows = [grid.codes(choices, np.random.default_rng(0)) for choices in table.choices]
        if any(row is None for row in rows):
            raise ValueError(f"{table.path}: choices that its own space does not hold")
        truth = np.nan_to_num(table.validation[:, :, -1]).mean(axis=1)
        codes, every = np.array(rows), Grid(table.space.every_parameter)
        field = FiniteField(grid.columns, codes, table.costs, features(every, codes, table.costs))
        return cls(table, field, table.validation, truth)

    @property
    def name(self) -> str:
        return self.table.path.stem

    @property
    def epochs(self) -> int:
        return int(self.accuracy.shape[2])


@dataclass
class Replay:
    """One search on a table. `regrets` are those of the trial that it would hand over, by the mean of the seeds."""

    ground: Ground
    seed: int

    def __post_init__(self) -> None:
        self.field = self.ground.field.fresh()
        self.luck = np.random.default_rng([self.seed, 1])
        self.codes = np.empty((0, len(self.field.columns)), np.int32)
        self.places: list[int] = []
        self.seeds: list[int] = []

    def add(self, place: int) -> int:
        """A new trial of this network; its number from 0."""
        self.places.append(place)
        self.seeds.append(int(self.luck.integers(self.ground.accuracy.shape[1])))
        self.codes = np.concatenate([self.codes, self.ground.field.codes[place][None]])
        return len(self.places) - 1

    def score(self, trial: int, epochs: int) -> float:
        return float(self.ground.accuracy[self.places[trial], self.seeds[trial], epochs - 1])

    def regret(self, trial: int) -> float:
        return float(self.ground.truth.max() - self.ground.truth[self.places[trial]])


class LargestFirst:
    """A baseline that needs no search: the networks by their FLOPs, the largest first."""

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The largest of all that are left; among equals one at random."""
        remaining = feasible.draw(sys.maxsize, rng)
        return remaining[int(np.argmax(feasible.costs(remaining)["flops"]))] if len(remaining) else None


def by_trials(ground: Ground, sampler: Sampler, seed: int, trials: int, workers: int = 1) -> np.ndarray:
    """(trials,) regrets after each trial, every one trained in full; the best score so far is handed over.

    Trials take equally long: of so many `workers` one is free, and the others' trials, the newest, have no score.
    """
    replay, regrets, results = Replay(ground, seed), np.full(trials, np.nan), np.full((trials, 1), np.nan)
    top = -np.inf
    for number in range(trials):
        scores = results.copy()
        scores[max(number - workers + 1, 0) :] = np.nan
        epochs = np.where(np.isfinite(scores[:number, 0]), ground.epochs, 0)
        history = History(replay.codes, scores[:number], epochs, ground.epochs)
        row = sampler.propose(history, replay.field, np.random.default_rng([seed, 2, number]))
        if row is None:
            regrets[number:] = regrets[number - 1]
            break
        trial = replay.add(replay.field.use(row))
        results[number, 0] = score = replay.score(trial, ground.epochs)
        if score > top:
            top, regrets[number:] = score, replay.regret(trial)
    return np.nan_to_num(regrets, nan=ground.truth.max())


def by_epochs(ground: Ground, sampler: Sampler, seed: int, budget: int) -> np.ndarray:
    """(budget,) regrets after each epoch spent, with rungs of promotion-type ASHA and one worker.

    Handed over is the best finished trial; before there is one, the best of the highest rung.
    """
    replay, regrets = Replay(ground, seed), np.full(budget, ground.truth.max())
    rungs = Rungs(grace=GRACE, reduction=REDUCTION, epochs=ground.epochs)
    levels = (*rungs.brackets[0], ground.epochs)
    scores = np.full((budget, len(levels)), np.nan)  # by trial and rung
    spent, best = 0, (0, -np.inf)
    while spent < budget:
        promotion = rungs.promotion()
        if promotion is not None:
            trial, done = promotion.trial - 1, promotion.rung
            rungs.promote(promotion.trial, promotion.rung)
        else:
            history = _history(replay.codes, scores[: len(replay.places)], levels)
            row = sampler.propose(history, replay.field, np.random.default_rng([seed, 2, len(replay.places)]))
            if row is None:
                break
            trial, done = replay.add(replay.field.use(row)), 0
        goal = rungs.above(trial + 1, done) or ground.epochs
        spent += goal - done
        score = scores[trial, levels.index(goal)] = replay.score(trial, goal)
        if np.isnan(score):
            continue
        rungs.record(trial + 1, goal, score)
        if (goal, score) > best:
            best = (goal, score)
            regrets[spent - 1 :] = replay.regret(trial)
    return regrets


def by_front(ground: Ground, sampler: Sampler, seed: int, trials: int) -> np.ndarray:
    """(trials,) regrets of a search for accuracy and few FLOPs: the share of the area under the table's own front that
    the trials' front misses. The axes are mean accuracy over the seeds, from 0, and the logarithm of the FLOPs, from
    the dearest to the cheapest network; the search sees one seed's accuracy.
    """
    replay, scores = Replay(ground, seed), np.full((trials, 2), np.nan)
    costs = np.log(ground.table.costs["flops"])
    cheap = (costs.max() - costs) / (costs.max() - costs.min())
    whole, regrets = _area(ground.truth, cheap), np.ones(trials)
    for number in range(trials):
        epochs = np.full(number, ground.epochs)
        history = History(replay.codes, scores[:number], epochs, ground.epochs)
        row = sampler.propose(history, replay.field, np.random.default_rng([seed, 2, number]))
        if row is None:
            regrets[number:] = regrets[number - 1]
            break
        trial = replay.add(replay.field.use(row))
        scores[number] = replay.score(trial, ground.epochs), -ground.table.costs["flops"][replay.places[trial]]
        places = np.array(replay.places)
        regrets[number] = 1 - _area(ground.truth[places], cheap[places]) / whole
    return regrets


def _area(first: np.ndarray, second: np.ndarray) -> float:
    """Of the points that some (first, second) is at least as large as, both from 0."""
    order = np.argsort(-first, kind="stable")
    heights = np.maximum.accumulate(second[order])
    return float((first[order] * np.diff(heights, prepend=0.0)).sum())


def _history(codes: np.ndarray, scores: np.ndarray, levels: Sequence[int]) -> History:
    """(n, rungs) scores as a search that waits for its next trial knows them."""
    newest = np.where(np.isfinite(scores), np.arange(len(levels)), -1).max(axis=1, initial=-1)
    epochs = np.where(newest < 0, 0, np.array(levels)[newest])
    rungs = {level: scores[:, [place]] for place, level in enumerate(levels[:-1])}
    return History(codes, scores[np.arange(len(scores)), newest][:, None], epochs, levels[-1], rungs)


def plain_optuna(ground: Ground, seed: int, trials: int) -> np.ndarray:
    """Optuna's TPE as its users write it: define-by-run over the space's own choices, equal networks trained again."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    replay, regrets, top = Replay(ground, seed), np.full(trials, ground.truth.max()), -np.inf
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    grid, rng = Grid(ground.table.space.parameters), np.random.default_rng(0)
    for number in range(trials):
        asked = study.ask()
        recorder = Recorder(_Suggestions(asked))
        draw(ground.table.space.parameters, recorder)
        row = grid.codes(recorder.taken, rng)
        assert row is not None
        score = replay.score(replay.add(int(ground.field.places(row))), ground.epochs)
        if np.isnan(score):
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(asked, score)
        if score > top:
            top, regrets[number:] = score, replay.regret(number)
    return regrets


class _Suggestions:
    """`Choices` that an Optuna trial makes."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(name, tuple(options))

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._trial.suggest_int(name, low, high, step=step, log=log))

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return float(self._trial.suggest_float(name, low, high, step=step, log=log))
