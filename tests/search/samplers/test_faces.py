"""Our samplers in a plain study of Optuna over a search space."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

import archsearch
from archsearch.reading.errors import InputError
from archsearch.samplers import (
    EvolutionSampler,
    GaussianProcessSampler,
    LocalSearchSampler,
    SpaceSampler,
    UniformSampler,
)
from archsearch.space.space import SearchSpace

SMALL = "space={stages: 1, depth: {int: [1, 3]}, width: 8, block: basic}"
KINDS = (GaussianProcessSampler, UniformSampler, EvolutionSampler, LocalSearchSampler)
SPACE = Path(__file__).parents[3] / "search_spaces" / "digits.yaml"


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return archsearch.load_space(SPACE)


def run(sampler: SpaceSampler, space: SearchSpace, trials: int) -> tuple[optuna.Study, list[str]]:
    study, digests = optuna.create_study(direction="minimize", sampler=sampler), []

    def objective(trial: optuna.Trial) -> float:
        architecture = archsearch.suggest(trial, space)
        digests.append(archsearch.digest(architecture))
        trial.suggest_float("of my own", 0, 1)
        cost = archsearch.cost(architecture)
        assert space.budget.admits(cost)
        trial.report(-cost.params, 1)
        if trial.number % 7 == 3:
            raise optuna.TrialPruned
        return -cost.params

    study.optimize(objective, n_trials=trials)
    return study, digests


def test_of_a_pruned_trial_its_reported_scores_are_learnt(space: SearchSpace) -> None:
    sampler, full = UniformSampler(space, seed=0), space.training.epochs
    reported = {0: 9.0, 1: 0.5, full - 1: 0.7, full: 0.9, 2: float("nan")}
    for direction, sign in ((StudyDirection.MAXIMIZE, 1), (StudyDirection.MINIMIZE, -1)):
        pruned = optuna.trial.create_trial(state=TrialState.PRUNED, intermediate_values=reported)
        assert sampler._trained(pruned, [direction]).curve == {1: sign * 0.5, full - 1: sign * 0.7}
        ended = optuna.trial.create_trial(value=0.8, intermediate_values=reported)
        assert sampler._trained(ended, [direction]).curve == {1: sign * 0.5, full - 1: sign * 0.7, full: sign * 0.8}
        failed = optuna.trial.create_trial(state=TrialState.FAIL, intermediate_values=reported)
        assert sampler._trained(failed, [direction]).curve == {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_suggestion_is_within_the_budget_and_new(kind: type[SpaceSampler], space: SearchSpace) -> None:
    study, digests = run(kind(space, seed=0), space, 25)
    assert len(set(digests)) == 25
    again, _ = run(kind(space, seed=0), space, 25)
    assert [t.params["stages"] for t in again.trials] == [t.params["stages"] for t in study.trials]


def test_the_model_learns_in_the_direction_of_the_study(space: SearchSpace) -> None:
    best = {kind: [run(kind(space, seed=seed), space, 25)[0].best_value for seed in range(3)] for kind in KINDS[:2]}
    assert np.mean(best[GaussianProcessSampler]) < np.mean(best[UniformSampler])


def test_a_study_of_several_objectives_and_one_that_is_loaded_again(space: SearchSpace, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    digests: list[str] = []

    def objective(trial: optuna.Trial) -> tuple[int, int]:
        architecture = archsearch.suggest(trial, space)
        digests.append(archsearch.digest(architecture))
        cost = archsearch.cost(architecture)
        return cost.params, cost.flops

    for _ in range(2):
        study = optuna.create_study(study_name="two", storage=storage, directions=["maximize", "minimize"],
                                    load_if_exists=True, sampler=GaussianProcessSampler(space, seed=0))  # fmt: skip
        study.optimize(objective, n_trials=8)
    assert len(study.trials) == 16 and study.best_trials
    assert len({tuple(sorted(trial.params.items(), key=str)) for trial in study.trials}) == 16


def test_a_space_that_is_used_up_is_bad_input(tmp_path: Path) -> None:
    space = archsearch.load_space(
        SPACE, ["space={stages: 1, depth: {int: [1, 3]}, width: 8, block: basic}", "budget={}"]
    )
    study = optuna.create_study(sampler=UniformSampler(space, seed=0))
    with pytest.raises(InputError, match="the whole space was tried"):
        study.optimize(lambda trial: float(archsearch.cost(archsearch.suggest(trial, space)).params), n_trials=9)
    assert len(study.trials) == 4
