"""The reading half of `Ledger`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from archsearch.experiment.objective import Objective, Sense
from archsearch.experiment.records import (
    Counts,
    Epoch,
    Event,
    Rung,
    Score,
    SearchState,
    State,
    Trial,
    TrialState,
)


class Queries:
    """Queries of an open ledger. Each result is one statement's, hence consistent in itself."""

    _db: sqlite3.Connection

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """The values that `create` was given, with `id` (of the experiment, hex) and `created` (Unix seconds)."""
        return {row["key"]: json.loads(row["value"]) for row in self._db.execute("SELECT * FROM meta")}

    @cached_property
    def objective(self) -> Objective:
        """The metric that the search optimises: a trial's `value` is of it."""
        return Objective.of(self.meta)

    @property
    def id(self) -> str:
        """The experiment's id, which never changes: 32 hex digits."""
        return cast(str, self.meta["id"])

    @property
    def state(self) -> SearchState:
        """The search's state as last recorded: a driver that was killed leaves `running`, so ask
        `ExperimentFolder.is_driven` too."""
        last = self.last_session()
        if last is None:
            return "interrupted"
        return "running" if last.kind == "began" else cast(SearchState, last.data["state"])

    def last_session(self) -> Event | None:
        """The newest event of kind `began` or `ended`; None before the first."""
        sessions = self._events("id = (SELECT MAX(id) FROM events WHERE kind IN ('began', 'ended'))", ())
        return sessions[0] if sessions else None

    def trials(self, state: TrialState | None = None) -> list[Trial]:
        """The trials (in this state) in the order of their numbers."""
        if state is None:
            return self._trials("ORDER BY number")
        return self._trials("WHERE state = ? ORDER BY number", state.value)

    def first(self, state: TrialState) -> Trial | None:
        """The trial of the lowest number among those in this state."""
        return self._first("WHERE state = ? ORDER BY number", state.value)

    def has(self, *states: TrialState) -> bool:
        """Whether any trial is in one of these states: however many there are, a look-up for each state."""
        query = "SELECT EXISTS (SELECT 1 FROM trials WHERE state = ?)"
        return any(self._value(query, state.value) for state in states)

    def trials_as_known(self) -> list[Trial]:
        """The trials in the order of their first score or failure, at a rung or at the end; those without come last."""
        first = (
            "SELECT trial, MIN(id) AS id FROM events WHERE kind IN ('paused', 'finished', 'stopped', 'failed') "
            "GROUP BY trial"
        )
        return self._trials(f"LEFT JOIN ({first}) f ON f.trial = number ORDER BY f.id IS NULL, f.id, number")

    def trial(self, number: int) -> Trial:
        """The trial of this number. Raises KeyError where there is none."""
        trial = self._first("WHERE number = ?", number)
        if trial is None:
            raise KeyError(number)
        return trial

    def epochs(self, number: int | None = None) -> list[Epoch]:
        """The epochs of one trial, or of all; superseded ones are not among them."""
        where, arguments = ("", ()) if number is None else (" WHERE trial = ?", (number,))
        rows = self._db.execute(f"SELECT * FROM epochs{where} ORDER BY trial, epoch", arguments)
        return [Epoch(**{**dict(row), "metrics": json.loads(row["metrics"])}) for row in rows]

    def scores(self) -> list[Score]:
        """The score so far of every trial that has one, in the order of their numbers."""
        query = (
            "SELECT number, epoch, json_extract(metrics, '$.' || ?) AS score FROM trials "
            "JOIN epochs ON trial = number AND epoch = trials.epochs "
            "WHERE state IN ('waiting', 'running') AND score IS NOT NULL"
        )
        rows = self._db.execute(query, (self.objective.validation,))
        newest = {number: (epoch, score) for number, epoch, score in rows}
        scores = (Score.of(trial, newest.get(trial.number)) for trial in self.trials())
        return [score for score in scores if score is not None]

    def changes(self, metric: str, after: int) -> tuple[int, list[Trial], dict[int, dict[int, float | None]]]:
        """What the events with an id above `after` changed, as it is at one moment: the newest event's id, the trials
        that they name, and of each of these a metric by epoch."""
        named = "IN (SELECT trial FROM events WHERE id > ?)" if after else "> ?"  # all of them, where all are new
        curves: dict[int, dict[int, float | None]] = {}
        self._db.execute("BEGIN")
        try:
            query = (
                f"SELECT trial, epoch, json_extract(metrics, '$.' || ?) FROM epochs WHERE trial {named} ORDER BY 1, 2"
            )
            for trial, epoch, value in self._db.execute(query, (metric, after)):
                curves.setdefault(trial, {})[epoch] = value
            return self.last_event(), self._trials(f"WHERE number {named} ORDER BY number", after), curves
        finally:
            self._db.execute("COMMIT")

    def shortest(self) -> int:
        """The epochs of the finished trial that was trained for the fewest; 0 where none has finished."""
        return cast(int, self._value("SELECT COALESCE(MIN(epochs), 0) FROM trials WHERE state = 'finished'"))

    @property
    def epochs_trained(self) -> int:
        """Epochs of all trials together; superseded ones are not among them."""
        return cast(int, self._value("SELECT COUNT(*) FROM epochs"))

    def states(self, number: int) -> list[State]:
        """The states of a trial that were kept, the newest first: two at most."""
        query = "SELECT * FROM states WHERE trial = ? ORDER BY epoch DESC"
        return [State(**dict(row)) for row in self._db.execute(query, (number,))]

    def weights_digest(self, number: int) -> str | None:
        """SHA-256, hex, of the weights that were kept of a finished trial; None of a ledger of an earlier archsearch,
        and of a trial of which none were kept."""
        finished = self.events_of("finished", trial=number)
        return finished[-1].data.get("weights") if finished else None

    def events(self, after: int = 0, limit: int | None = None) -> list[Event]:
        """Events with an id above `after`, oldest first."""
        return self._events("id > ?", (after,), limit)

    def events_of(self, *kinds: str, trial: int | None = None) -> list[Event]:
        """Events of these kinds alone (of one trial, where it is named), oldest first."""
        where = f"kind IN ({', '.join('?' * len(kinds))})"
        return self._events(where + ("" if trial is None else " AND trial = ?"), (*kinds, *filter(None, (trial,))))

    def history(self, number: int) -> list[Event]:
        """All events of a trial, oldest first. Looks through the whole ledger."""
        return self._events("trial = ?", (number,))

    def last_time(self, before: int | None = None) -> float:
        """When the newest event happened, or the newest with an id below `before`; 0 where there is none."""
        query = "SELECT time FROM events WHERE id < ? ORDER BY id DESC LIMIT 1"
        row = self._db.execute(query, (2**62 if before is None else before,)).fetchone()
        return 0.0 if row is None else cast(float, row["time"])

    def driven_seconds(self, before: int = 2**62) -> float:
        """Seconds of all sessions (of those before `before`, the event with which one begins): from each one's
        beginning to its end, or to the last thing that its driver wrote."""
        spent, began = 0.0, None
        for event in self.events_of("began", "ended"):
            if began is not None:
                spent += (event.time if event.kind == "ended" else self.last_time(before=event.id)) - began
            began = event.time if event.kind == "began" else None
            if event.id >= before:
                return spent
        return spent + (self.last_time() - began if began is not None else 0.0)

    def rungs(self) -> list[Rung]:
        """The rungs that a trial has reached, of each bracket from the lowest up."""
        return [Rung(**dict(row)) for row in self._db.execute("SELECT * FROM rungs ORDER BY bracket, epochs")]

    def last_event(self) -> int:
        """The id of the newest event; 0 where there is none."""
        return cast(int, self._value("SELECT COALESCE(MAX(id), 0) FROM events"))

    @property
    def total(self) -> int:
        """Trials so far, in whatever state: their numbers have no gaps."""
        return cast(int, self._value("SELECT COALESCE(MAX(number), 0) FROM trials"))

    def counts(self) -> Counts:
        """The numbers of trials by state, and of rejections."""
        states = dict(self._db.execute("SELECT state, COUNT(*) FROM trials GROUP BY state").fetchall())
        rejected = self._value("SELECT COUNT(*) FROM events WHERE kind = 'rejected'")
        return Counts(rejected=rejected, **states)

    def best(self, sense: Sense | None = None, *, state: TrialState = TrialState.FINISHED) -> Trial | None:
        """The finished (or paused) trial of the highest or the lowest value, never NaN, as `sense` says (None: as the
        search's objective does); of equals the one of the lowest number."""
        order = {"max": "DESC", "min": "ASC"}[sense or self.objective.sense]
        return self._first(f"WHERE state = ? ORDER BY value {order}, number", state.value)

    def _value(self, query: str, *arguments: object) -> Any:
        return self._db.execute(query, arguments).fetchone()[0]

    def _first(self, clauses: str, *arguments: object) -> Trial | None:
        trials = self._trials(f"{clauses} LIMIT 1", *arguments)
        return trials[0] if trials else None

    def _trials(self, clauses: str, *arguments: object) -> list[Trial]:
        return [_trial(row) for row in self._db.execute(f"SELECT trials.* FROM trials {clauses}", arguments)]

    def _events(self, where: str, arguments: Sequence[object], limit: int | None = None) -> list[Event]:
        query = f"SELECT * FROM events WHERE {where} ORDER BY id LIMIT ?"
        rows = self._db.execute(query, (*arguments, -1 if limit is None else limit))
        return [Event(**{**dict(row), "data": json.loads(row["data"])}) for row in rows]


def _trial(row: sqlite3.Row) -> Trial:
    values = dict(row)
    for name in ("choices", "architecture", "cost"):
        values[name] = json.loads(values[name])
    return Trial(**{**values, "state": TrialState(values["state"])})
