"""A search space's parameters as Optuna's distributions, and an architecture from a trial's suggestions."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from archsearch.architecture.spec import Architecture
from archsearch.space.choices import Scalar
from archsearch.space.domains import Choice, Domain, Integers, Reals
from archsearch.space.space import SearchSpace


def distribution_of(domain: Domain) -> BaseDistribution:
    """The domain as a file writes it: categorical for a choice, int and float with their step or logarithm."""
    match domain:
        case Choice():
            return CategoricalDistribution(domain.choice)
        case Integers():
            return IntDistribution(*domain.bounds, log=domain.log, step=domain.step)
        case Reals():
            return FloatDistribution(*domain.bounds, log=domain.log, step=domain.step)
    raise AssertionError(domain)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The distribution of every parameter of a network and of its training, by its name: `block`, `stage1.depth`,
    `training.momentum`."""
    return {name: distribution_of(domain) for name, domain in space.dimensions()}


def suggest(trial: BaseTrial, space: SearchSpace) -> Architecture:
    """The architecture that an Optuna trial suggests: every parameter that is asked becomes a parameter of the trial;
    one whose `when` does not hold, or of a stage that is not there, is left out.

    For objectives of a plain `optuna.create_study`. The budget is kept by the samplers of `archsearch.samplers` alone;
    `space.budget.violations(archsearch.cost(architecture))` are constraints for others. Raises InputError where the
    space allows values that do not go together, NotInSpace where linear widths give stages that it does not allow.
    """
    return space.architecture(Suggestions(trial))


class Suggestions:
    """The `Choices` of an Optuna trial."""

    def __init__(self, trial: BaseTrial) -> None:
        self._trial = trial

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """A categorical suggestion."""
        value: Scalar = self._trial.suggest_categorical(name, options)
        return value

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer suggestion."""
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """A suggestion of a real number."""
        return self._trial.suggest_float(name, low, high, step=step, log=log)
