"""Ledger events as MLflow keeps them: which points, tags and states they are. Pure: nothing is sent here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.experiment import Event, Trial

EXPERIMENT_TAG = "archsearch.experiment_id"
TRIAL_TAG = "archsearch.trial"
STATE_TAG = "archsearch.state"
BEST_TAG = "archsearch.best"
SEARCH = 0  # the parent's number among trials, which count from 1
_STATUS = {
    "started": ("RUNNING", "running"),
    "requeued": ("SCHEDULED", "waiting"),
    "paused": ("SCHEDULED", "paused"),
    "promoted": ("SCHEDULED", "waiting"),
    "finished": ("FINISHED", "finished"),
    "stopped": ("KILLED", "stopped"),
    "failed": ("FAILED", "failed"),
}
PARENT_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
_OVER = frozenset({"FINISHED", "KILLED", "FAILED"})


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


def updates(events: Iterable[Event]) -> list[Update]:
    """One Update a run, in the order in which the runs appear."""
    by_trial: dict[int, Update] = {}
    for event in events:
        match event.kind:
            case "proposed" | "rejected":
                continue  # a run begins when its trial does; rejections are counted at the end
            case "began" | "ended":
                _session(by_trial.setdefault(SEARCH, Update(trial=SEARCH)), event)
            case "epoch":
                update = by_trial.setdefault(event.trial or SEARCH, Update(trial=event.trial or SEARCH))
                metrics = event.data["metrics"]
                update.points += _points(metrics, event.time, step=event.data["epoch"])
            case "correlated":
                _correlation(by_trial.setdefault(SEARCH, Update(trial=SEARCH)), event)
            case kind if kind in _STATUS:
                _life(by_trial.setdefault(event.trial or SEARCH, Update(trial=event.trial or SEARCH)), event)
            case _:
                update = by_trial.setdefault(event.trial or SEARCH, Update(trial=event.trial or SEARCH))
                named = {f"{event.kind}_{key}": value for key, value in event.data.items()}
                update.points += _points(named, event.time, step=0)
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
    return {_key(key): str(value)[:6000] for key, value in params.items()}


def costs(trial: Trial) -> list[Point]:
    """A trial's cost as metrics, for those can be sorted and filtered as numbers."""
    return _points(trial.cost, trial.created, step=0)


def milliseconds(seconds: float) -> int:
    """MLflow's time for the ledger's."""
    return round(seconds * 1000)


def shared_view(experiment_id: str, parent: str, trial: Trial | None, name: str, created: float) -> str:
    """MLflow's saved view of this search alone: best first, with the columns one wants to see."""
    metrics = ["final_accuracy", *(trial.cost if trial else ())]
    params = [_key(key) for key in (trial.choices if trial else ())][:12]
    state = {
        "searchFilter": f"tags.`{EXPERIMENT_TAG}` = '{experiment_id}'",
        "orderByKey": "metrics.`final_accuracy`",
        "orderByAsc": False,
        "lifecycleFilter": "Active",
        "selectedColumns": [
            *(f"metrics.`{_key(key)}`" for key in metrics),
            *(f"params.`{key}`" for key in params),
            f"tags.`{STATE_TAG}`",
        ],
        "runsExpanded": {parent: True},
    }
    at = milliseconds(created)
    return json.dumps({"name": name, "createdAt": at, "updatedAt": at, "state": json.dumps(state)})


def _session(update: Update, event: Event) -> None:
    state = "running" if event.kind == "began" else event.data["state"]
    update.status = PARENT_STATUS.get(state, "RUNNING")
    update.ended = milliseconds(event.time) if event.kind == "ended" else None
    update.tags[STATE_TAG] = state


def _life(update: Update, event: Event) -> None:
    update.status, update.tags[STATE_TAG] = _STATUS[event.kind]
    update.ended = milliseconds(event.time) if update.status in _OVER else None
    if event.data.get("reason"):
        update.tags["archsearch.reason"] = str(event.data["reason"])[:4000]
    if event.kind == "finished":
        # Its own key: a superseded attempt may have left a later epoch in the metric's history.
        update.points += _points({"final_accuracy": event.data["value"]}, event.time, step=0)
    elif event.kind == "paused":
        # Not the same key: a rung's score is no full training's accuracy.
        update.points += _points({"rung_accuracy": event.data["value"]}, event.time, step=event.data["rung"])


def _correlation(update: Update, event: Event) -> None:
    """Of a rung with the next, over the number of trials that it was taken on."""
    data, bracket = event.data, event.data["bracket"]
    prefix = f"rung_{data['rung']}_" + (f"bracket_{bracket}_" if bracket else "")
    named = {prefix + "correlation": data.get("correlation"), prefix + "corrected_correlation": data.get("corrected")}
    update.points += _points(named, event.time, step=data["n"])


def _points(metrics: Mapping[str, Any], time: float, *, step: int) -> list[Point]:
    return [
        Point(key=_key(key), value=float(value), milliseconds=milliseconds(time), step=step)
        for key, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)[:250]
