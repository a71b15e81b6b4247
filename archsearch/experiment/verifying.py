"""Whether a ledger is whole: SQLite's own check, what its rows hold, and its tables against the events that they add
up to. A ledger of 10,000 trials takes about a second.

What has no second copy cannot be compared: a note, or an epoch that a later attempt superseded, is only looked at for
the types that it holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.experiment.checks import is_time
from archsearch.experiment.objective import Objective
from archsearch.experiment.shapes import Damaged, check_event, check_meta, decoded

_LEGAL = {
    "started": ("waiting",),
    "epoch": ("running",),
    "saved": ("running",),
    "requeued": ("running",),
    "paused": ("running",),
    "promoted": ("paused",),
    "finished": ("running",),
    "stopped": ("paused",),
    "failed": ("running", "waiting"),
}
_LARGEST_EPOCH = 10_000_000


@dataclass
class _Trial:
    """A trial as its events tell: what its row must say, its epochs (data and time by epoch), its states' digests."""

    proposal: dict[str, Any]
    created: float
    text: str  # of the proposal
    state: str = "waiting"
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    value: float | None = None
    epoch: int = 0
    reason: str | None = None
    rung: int = 0
    epochs: dict[int, tuple[str, float]] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)

    def drop_after(self, epoch: int) -> None:
        """Epochs above this one are superseded."""
        if self.epoch > epoch:
            self.epochs = {number: kept for number, kept in self.epochs.items() if number <= epoch}
        self.epoch = min(self.epoch, epoch)


class _Replay:
    """What the events add up to, as `Ledger` keeps it in its tables."""

    def __init__(self) -> None:
        self.trials: list[_Trial] = []
        self.rungs: dict[tuple[int, int], list[Any]] = {}  # (bracket, epochs): the row's other columns

    def apply(self, kind: str, number: int | None, time: float, data: dict[str, Any], text: str) -> None:
        """Raises Damaged where the event cannot have come next."""
        if kind == "proposed":
            if number != len(self.trials) + 1:
                raise Damaged(f"trial {number} is proposed in place of trial {len(self.trials) + 1}")
            self.trials.append(_Trial(data, time, text))
        elif kind == "correlated":
            if (rung := self.rungs.get((data["bracket"], data["rung"]))) is not None:
                rung[2:] = [data.get("correlation"), data.get("corrected"), data["n"]]
        elif number is not None:
            if not 1 <= number <= len(self.trials):
                raise Damaged(f"there is no trial {number}")
            if kind in _LEGAL:
                self._live(self.trials[number - 1], kind, time, data, text)

    def _live(self, trial: _Trial, kind: str, time: float, data: dict[str, Any], text: str) -> None:
        if trial.state not in _LEGAL[kind]:
            raise Damaged(f"{kind} comes after {trial.state}")
        match kind:
            case "epoch":
                epoch = data["epoch"]
                if epoch > _LARGEST_EPOCH:
                    raise Damaged(f"there is no epoch {epoch}")
                trial.drop_after(epoch - 1)
                trial.epochs[epoch], trial.epoch = (text, time), epoch
            case "started":
                resumed = data["resume_epoch"]
                trial.drop_after(resumed)
                trial.states = {epoch: digest for epoch, digest in trial.states.items() if epoch <= resumed}
                trial.state, trial.attempts = "running", trial.attempts + 1
                trial.started = time if trial.started is None else trial.started
            case "saved":
                before = max((epoch for epoch in trial.states if epoch < data["epoch"]), default=None)
                trial.states = {} if before is None else {before: trial.states[before]}
                trial.states[data["epoch"]] = data["digest"]
            case "requeued":
                trial.state, trial.reason = "waiting", data["reason"]
            case "paused":
                trial.state, trial.value, trial.rung, trial.reason = "paused", data["value"], data["rung"], None
                self.rungs.setdefault((data["bracket"], data["rung"]), [0, 0, None, None, 0])[0] += 1
            case "promoted":
                trial.state, trial.value = "waiting", None
                if (rung := self.rungs.get((data["bracket"], data["rung"]))) is not None:
                    rung[1] += 1
            case _:
                trial.state, trial.ended = kind, time
                trial.value, trial.reason = data.get("value"), data.get("reason")


def verify(db: sqlite3.Connection) -> None:
    """Raises Damaged, or sqlite3.Error, where the ledger is not whole. All that it reads is of one moment."""
    db.execute("BEGIN")
    try:
        problem = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise Damaged(str(problem).splitlines()[-1])
        meta = _meta(db)
        objective = Objective.of(meta)
        replay = _replayed(db, objective)
        costs = [name for name in meta.get("objectives") or {} if name != objective.name]
        _compare_trials(db, replay.trials, costs)
        _compare_epochs(db, replay.trials)
        states = {(n, e): (digest,) for n, t in enumerate(replay.trials, 1) for e, digest in t.states.items()}
        _compare(db, "states", "trial, epoch, digest", 2, states, (int, int, str))
        _compare(db, "rungs", "bracket, epochs, trials, promoted, correlation, corrected, n", 2, replay.rungs,
                 (int, int, int, int, float, float, int))  # fmt: skip
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _meta(db: sqlite3.Connection) -> dict[str, Any]:
    try:
        return check_meta(dict(db.execute("SELECT key, value FROM meta")))
    except ValueError as error:
        raise Damaged(str(error)) from None


