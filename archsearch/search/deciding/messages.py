"""What the search and its workers say to each other: plain frozen values that travel between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from archsearch.space.settings import Precision


@dataclass(frozen=True, kw_only=True)
class Train:
    """Begin this trial, or go on from `state`, which it had after `done` epochs, and train an epoch.

    The schedule is annealed for each of `rungs` (epochs). At the rung `pause` the trial pauses: its state comes
    with the report. The training ends after `epochs`, and takes `micro_batch` images at once (None: as the settings
    say). `training` are the words in which the trial's settings differ from the worker's.
    """

    number: int
    attempt: int
    architecture: Mapping[str, Any]
    seed: int
    rungs: tuple[int, ...] = ()
    pause: int | None = None
    state: bytes | None = None
    done: int = 0
    epochs: int | None = None
    micro_batch: int | None = None
    precision: Precision | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def goes_on(self, before: Train | None) -> bool:
        """Whether it is the same training as the one before, in every word but for where it is and the count of its
        starts."""
        here: dict[str, Any] = {"attempt": 0, "state": None, "done": 0, "pause": None}
        return before is not None and replace(self, **here) == replace(before, **here)


@dataclass(frozen=True, kw_only=True)
class GoOn:
    """Train the trial's next epoch. The training now ends after `epochs`, where that is said."""

    number: int
    epochs: int | None = None


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
    precision: Precision | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Measure the latency of this network, before it may become a trial: the candidate known by `digest`."""

    digest: str
    architecture: Mapping[str, Any]
    batch: int
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Find out in which precision this device trains networks like this one faster."""

    architecture: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReportIn:
    """Say that you are there. A trial is given only to a worker that is: no trial waits for one to start."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing can be done before another worker has reported; ask again in a while."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Nothing is left to do."""


Instruction = ReportIn | Choose | Train | GoOn | HandOver | Test | Measure | Wait | Rest


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of an instruction. `number` is 0 where a worker has only just started.

    `parcel` is the trial's weights ("weights"), or its state after the epoch: at which it pauses ("rung"), or for
    which it was time ("epoch").
    An epoch's `reason` says why the trial began anew though it was given a state. `latency` is what was measured of
    the candidate `digest`; None where that failed, for `reason`. `precision` is what was found of the device, in the
    words of training/measuring/precision.py. `more` says that this is not the last report of a step: nothing can be
    changed yet.
    """

    number: int = 0
    kind: Literal["ready", "epoch", "rung", "weights", "tested", "latency", "precision", "failed", "lost"]
    metrics: Mapping[str, float] | None = None
    parcel: bytes | None = None
    reason: str | None = None
    digest: str = ""
    latency: Mapping[str, Any] | None = None
    precision: Mapping[str, Any] | None = None
    more: bool = False
