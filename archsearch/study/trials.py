"""A trial of the ledger as a trial of Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from archsearch.experiment.records import Trial, TrialState
from archsearch.space.budget import Price
from archsearch.space.space import SearchSpace
from archsearch.study.distributions import distribution_of

_STATES = {TrialState.FINISHED: State.COMPLETE, TrialState.STOPPED: State.PRUNED, TrialState.FAILED: State.FAIL}


class Translation:
    """How the trials of one search space are written as Optuna's.

    - Finished is COMPLETE, stopped PRUNED, failed FAIL; paused and running are RUNNING, and so is a trial that waits
      to go on; one that was never begun is WAITING. Optuna's numbers count from 0; the attribute `trial` is the id.
    - Values: the metric on validation and costs in the order of the search's objectives. Intermediate values: the
      metric after each epoch.
    - Parameters: those that were asked. A value that the space does not hold (its file was changed meanwhile) is a
      choice by itself.
    - User attributes: number, trial, digest, costs, epochs, reason, settings of the training that vary.
    - Constraints: the budget's violations, at most 0 where a bound is kept.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._budget, self._objectives = space.budget, tuple(space.search.objectives)
        self._metric = space.search.objective.name
        self._domains = dict(space.dimensions())
        self._distributions = {name: distribution_of(domain) for name, domain in self._domains.items()}

    def frozen(self, trial: Trial, curve: Mapping[int, float | None]) -> FrozenTrial:
        """The trial with `curve`, its metric on validation by epoch; None where that was no finite number."""
        state = _STATES.get(trial.state, State.RUNNING)
        if trial.state is TrialState.WAITING and not trial.attempts:
            state = State.WAITING
        costs: Mapping[str, Any] = trial.cost
        values = None
        if trial.state in (TrialState.FINISHED, TrialState.STOPPED):
            values = [trial.value if name == self._metric else costs[name] for name in self._objectives]
        frozen = FrozenTrial(
            number=trial.number - 1,
            trial_id=trial.number - 1,
            state=state,
            value=None,
            values=values,  # type: ignore[arg-type]
            datetime_start=datetime.fromtimestamp(trial.created if trial.started is None else trial.started),
            datetime_complete=None if trial.ended is None else datetime.fromtimestamp(trial.ended),
            params=dict(trial.choices),
            distributions={name: self._distribution(name, value) for name, value in trial.choices.items()},
            user_attrs=_attributes(trial),
            system_attrs={},
            intermediate_values={epoch: float("nan") if v is None else v for epoch, v in curve.items()},
        )
        for name, violation in self._budget.violations(Price(**costs)).items():
            frozen.set_constraint(name, violation)
        return frozen

    def _distribution(self, name: str, value: Any) -> BaseDistribution:
        domain = self._domains.get(name)
        return self._distributions[name] if domain and domain.holds(value) else CategoricalDistribution((value,))


def _attributes(trial: Trial) -> dict[str, Any]:
    attributes = {"number": trial.number, "trial": trial.id, "digest": trial.digest, **trial.cost}
    attributes |= {"epochs": trial.epochs} | {f"training.{name}": value for name, value in trial.training.items()}
    return attributes if trial.reason is None else attributes | {"reason": trial.reason}


def duplicate(trial: FrozenTrial) -> FrozenTrial:
    """A trial that may be altered without altering this one; far quicker than `copy.deepcopy`, for all that its
    mappings hold is never altered."""
    return FrozenTrial(
        number=trial.number,
        trial_id=trial._trial_id,
        state=trial.state,
        value=None,
        values=trial.values,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        user_attrs=dict(trial.user_attrs),
        system_attrs=dict(trial.system_attrs),
        intermediate_values=dict(trial.intermediate_values),
    )
