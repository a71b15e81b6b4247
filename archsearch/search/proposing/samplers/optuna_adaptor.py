"""Any of Optuna's samplers, through its public interface. The only file of search/ that imports Optuna."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseGASampler, BaseSampler, BruteForceSampler, CmaEsSampler, GridSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from archsearch.reading.errors import refuse
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.interface import ALLOWED_CLASSES, FeasibleSet
from archsearch.space.many.columns import Column, IntArray

DRAWS = 512  # feasible candidates drawn where the suggestion itself is none
VALUES = 32  # of one choice, at most, that are tried in its place
OPTUNAS = "optuna.samplers"
ALLOWED = "module:Class, such as optuna.samplers:TPESampler"
Statement = tuple[bytes, int, tuple[float, ...]]  # a trial's row, its epochs, its scores


class OptunaAdaptor:
    """A study that is a reading of the history; its sampler's suggestion is taken to the nearest candidate.

    The study hears of every trial with the choices that were run, not with those it had suggested: as COMPLETE once
    finished, as PRUNED with its score so far while it is stopped or waits at a rung (with several objectives Optuna
    knows no such thing: nothing then), not at all while it runs for the first time or where it failed. Parameters are
    the indices of a column's values: integers for ordered ones. Inactive choices are left out, as Optuna's
    define-by-run does. The suggestion itself is told FAIL, which Optuna's samplers pass over.

    A sampler that notes something of each trial as it suggests it (populations, CMA-ES) learns from finished trials
    alone; where one comes between others that it knew, its study is made anew (2 ms a trial).
    """

    def __init__(self, name: str, options: Mapping[str, Any] | None = None, *, objectives: int = 1) -> None:
        """`name` is module:Class; `options` are the constructor's. Raises InputError where that makes no sampler."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._name, self._options, self._objectives = name, dict(options or {}), objectives
        self._kind = _class(name)
        if issubclass(self._kind, BruteForceSampler | GridSampler):
            hint = "random tries everything, too, and ends once the space is used up"
            raise refuse(f"the sampler {name} counts combinations through", allowed="one that chooses", hint=hint)
        if issubclass(self._kind, CmaEsSampler) and find_spec("cmaes") is None:  # it would say so once it is asked
            raise refuse(f"{name} needs a package that is not installed", hint="pip install cmaes")
        self._make(0)
        self._study: optuna.Study | None = None
        self._notes = issubclass(self._kind, BaseGASampler | CmaEsSampler)
        self._storage = InMemoryStorage()
        self._statements: list[Statement] = []
        self._ids: list[int] = []  # of the statements' trials in the study, where they are told directly

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The candidate nearest to what the sampler suggests: fewest choices changed, then the least distance."""
        distributions = [_distribution(column) for column in feasible.columns]
        study = self._learnt(history, feasible.columns, distributions)
        if self._notes:
            study = deepcopy(study)  # what is noted of this suggestion must be gone with it
        study.sampler = self._make(int(rng.integers(2**32)))
        try:
            trial = study.ask()
            suggestion = [_suggest(trial, c.name, d) for c, d in zip(feasible.columns, distributions, strict=True)]
        except ImportError as error:
            raise refuse(f"{self._name} needs a package that is not installed: {error}") from None
        study.tell(trial, state=TrialState.FAIL)
        return nearest(np.array(suggestion, np.int32), feasible, rng)

    def _learnt(
        self, history: History, columns: Sequence[Column], distributions: Sequence[BaseDistribution]
    ) -> optuna.Study:
        """The study that knows this history: the one at hand, told of what is new or has changed."""
        notes = self._notes
        epochs = np.minimum(history.epochs, history.full)
        (scored,) = np.nonzero(history.finished if notes else history.scored)
        statements = [(history.codes[i].tobytes(), int(epochs[i]), tuple(history.scores[i].tolist())) for i in scored]
        known = self._statements
        if len(known) > len(statements) or (notes and statements[: len(known)] != known):
            known = []
        if self._study is None or not known:
            self._storage, self._statements, self._ids = InMemoryStorage(), [], []
            self._study = optuna.create_study(directions=["maximize"] * self._objectives, storage=self._storage)
        for index, statement in enumerate(statements):
            if index < len(known) and known[index] == statement:
                continue
            codes = np.frombuffer(statement[0], history.codes.dtype)
            active = {columns[i].name: (int(code), distributions[i]) for i, code in enumerate(codes) if code >= 0}
            trial = self._trial(statement[2], statement[1], history.full, active)
            if notes:
                self._study.sampler = self._make(index)
                self._study.enqueue_trial(trial.params)
                asked = self._study.ask()
                _ = asked.relative_params  # this writes the trial's generation down
                for name, (_code, distribution) in active.items():
                    _suggest(asked, name, distribution)
                self._study.tell(asked, trial.values)
            elif index < len(known):
                trial.number, trial._trial_id = self._ids[index], self._ids[index]
                self._storage._set_trial(self._ids[index], trial)
            else:
                self._ids.append(self._storage.create_new_trial(self._study._study_id, trial))
        self._statements = statements
        return self._study

    def _trial(
        self, scores: tuple[float, ...], epochs: int, full: int, active: Mapping[str, tuple[int, BaseDistribution]]
    ) -> optuna.trial.FrozenTrial:
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
            raise refuse(problem, allowed="a sampler whose arguments stand in its options") from None


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
    its code. Raises InputError where there is none, or it is no sampler of Optuna's."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise refuse(f"the sampler {name!r:.80}", allowed=ALLOWED)
    kind: Any = None
    if module == OPTUNAS:
        kind = getattr(optuna.samplers, attribute) if attribute in optuna.samplers.__all__ else None
    elif name not in ALLOWED_CLASSES:
        # Without the name: a terminal, or whoever reads this text, is told nothing that the file's author chose.
        raise refuse(
            "the file names a sampler of another module than Optuna's, and to import that runs its code",
            allowed=f"{OPTUNAS}:Class",
            hint="--allow-sampler MODULE:CLASS on the command line, where you trust that module",
        )
    else:
        try:
            kind = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise refuse(f"the sampler {name!r:.80}: {error}", allowed=ALLOWED) from None
    if not (inspect.isclass(kind) and issubclass(kind, BaseSampler)):
        raise refuse(f"the sampler {name!r:.80} is no sampler of Optuna's", allowed=ALLOWED, hint=_hint(module))
    return kind


def _hint(module: str) -> str:
    if module != OPTUNAS:
        return "a sampler's class inherits from optuna.samplers.BaseSampler"
    kinds = sorted(name for name in optuna.samplers.__all__ if name.endswith("Sampler") and not name.startswith("Base"))
    return "Optuna has " + ", ".join(kinds)
