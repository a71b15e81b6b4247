"""What the search and its workers say to each other: plain frozen values that travel between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Train:
    """Begin this trial and train its first epoch."""

    number: int
    attempt: int
    architecture: Mapping[str, Any]
    seed: int


@dataclass(frozen=True, kw_only=True)
class GoOn:
    """Train the trial's next epoch."""

    number: int


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """Give the trained weights of this trial: it is the best so far."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Test:
    """Evaluate the winner on the test split: the only time that anybody does."""

    number: int
    architecture: Mapping[str, Any]
    weights: bytes


@dataclass(frozen=True, kw_only=True)
class ReportIn:
    """Say that you are there. A trial is given only to a worker that is: no trial waits for one to start."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Nothing is left to do."""


Instruction = ReportIn | Train | GoOn | HandOver | Test | Rest


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of an instruction. `number` is 0 where a worker has only just started."""

    number: int = 0
    kind: Literal["ready", "epoch", "weights", "tested", "failed", "lost"]
    metrics: Mapping[str, float] | None = None
    weights: bytes | None = None
    reason: str | None = None
