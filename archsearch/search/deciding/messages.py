"""What the search tells its workers (`Instruction`) and what they answer (`Report`): plain frozen values that travel
between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from archsearch.experiment import Failure, State
from archsearch.experiment.predictions import Recorded
from archsearch.space.settings import Precision

# ---- instructions


@dataclass(frozen=True, kw_only=True)
class Train:
    """Begin this trial, or go on from `state`, which it had after `done` epochs, and train an epoch. The state comes as
    bytes, or as what the ledger knows of its file, where the worker shares the driver's disk.

    The schedule is annealed for each of `rungs` (epochs). At the rung `pause` the trial pauses: its state comes
    with the report; at 0 it is scored before its first epoch. It begins with weights of the `parent` of that index
    (None: with initial values). The training ends after `epochs`, and takes `micro_batch` images at once (None: as the
    settings say). `overrides` are the trial's training settings that differ from the worker's.
    """

    number: int
    attempt: int
    architecture: Mapping[str, Any]
    seed: int
    rungs: tuple[int, ...] = ()
    pause: int | None = None
    parent: int | None = None
    state: bytes | State | None = None
    done: int = 0
    epochs: int | None = None
    micro_batch: int | None = None
    precision: Precision | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def goes_on(self, before: Train | None) -> bool:
        """Whether it is the same training as the one before: equal in all but how far it is and how often it was
        started."""
        progress: dict[str, Any] = {"attempt": 0, "state": None, "done": 0, "pause": None}
        return before is not None and replace(self, **progress) == replace(before, **progress)


@dataclass(frozen=True, kw_only=True)
class GoOn:
    """Train the trial's next epoch. The training now ends after `epochs`; None: as before."""

    number: int
    epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """Give the trained weights of this trial: it is the best so far."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Test:
    """Evaluate this trial, the winner, on the test split: which is done once for a winner."""

    number: int
    architecture: Mapping[str, Any]
    weights: bytes
    precision: Precision | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Measure the latency of the candidate with this identity, before it may become a trial."""

    identity: str
    architecture: Mapping[str, Any]
    batch: int
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Find out in which precision this device trains networks like this one faster."""

    architecture: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReportIn:
    """Report that you are ready. Only a worker that has reported gets a trial: no trial waits for a worker to start."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing can be done before another worker has reported; ask again in a while."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Nothing is left to do."""


TrialInstruction = Train | GoOn | HandOver | Test
Instruction = ReportIn | Choose | TrialInstruction | Measure | Wait | Rest

# ---- reports


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The worker has nothing in hand."""


@dataclass(frozen=True, kw_only=True)
class EpochTrained:
    """An epoch of a trial and its metrics, with the training's `state` after it where it was time to save one: as
    bytes, or a file that the worker has written to the experiment's folder.

    `began_anew` says why the training began with its first epoch though a state to go on from was given, `no_graph` why
    its steps are not replayed as a CUDA graph though that was tried. `more`: it is not the last report of a step, so
    that no instruction can follow from it.
    """

    number: int
    metrics: Mapping[str, float]
    state: bytes | State | None = None
    began_anew: str | None = None
    no_graph: str | None = None
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class RungReached:
    """The epoch at whose end the trial pauses; otherwise as EpochTrained."""

    number: int
    metrics: Mapping[str, float]
    state: bytes | State
    began_anew: str | None = None
    no_graph: str | None = None


@dataclass(frozen=True, kw_only=True)
class StateLost:
    """The file of the state that the trial was to go on from, after `epoch` epochs, is missing or damaged."""

    number: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """The metrics of a trial that begins with inherited weights, before its first epoch: it pauses at the rung 0."""

    number: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The trained weights of a trial, as one safetensors file."""

    number: int
    weights: bytes


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The winner's metrics on the test split, and what it outputs for each validation and test image."""

    number: int
    metrics: Mapping[str, float]
    predictions: Recorded | None = None


@dataclass(frozen=True, kw_only=True)
class TrialFailed:
    """What the worker was told to do of this trial failed."""

    number: int
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class LatencyMeasured:
    """The latency of the candidate with this identity: `Latency.to_dict` of training/measuring/latency.py."""

    identity: str
    latency: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LatencyFailed:
    """The candidate with this identity could not be measured."""

    identity: str
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class PrecisionMeasured:
    """The faster precision of the device: `Chosen.to_dict` of training/measuring/precision.py, and its text."""

    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PrecisionFailed:
    """The faster precision could not be found out."""

    failure: Failure


Report = (
    Ready
    | EpochTrained
    | RungReached
    | StateLost
    | Untrained
    | Weights
    | Tested
    | TrialFailed
    | LatencyMeasured
    | LatencyFailed
    | PrecisionMeasured
    | PrecisionFailed
)
