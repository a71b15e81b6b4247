"""The values of which a ledger's results are made: trials, epochs, events, counts. All are frozen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

Scalar = str | int | float | bool | None
Mode = Literal["max", "min"]
SearchState = Literal["running", "finished", "interrupted", "failed"]


class TrialState(StrEnum):
    """Where a trial stands. `finished`, `stopped` and `failed` are for ever; a `paused` one waits at a rung."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

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
    """How many trials are in each state; `rejected` proposals are no trials."""

    waiting: int = 0
    running: int = 0
    paused: int = 0
    finished: int = 0
    stopped: int = 0
    failed: int = 0
    rejected: int = 0

    @property
    def total(self) -> int:
        """All trials; rejected proposals are none."""
        return self.waiting + self.running + self.paused + self.ended

    @property
    def ended(self) -> int:
        """Trials that nothing more can happen to."""
        return self.finished + self.stopped + self.failed
