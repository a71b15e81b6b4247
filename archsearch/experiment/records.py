"""The values of which a ledger's results are made: trials, epochs, events, counts. All are frozen."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from archsearch.experiment.objective import Objective

Scalar = str | int | float | bool | None
SearchState = Literal["running", "finished", "interrupted", "failed"]


class TrialState(StrEnum):
    """Where a trial stands. The last three are for ever.

    waiting: a worker will train it when one is free; running: a worker trains it; paused: trained as far as a rung,
    and goes on if it is among the best there; finished: trained to its last epoch; stopped: not among the best at its
    rung, trained no further ("stopped early"); failed: an error ended it, and it has no score.
    """

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def label(self) -> str:
        """The state as a person reads it."""
        return "stopped early" if self is TrialState.STOPPED else self.value

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to the trial."""
        return self in (TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED)


def trial_id(number: int) -> str:
    """Trial 1 is t0001: the name of its folder."""
    return f"t{number:04d}"


def number_of(text: str) -> int | None:
    """The inverse, of t0001 or any short form of it (t1, 1); None for what is none."""
    match = re.fullmatch(r"t?0*([1-9]\d{0,8})", text, flags=re.ASCII)
    return None if match is None else int(match[1])


def spell(settings: Mapping[str, Any], *, digits: int = 17) -> str:
    """`optimizer sgd, learning_rate 0.05`: settings as a person reads them, numbers rounded to so many digits."""
    rounded = ((name, float(f"{v:.{digits}g}") if isinstance(v, float) else v) for name, v in settings.items())
    return ", ".join(f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in rounded)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One architecture that is, was or will be trained. Times are Unix seconds.

    `value` is the score of a finished trial, or of a paused or stopped one at its rung. `rung` is the last rung at
    which it paused (epochs; 0: none yet).
    """

    number: int
    state: TrialState
    seed: int
    choices: Mapping[str, Scalar]
    architecture: Mapping[str, Any]
    digest: str
    cost: Mapping[str, int]
    attempts: int
    created: float
    started: float | None
    ended: float | None
    value: float | None
    epochs: int
    reason: str | None
    rung: int = 0

    @property
    def id(self) -> str:
        """The trial's id, such as t0001."""
        return trial_id(self.number)

    @property
    def training(self) -> dict[str, Scalar]:
        """The settings of `training:` that were chosen for it; none where the search varies none."""
        chosen = ((name.partition("training."), value) for name, value in self.choices.items())
        return {field: value for (before, dot, field), value in chosen if dot and not before}

    def row(self) -> dict[str, Any]:
        """What a table of trials has of it: plain values by their columns' names."""
        seconds = None if self.started is None or self.ended is None else self.ended - self.started
        return {
            "trial": self.id,
            "state": self.state.value,
            "value": self.value,
            "epochs": self.epochs,
            **self.cost,
            **self.choices,
            "seconds": seconds,
            "seed": self.seed,
            "attempts": self.attempts,
            "digest": self.digest,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch of a trial measured. A metric that was no finite number is None."""

    trial: int
    epoch: int
    metrics: Mapping[str, float | None]
    time: float


@dataclass(frozen=True, kw_only=True)
class State:
    """A training's state after so many epochs, on disk before the ledger knew of it; its SHA-256, hex."""

    trial: int
    epoch: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the ledger's spine: what happened, to which trial, when."""

    id: int
    time: float
    kind: str
    trial: int | None
    data: Mapping[str, Any]


FEWEST_RANKED = 6  # trials, of fewer of which a rank correlation is not shown


@dataclass(frozen=True, kw_only=True)
class Rung:
    """How many trials reached a rung and were promoted from it, and how far its order is that of the next rung.

    `correlation` is Spearman's, over the `n` trials that have a score at both, and `corrected` an estimate of it
    over all of the rung's trials, of which those are the better ones. None where there is none.
    """

    bracket: int
    epochs: int
    trials: int
    promoted: int
    correlation: float | None
    corrected: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many trials are in each state (see `TrialState`); `rejected` proposals are no trials."""

    waiting: int = 0
    running: int = 0
    paused: int = 0
    finished: int = 0
    stopped: int = 0
    failed: int = 0
    rejected: int = 0

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Counts:
        """The counts of these trials."""
        return cls(**Counter(trial.state.value for trial in trials))

    @classmethod
    def read(cls, numbers: Mapping[str, Any]) -> Counts:
        """The counts of a mapping from states to numbers, as summaries hold; its other keys are passed over."""
        return cls(**{state.value: numbers[state.value] for state in TrialState})

    @property
    def total(self) -> int:
        """All trials; rejected proposals are none."""
        return self.waiting + self.running + self.paused + self.ended

    @property
    def ended(self) -> int:
        """Trials that nothing more can happen to."""
        return self.finished + self.stopped + self.failed

    @property
    def settled(self) -> int:
        """Trials that have ended or are paused at a rung: what "6 of 12 trials" counts wherever a person reads it."""
        return self.ended + self.paused

    def labelled(self) -> list[tuple[TrialState, str, int]]:
        """(state, its name for a person, how many): first those that are settled, then those that run or wait. Of the
        states that a search may do without (paused, waiting) only where there are some."""
        return [
            (state, state.label, number)
            for state in _SHOWN
            if (number := getattr(self, state.value)) or state not in (TrialState.PAUSED, TrialState.WAITING)
        ]

    def progress(self, planned: int | None) -> str:
        """How many trials are settled, of so many in all (None: not known): `6 of 12 trials`."""
        return f"{self.settled} of {planned or '?'} trials"

    def text(self, planned: int | None) -> str:
        """How many trials are settled, and how many are in each state: `2 of 3: 1 finished, 1 failed, 1 running`."""
        states = ", ".join(f"{number} {label}" for _, label, number in self.labelled())
        return f"{self.settled} of {planned or '?'}: {states}"


_SHOWN = (
    TrialState.FINISHED, TrialState.STOPPED, TrialState.PAUSED, TrialState.FAILED, TrialState.RUNNING,
    TrialState.WAITING,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Score:
    """A trial's value so far, of the search's metric, measured after so many epochs; final where the trial has
    finished."""

    trial: Trial
    value: float
    epochs: int

    @property
    def final(self) -> bool:
        """Whether the trial was trained to its end."""
        return self.trial.state is TrialState.FINISHED

    @classmethod
    def of(cls, trial: Trial, newest: tuple[int, float] | None = None) -> Score | None:
        """A trial's score: its value; while it runs or waits, that of its `newest` epoch (its number, the value).
        None where there is none."""
        if trial.value is not None:
            return cls(trial=trial, value=trial.value, epochs=trial.epochs)
        if newest is None or trial.state.ended:
            return None
        return cls(trial=trial, value=newest[1], epochs=newest[0])


def leader_of(scores: Iterable[Score], objective: Objective) -> Score | None:
    """The best so far: the best score of the trials that have finished or still go on. Of equals one that has
    finished, then the earliest. None where there is no score."""
    scores = [score for score in scores if score.final or not score.trial.state.ended]
    return max(scores, key=lambda score: (objective.key(score.value), score.final, -score.trial.number), default=None)
