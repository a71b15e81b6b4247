"""Ledger events as MLflow keeps them: which points, tags and states they are. Pure: nothing is sent here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.experiment import Event, Trial
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import FEWEST_RANKED

EXPERIMENT_TAG = "archsearch.experiment_id"
TRIAL_TAG = "archsearch.trial"
STATE_TAG = "archsearch.state"
BEST_TAG = "archsearch.best"
RETRAINED_TAG = "archsearch.retrained"
SEARCH = 0  # the parent's number among trials, which count from 1
_STATUS = {
    "started": ("RUNNING", "running"),
    "requeued": ("SCHEDULED", "waiting"),
    "paused": ("SCHEDULED", "paused"),
    "promoted": ("SCHEDULED", "waiting"),
    "finished": ("FINISHED", "finished"),
    "stopped": ("FINISHED", "stopped"),  # as the search wanted it: no failure
    "failed": ("FAILED", "failed"),
}
PARENT_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
_OVER = frozenset({"FINISHED", "KILLED", "FAILED"})
# A run begins when its trial does; rejections are counted at the end; the rest concerns archsearch alone.
_SILENT = frozenset(
    {"proposed", "rejected", "saved", "precision", "threads", "placed", "left_out", "finishing", "predictions"}
)
_COUNTERS = frozenset({"epoch", "epochs", "images", "learnt", "seed", "top"})  # no results: no metrics either


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a metric. Its time is the ledger's, so that sending it twice leaves one."""

    key: str
    value: float
    milliseconds: int
    step: int


@dataclass(kw_only=True)
class Update:
    """What a batch of events changes in one run: trial's, or SEARCH's."""

    trial: int
    points: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    status: str | None = None
    ended: int | None = None


def updates(events: Iterable[Event], objective: Objective = BY_ACCURACY) -> list[Update]:
    """One Update a run, in the order in which the runs appear; trials' values are of the objective's metric."""
    by_trial: dict[int, Update] = {}
    for event in events:
        match event.kind:
            case kind if kind in _SILENT:
                continue
            case "began" | "ended":
                _session(by_trial.setdefault(SEARCH, Update(trial=SEARCH)), event)
            case "epoch":
                update = by_trial.setdefault(event.trial or SEARCH, Update(trial=event.trial or SEARCH))
                update.points += curve(event.data["metrics"], event.data["epoch"], event.time)
            case "correlated":
                _correlation(by_trial.setdefault(SEARCH, Update(trial=SEARCH)), event)
            case kind if kind in _STATUS:
                _life(by_trial.setdefault(event.trial or SEARCH, Update(trial=event.trial or SEARCH)), event, objective)
            case _:
                update = by_trial.setdefault(event.trial or SEARCH, Update(trial=event.trial or SEARCH))
                prefix = "" if event.kind == "tested" and event.trial else f"{event.kind}_"
                named = {prefix + key: value for key, value in event.data.items() if key not in _COUNTERS}
                update.points += points_of(named, event.time, step=0)
    return list(by_trial.values())


def holding(history: Sequence[Event]) -> list[Event]:
    """A trial's events, oldest first, without the epochs and rungs that a later attempt has trained again, as a start
    from an earlier epoch says."""
    events: list[Event] = []
    lowest = math.inf
    for event in reversed(history):
        if event.kind == "started":
            lowest = min(lowest, event.data["resume_epoch"])
        if event.data.get({"epoch": "epoch", "paused": "rung"}.get(event.kind, ""), 0) <= lowest:
            events.append(event)
    return events[::-1]


def params_of(trial: Trial) -> dict[str, str]:
    """A trial's params: its choices as they are named in the space, its digest and its seed."""
    params = {**trial.choices, "digest": trial.digest, "seed": trial.seed}
    return {key_of(key): str(value)[:6000] for key, value in params.items()}


def costs(trial: Trial) -> list[Point]:
    """A trial's cost as metrics, for those can be sorted and filtered as numbers."""
    return points_of(trial.cost, trial.created, step=0)


def milliseconds(seconds: float) -> int:
    """MLflow's time for the ledger's."""
    return round(seconds * 1000)


def score(trial: Trial, time: float, objective: Objective = BY_ACCURACY) -> list[Point]:
    """A trial's value of the objective's metric, at the epoch that it stands at; none where it has none."""
    return points_of({objective.name: trial.value}, time, step=trial.epochs)


def _session(update: Update, event: Event) -> None:
    state = "running" if event.kind == "began" else event.data["state"]
    update.status = PARENT_STATUS.get(state, "RUNNING")
    update.ended = milliseconds(event.time) if event.kind == "ended" else None
    update.tags[STATE_TAG] = state


def _life(update: Update, event: Event, objective: Objective) -> None:
    update.status, update.tags[STATE_TAG] = _STATUS[event.kind]
    update.ended = milliseconds(event.time) if update.status in _OVER else None
    if event.data.get("reason"):
        update.tags["archsearch.reason"] = str(event.data["reason"])[:4000]
    if event.kind == "finished":
        update.points += points_of({f"final_{objective.name}": event.data["value"]}, event.time, step=0)
    elif event.kind == "paused":
        update.points += points_of({objective.name: event.data["value"]}, event.time, step=event.data["rung"])


def _correlation(update: Update, event: Event) -> None:
    """Of a rung with the next, over the number of trials that it was taken on; none of a few."""
    data, bracket = event.data, event.data["bracket"]
    if data["n"] < FEWEST_RANKED:
        return
    prefix = f"rung_{data['rung']}_" + (f"bracket_{bracket}_" if bracket else "")
    named = {prefix + "correlation": data.get("correlation"), prefix + "corrected_correlation": data.get("corrected")}
    update.points += points_of(named, event.time, step=data["n"])


def curve(metrics: Mapping[str, Any], epoch: int, time: float) -> list[Point]:
    """What an epoch measured: a point of each curve."""
    return points_of({key: value for key, value in metrics.items() if key not in _COUNTERS}, time, step=epoch)


def points_of(metrics: Mapping[str, Any], time: float, *, step: int) -> list[Point]:
    """A point of each metric that is a number; `time` is in Unix seconds."""
    return [
        Point(key=key_of(key), value=float(value), milliseconds=milliseconds(time), step=step)
        for key, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def key_of(name: str) -> str:
    """MLflow's name of a metric or a parameter: without the characters that it does not take."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)[:250]
