"""Our samplers as samplers of Optuna, over the candidates of a search space.

space = archsearch.load_space("digits.yaml")
study = optuna.create_study(direction="maximize", sampler=archsearch.samplers.GaussianProcessSampler(space))
study.optimize(lambda trial: accuracy_of(archsearch.suggest(trial, space)), n_trials=50)
"""

from archsearch.search.proposing.samplers.faces import (
    EvolutionSampler,
    GaussianProcessSampler,
    LocalSearchSampler,
    SpaceSampler,
    UniformSampler,
)

__all__ = ["EvolutionSampler", "GaussianProcessSampler", "LocalSearchSampler", "SpaceSampler", "UniformSampler"]
