"""Any of Optuna's samplers, through its public interface. The only file of search/ that imports Optuna."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from copy import copy
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    TPESampler,
)
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from archsearch.experiment.suggested import ALLOWED_SAMPLERS
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import FeasibleSet
from archsearch.search.proposing.samplers.ranking import order
from archsearch.space.many.columns import Column, FloatArray, IntArray

DRAWS = 512  # feasible candidates drawn where the suggestion itself is none
VALUES = 32  # of one choice, at most, that are tried in its place
BEST, NEWEST = 50, 200  # trials that models hear of: TPE's good ones are 25, its others count the less the older
OPTUNAS = "optuna.samplers"
ALLOWED = "module:Class, such as optuna.samplers:TPESampler"


class _Storage(InMemoryStorage):
    """Of one study, the first, whose trials are given as a whole and are not copied; its directions are `maximize`."""

    def hold(self, trials: Sequence[FrozenTrial], attributes: dict[str, Any]) -> None:
        """These are the trials from now on, with numbers in their order, and these the study's system attributes."""
        study = self._studies[0]
        study.trials, study.system_attrs, study.best_trial_id = [*trials], attributes, None
        for number, trial in enumerate(trials):
            if trial._trial_id != number:
                trial.number = trial._trial_id = number
        numbers = self._trial_id_to_study_id_and_number  # a history is long, and grows by one
        while len(numbers) > len(trials):
            numbers.popitem()
        for number in range(len(numbers), len(trials)):
            numbers[number] = (0, number)
        self._max_trial_id, self._prev_waiting_trial_number[0] = len(trials) - 1, len(trials)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The finished trial of the highest value. Raises ValueError where there is none."""
        finished = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
        return max(finished, key=lambda trial: trial.values[0])


class OptunaAdaptor:
    """A study that is a reading of the history; its sampler's suggestion is taken to the nearest candidate.

    The study hears of every trial with the choices that were run, not with those it had suggested: as COMPLETE once
    finished, as PRUNED with its score so far while it is stopped or waits at a rung (with several objectives Optuna
    knows no such thing: nothing then), not at all while it runs for the first time or where it failed. Parameters are
    the indices of a column's values: integers for ordered ones. Inactive choices are left out, as Optuna's
    define-by-run does. A suggestion is gone from the study once it is made.

    Models whose time grows with the history (TPE, Gaussian processes) hear of at most BEST + NEWEST trials. A sampler
    that notes something of each trial as it suggests it (populations, CMA-ES) learns from finished trials alone, in the
    order in which they ended.
    """

    def __init__(self, name: str, options: Mapping[str, Any] | None = None, *, objectives: int = 1) -> None:
        """`name` is module:Class; `options` are the constructor's. Raises InputError where that makes no sampler."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._name, self._options, self._objectives = name, dict(options or {}), objectives
        self._kind = _class(name)
        if issubclass(self._kind, BruteForceSampler | GridSampler):
            hint = "the sampler random tries everything too, and ends when the whole space was tried"
            raise refuse(
                f"the sampler {name} enumerates combinations",
                allowed="a sampler that is not a grid or brute-force search",
                hint=hint,
            )
        if issubclass(self._kind, CmaEsSampler) and find_spec("cmaes") is None:  # it would say so once it is asked
            raise refuse(f"{name} needs a package that is not installed", hint="pip install cmaes")
        sampler = self._make(0)
        optunas = self._kind.__module__.startswith("optuna.")
        self._population = sampler.population_size if optunas and isinstance(sampler, BaseGASampler) else None
        self._notes = issubclass(self._kind, BaseGASampler | CmaEsSampler)
        self._bounded = issubclass(self._kind, TPESampler | GPSampler)
        self._storage = _Storage()
        self._study = optuna.create_study(directions=["maximize"] * objectives, storage=self._storage)
        self.known: list[FrozenTrial] = []  # what the study has heard of, in its order
        self._statements = np.empty((0, 0))  # (n, D + 1 + M), of each its codes, epochs and scores
        self._examples: dict[tuple[Any, ...], FrozenTrial] = {}  # of each state and set of parameters among them, one
        self._attributes: dict[str, Any] = {}  # of the study, noted by its sampler

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The candidate nearest to what the sampler suggests: fewest choices changed, then the least distance."""
        distributions = [_distribution(column) for column in feasible.columns]
        self._learn(history, feasible.columns, distributions)
        self._storage.hold(self.known, self._attributes)
        self._study.sampler = self._sampler(int(rng.integers(2**32)))
        try:
            trial = self._study.ask()
            suggestion = [_suggest(trial, c.name, d) for c, d in zip(feasible.columns, distributions, strict=True)]
        except ImportError as error:
            raise refuse(f"{self._name} needs a package that is not installed: {error}") from None
        return nearest(np.array(suggestion, np.int32), feasible, rng)

    def _learn(self, history: History, columns: Sequence[Column], distributions: Sequence[BaseDistribution]) -> None:
        """Takes in what is new in the history, or has changed. What begins as before is not looked at again."""
        rows = self._rows(history)
        codes, epochs = history.codes[rows], np.minimum(history.epochs[rows], history.full)
        statements = np.column_stack([codes, epochs, history.scores[rows]])
        same = _common_start(self._statements, statements)
        if self._notes and same < len(self.known):  # what was noted of later trials followed from those before
            same, self.known, self._statements, self._attributes = 0, [], statements[:0], {}
        if not self._notes or not same:
            self._examples = {}
        before = {row.tobytes(): trial for row, trial in zip(self._statements[same:], self.known[same:], strict=True)}
        self._statements, self.known = statements, self.known[:same]
        self._storage.hold(self.known, self._attributes)
        for statement, row, code in zip(statements[same:], rows[same:].tolist(), codes[same:].tolist(), strict=True):
            trial = before.get(statement.tobytes())
            if trial is None:
                active = {columns[k].name: (c, distributions[k]) for k, c in enumerate(code) if c >= 0}
                trial = self._trial(history.scores[row].tolist(), int(statement[len(code)]), history.full, active)
                if self._notes:
                    trial = self._noted(trial)
            self.known.append(trial)
        for trial in self.known[same if self._notes else 0 :]:
            self._examples.setdefault((trial.state, *trial.params), trial)
        self._attributes = self._storage.get_study_system_attrs(0)

    def _rows(self, history: History) -> IntArray:
        """The rows of the history that the study hears of, in its order."""
        if self._notes:
            (finished,) = np.nonzero(history.finished)
            return finished if history.ended is None else finished[np.argsort(history.ended[finished], kind="stable")]
        (scored,) = np.nonzero(history.scored)
        if not self._bounded or len(scored) <= BEST + NEWEST:
            return scored
        best = order(history, enough=BEST)[:BEST]
        return np.union1d(best, np.setdiff1d(scored, best)[-NEWEST:])

    def _noted(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial as if its sampler had suggested it, with what that notes of it."""
        if self._population and len(self.known) % self._population:  # of the same generation as the one before
            trial.system_attrs = self.known[-1].system_attrs
            return self._storage.get_trial(self._storage.create_new_trial(0, trial))
        self._study.sampler = self._sampler(0)
        self._study.enqueue_trial(trial.params)
        asked = self._study.ask()
        _ = asked.relative_params  # this chooses a generation's parents
        for name, distribution in trial.distributions.items():
            _suggest(asked, name, distribution)
        self._study.tell(asked, trial.values)
        return self._storage.get_trial(asked._trial_id)

    def _sampler(self, seed: int) -> BaseSampler:
        """The sampler. Which parameters all trials have, for which Optuna compares every one of every trial, is read
        from one trial of each kind."""
        sampler = self._make(seed)
        if self._notes or self._bounded:
            few = _Storage()
            study = optuna.create_study(directions=["maximize"] * self._objectives, storage=few)
            few.hold([copy(trial) for trial in self._examples.values()], {})
            relative = sampler.infer_relative_search_space(study, optuna.trial.create_trial(state=TrialState.FAIL))
            sampler.infer_relative_search_space = lambda *_: relative  # type: ignore[method-assign]
        return sampler

    def _trial(
        self, scores: Sequence[float], epochs: int, full: int, active: Mapping[str, tuple[int, BaseDistribution]]
    ) -> FrozenTrial:
        """A trial that has ended, with a score after so many epochs and the code of each active parameter."""
        params = {name: code for name, (code, _) in active.items()}
        kinds = {name: distribution for name, (_, distribution) in active.items()}
        if epochs >= full:
            return optuna.trial.create_trial(values=list(scores), params=params, distributions=kinds)
        if self._objectives > 1:
            return optuna.trial.create_trial(state=TrialState.FAIL, params=params, distributions=kinds)
        return optuna.trial.create_trial(
            state=TrialState.PRUNED,
            value=scores[0],
            intermediate_values={epochs: scores[0]},
            params=params,
            distributions=kinds,
        )

    def _make(self, seed: int) -> BaseSampler:
        options = dict(self._options)
        try:
            if "seed" in inspect.signature(self._kind).parameters:
                options.setdefault("seed", seed)
            return self._kind(**options)
        except ImportError as error:
            raise refuse(f"{self._name} needs a package that is not installed: {error}") from None
        except (TypeError, ValueError) as error:
            problem = f"the sampler {self._name} cannot be made: {error}"
            raise refuse(problem, allowed="a sampler with its arguments in options") from None