def _replayed(db: sqlite3.Connection, objective: Objective) -> _Replay:
    replay = _Replay()
    rows = db.execute("SELECT id, time, kind, trial, data FROM events ORDER BY id")
    for expected, (number, time, kind, trial, text) in enumerate(rows, 1):
        if number != expected:
            raise Damaged(f"event {expected} is missing")
        try:
            if not is_time(time) or type(trial) not in (int, type(None)):
                raise ValueError("its time or its trial")
            data = check_event(kind, trial, text, objective)
        except ValueError as error:
            raise Damaged(f"event {number} was not written by archsearch: {error}") from None
        replay.apply(kind, trial, time, data, text)
    return replay


_ROW = (
    "number, state, seed, choices, architecture, digest, cost, attempts, created, started, ended, value, epochs, "
    "reason, rung"
)
_TYPES = (int, str, int, str, str, str, str, int, float, float, float, float, int, str, int)


def _compare_trials(db: sqlite3.Connection, trials: Sequence[_Trial], costs: Iterable[str]) -> None:
    count = 0
    for row in db.execute(f"SELECT {_ROW} FROM trials ORDER BY number"):
        count += 1
        if row[0] != count or count > len(trials):
            raise Damaged(f"no event proposes trial {row[0]}")
        trial, proposal = trials[count - 1], trials[count - 1].proposal
        choices, architecture, digest, cost = row[3:7]
        expected = (count, trial.state, proposal["seed"], choices, architecture, proposal["digest"], cost,
                    trial.attempts, trial.created, trial.started, trial.ended, trial.value, trial.epoch, trial.reason,
                    trial.rung)  # fmt: skip
        if row != expected or not _typed(row, _TYPES) or not _proposed(trial, choices, architecture, digest, cost):
            raise Damaged(f"trial {count} does not match its events")
        if (trial.state in ("finished", "stopped", "paused")) and trial.value is None:
            raise Damaged(f"trial {count} has no value")
        if any(name not in proposal["cost"] for name in costs):
            raise Damaged(f"trial {count} has no value of a cost that is an objective")
    if count != len(trials):
        raise Damaged(f"trial {count + 1} is missing")


def _proposed(trial: _Trial, choices: str, architecture: str, digest: str, cost: str) -> bool:
    """Whether a row's JSON is that of its event: letter by letter, as `Ledger` writes both, or by what it means."""
    proposal = trial.proposal
    text = f'{{"choices":{choices},"architecture":{architecture},"digest":"{digest}","cost":{cost},'
    text += f'"seed":{proposal["seed"]}}}'
    if text == trial.text:
        return True
    try:
        parsed = (decoded(choices), decoded(architecture), decoded(cost))
    except ValueError:
        return False
    return parsed == (proposal["choices"], proposal["architecture"], proposal["cost"])


def _compare_epochs(db: sqlite3.Connection, trials: Sequence[_Trial]) -> None:
    expected = sum(len(trial.epochs) for trial in trials)
    count = 0
    for number, epoch, metrics, time in db.execute("SELECT trial, epoch, metrics, time FROM epochs"):
        count += 1
        kept = trials[number - 1].epochs.get(epoch) if type(number) is int and 1 <= number <= len(trials) else None
        if kept is None or type(epoch) is not int or type(time) is not float or time != kept[1]:
            raise Damaged(f"epoch {epoch} of trial {number} does not match its event")
        if f'{{"epoch":{epoch},"metrics":{metrics}}}' != kept[0] and not _same_metrics(metrics, kept[0]):
            raise Damaged(f"epoch {epoch} of trial {number} does not match its event")
    if count != expected:
        raise Damaged(f"{expected} epochs were measured, but {count} are there")


def _same_metrics(metrics: Any, event: str) -> bool:
    try:
        return bool(decoded(metrics) == decoded(event)["metrics"])
    except ValueError:
        return False


def _compare(
    db: sqlite3.Connection,
    table: str,
    columns: str,
    keys: int,
    expected: Mapping[tuple[int, int], Sequence[Any]],
    types: Sequence[type],
) -> None:
    rows = db.execute(f"SELECT {columns} FROM {table}").fetchall()
    as_told = {key: tuple(values) for key, values in expected.items()}
    if {row[:keys]: row[keys:] for row in rows} != as_told or not all(_typed(row, types) for row in rows):
        raise Damaged(f"its {table} do not match its events")


def _typed(row: Sequence[Any], types: Sequence[type]) -> bool:
    return all(value is None or type(value) is kind for value, kind in zip(row, types, strict=True))
