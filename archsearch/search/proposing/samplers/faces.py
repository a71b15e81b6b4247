"""Our samplers with Optuna's face: `archsearch.samplers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from archsearch.architecture.canonical import digest
from archsearch.reading.errors import refuse
from archsearch.search.proposing.records import Records, TrainedCandidate
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.samplers.evolution import Evolution
from archsearch.search.proposing.samplers.interface import Sampler
from archsearch.search.proposing.samplers.local_search import LocalSearch
from archsearch.search.proposing.samplers.uniform import Uniform
from archsearch.space.choices import RecordedChoices
from archsearch.space.many.feasible import Feasible
from archsearch.space.space import SearchSpace
from archsearch.study.distributions import distributions


class SpaceSampler(BaseSampler):
    """A sampler over the candidates of a search space: only those that the budget admits, and none twice.

    For any `optuna.create_study` whose objective asks `archsearch.suggest(trial, space)`; a search uses the same
    algorithms. It learns from the study's trials, of unfinished ones too by what they have reported (steps are epochs,
    from 1); a trial that has failed, or reported nothing, teaches nothing but its choices. Only trials that are new or
    unfinished are read for a suggestion. `settings` are the algorithm's fields. Suggesting raises InputError once the
    space is used up.
    """

    kind: ClassVar[type[Any]]

    def __init__(self, space: SearchSpace, *, seed: int | None = None, **settings: Any) -> None:
        self.algorithm: Sampler = self.kind(**settings)
        self._space = space
        self._distributions = distributions(space)
        self._feasible: Feasible | None = None
        self._study: optuna.Study | None = None
        self._seed = int(np.random.default_rng(seed).integers(2**32)) if seed is None else seed
        self._others = RandomSampler(self._seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters of the space."""
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of the next candidate; those that it does not ask are left out."""
        feasible = self._follow(study, trial.number)
        rng = np.random.default_rng([self._seed, trial.number])
        while (row := self.algorithm.propose(self._records.history(), feasible, rng)) is not None:
            feasible.use(row)
            choices = feasible.grid.choices(row)
            network = digest(self._space.architecture(RecordedChoices(choices)))
            identity = self._space.trainings.identity(network, self._space.trainings.overrides(choices))
            if identity not in self._identities:  # otherwise other choices for a network that was suggested
                self._identities.add(identity)
                return choices
        raise refuse("the whole space was tried: every network within the budget", file=self._space.name)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, of a parameter that is none of the space's."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Another seed, for each of several processes."""
        self._seed = int(np.random.default_rng().integers(2**32))

    def _follow(self, study: optuna.Study, asking: int) -> Feasible:
        """Takes in the trials that are new, or were unfinished before, and returns the candidates that are left."""
        if study is not self._study or self._feasible is None:
            self._study, self._read, self._unfinished, self._identities = study, 0, list[int](), set[str]()
            self._feasible = Feasible(self._space, seed=self._seed)
            names = ("accuracy",) if len(study.directions) == 1 else tuple(map(str, range(len(study.directions))))
            epochs = self._space.training.epochs
            rungs = self._space.search.early_stopping.rungs(epochs)
            columns = len(self._feasible.columns)
            self._records = Records(columns=columns, objectives=names, rungs=rungs, full=epochs)
        trials = study.get_trials(deepcopy=False)
        numbers = [*self._unfinished, *range(self._read, len(trials))]
        self._read = len(trials)
        self._unfinished = [n for n in numbers if not trials[n].state.is_finished()]
        for number in numbers:
            if number != asking:
                self._learn(trials[number], study.directions)
        return self._feasible

    def _learn(self, trial: FrozenTrial, directions: Sequence[StudyDirection]) -> None:
        feasible = self._feasible
        assert feasible is not None
        choices = {name: value for name, value in trial.params.items() if name in self._distributions}
        row = feasible.grid.codes(choices, np.random.default_rng(0)) if choices else None
        if row is None:
            return
        feasible.use(row)
        trained = self._trained(trial, directions)
        ended = trial.state.is_finished() or bool(trained.curve)
        self._records.learn(row, trained, number=trial.number, ended=ended)

    def _trained(self, trial: FrozenTrial, directions: Sequence[StudyDirection]) -> TrainedCandidate:
        """What the trial has scored, turned as `Records` takes it: a curve of one objective to be large, or costs to be
        small of several."""
        signs = [1 if direction is StudyDirection.MAXIMIZE else -1 for direction in directions]
        full, complete = self._space.training.epochs, trial.state is TrialState.COMPLETE
        if len(signs) > 1:
            losses = [-sign * value for sign, value in zip(signs, trial.values, strict=True)] if complete else []
            costs = {str(n): losses[n] if losses else float("nan") for n in range(len(signs))}
            return TrainedCandidate(choices={}, costs=costs, curve={full: 0.0} if complete else {})
        reported = trial.intermediate_values.items() if trial.state is not TrialState.FAIL else ()
        curve = {epoch: signs[0] * value for epoch, value in reported if 0 < epoch < full and np.isfinite(value)}
        if complete:
            assert trial.value is not None
            curve[full] = signs[0] * trial.value
        return TrainedCandidate(choices={}, costs={}, curve=curve)


class GaussianProcessSampler(SpaceSampler):
    """Bayesian optimisation with a Gaussian process over choices and exact costs: `bayes`, and the default."""

    kind = Bayes


class UniformSampler(SpaceSampler):
    """Random search: every candidate that is left is as likely as the others."""

    kind = Uniform


class EvolutionSampler(SpaceSampler):
    """Regularised evolution (Real 2019, arXiv:1802.01548)."""

    kind = Evolution


class LocalSearchSampler(SpaceSampler):
    """Hill climbing (White 2021, arXiv:2005.02960)."""

    kind = LocalSearch


def with_face(algorithm: Sampler, space: SearchSpace) -> BaseSampler | None:
    """The algorithm of a search as a sampler of Optuna; None where it is no algorithm of ours."""
    for face in (GaussianProcessSampler, UniformSampler, EvolutionSampler, LocalSearchSampler):
        if isinstance(algorithm, face.kind):
            sampler = face(space, seed=space.search.seed)
            sampler.algorithm = algorithm
            return sampler
    return None


__all__ = ["EvolutionSampler", "GaussianProcessSampler", "LocalSearchSampler", "SpaceSampler", "UniformSampler"]