def nearest(suggestion: IntArray, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
    """The candidate nearest to a row (D,) that has a value everywhere: itself, one choice away, or one of a draw.

    Choices that are inactive in a candidate do not count against it. None where nothing is left.
    """
    exact = feasible.admitted(suggestion[None])
    if len(exact):
        return exact[0]
    candidates = np.concatenate([feasible.admitted(_one_away(suggestion, feasible.columns)), feasible.draw(DRAWS, rng)])
    if not len(candidates):
        return None
    sizes = np.array([max(len(column.values) - 1, 1) for column in feasible.columns])
    ordered = np.array([column.ordered for column in feasible.columns])
    apart = np.where(candidates >= 0, np.abs(candidates - suggestion), 0)
    distance = np.where(ordered, apart / sizes, apart > 0).sum(axis=1)
    return candidates[np.lexsort((distance, (apart > 0).sum(axis=1)))[0]]


def _common_start(before: FloatArray, now: FloatArray) -> int:
    """How many rows at the start of both tables are equal."""
    shared = min(len(before), len(now))
    if not shared:
        return 0
    equal = (before[:shared] == now[:shared]).all(axis=1)
    return shared if equal.all() else int(equal.argmin())


def _one_away(row: IntArray, columns: Sequence[Column]) -> IntArray:
    """The row with one choice changed, in every way; of a choice with very many values in some ways from end to end."""
    changed = []
    for index, column in enumerate(columns):
        codes = np.linspace(0, len(column.values) - 1, min(len(column.values), VALUES)).round().astype(int)
        changed += [np.where(np.arange(len(row)) == index, code, row) for code in codes]
    return np.array(changed, np.int32)


def _distribution(column: Column) -> BaseDistribution:
    size = len(column.values)
    return IntDistribution(0, size - 1) if column.ordered else CategoricalDistribution(tuple(range(size)))


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> int:
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    assert isinstance(distribution, CategoricalDistribution)
    return int(trial.suggest_categorical(name, distribution.choices))  # type: ignore[arg-type]


def _class(name: str) -> type[BaseSampler]:
    """The class that "module:Class" names: one of Optuna's own, or one that was allowed, since importing a module runs
    its code. Raises InputError where there is none, or it is not an Optuna sampler."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise refuse(f"the sampler {name!r:.80}", allowed=ALLOWED)
    kind: Any = None
    if module == OPTUNAS:
        kind = getattr(optuna.samplers, attribute) if attribute in optuna.samplers.__all__ else None
    elif name not in ALLOWED_SAMPLERS:
        # Without the name: a terminal, or whoever reads this text, is told nothing that the file's author chose.
        raise refuse(
            "the file names a sampler from a module other than Optuna's, and importing it runs its code",
            allowed=f"{OPTUNAS}:Class",
            hint="--allow-sampler MODULE:CLASS, if you trust that module",
        )
    else:
        try:
            kind = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise refuse(f"the sampler {name!r:.80}: {error}", allowed=ALLOWED) from None
    if not (inspect.isclass(kind) and issubclass(kind, BaseSampler)):
        raise refuse(
            f"the sampler {name!r:.80} is not an Optuna sampler", allowed=ALLOWED, hint=_hint(module, attribute)
        )
    return kind


def _hint(module: str, attribute: str) -> str:
    if module != OPTUNAS:
        return "a sampler class must inherit from optuna.samplers.BaseSampler"
    kinds = sorted(name for name in optuna.samplers.__all__ if name.endswith("Sampler") and not name.startswith("Base"))
    return did_you_mean(attribute, kinds) or f"Optuna has {', '.join(kinds)}"
