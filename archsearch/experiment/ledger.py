"""The ledger: what happened in a search, in one SQLite file, durable before anything is built on it.

An append-only list of events is the truth. The tables of trials, epochs and rungs are what the events add up
to, kept in the same transaction, so that a crash at any point leaves both or neither. One driver writes (see
`ExperimentFolder.driver_lock`), from the thread that opened the ledger; any number of processes read.
"""

from __future__ import annotations

import math
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from archsearch.experiment.counting import EventCount
from archsearch.experiment.crash import EVENTS, crash_point
from archsearch.experiment.queries import Queries
from archsearch.experiment.records import Scalar, Trial, TrialState, trial_id
from archsearch.experiment.schema import connect, create_file, dumps, translated
from archsearch.experiment.steady import steady

# Kinds that change what the ledger says: `note` may not write them.
_OURS = frozenset(
    {"began", "ended", "proposed", "rejected", "started", "epoch", "saved", "requeued", "promoted", "correlated"}
) | frozenset(state.value for state in TrialState)
_NOTHING: Mapping[str, Any] = {}
_CLOSES = {
    TrialState.FINISHED: (TrialState.RUNNING,),
    TrialState.STOPPED: (TrialState.PAUSED,),
    TrialState.FAILED: (TrialState.RUNNING, TrialState.WAITING),
}


class IllegalTransition(RuntimeError):
    """A trial was asked to go where its state does not lead. The ledger is as it was."""


class Ledger(Queries):
    """Made by `create`, `open` or `read`; a context manager that closes the file.

    Every writing method is one durable transaction. A full disk raises OSError (ENOSPC) and changes nothing.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, clock: Callable[[], float]) -> None:
        self._db, self.path, self._clock = db, path, clock
        self._counter: EventCount | None = None  # where this ledger is written
        self._kinds: list[str] = []  # of the events of the transaction at hand
        self._beforehand: list[Callable[[], object]] = []
        self._afterwards: list[Callable[[], object]] = []

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, Any], *, clock: Callable[[], float] = steady) -> Self:
        """A new ledger; `meta` is any JSON. Raises InputError where a file stands or none can be written.

        Of `meta` tracking reads `space` (the search space's name) and `name` (the experiment's).
        """
        create_file(path, {**meta, "id": uuid.uuid4().hex, "created": clock()})
        return cls.open(path, clock=clock)

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float] = steady) -> Self:
        """For the driver: reads and writes. Raises InputError."""
        ledger = cls(connect(path, writable=True), path, clock)
        ledger._counter = EventCount(path, ledger.last_event())
        return ledger

    @classmethod
    def read(cls, path: Path) -> Self:
        """For everybody else: reads, also while a driver writes or when one was killed. Raises InputError."""
        return cls(connect(path, writable=False), path, steady)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; every write was durable already."""
        self._db.close()
        if self._counter is not None:
            self._counter.close()

    # ---- the search

    def begin(self, data: Mapping[str, Any] | None = None) -> None:
        """A driver begins a session: the first, or a resumed one."""
        with self.transaction():
            self._append("began", None, data or {})

    def end(self, state: Literal["finished", "interrupted", "failed"], data: Mapping[str, Any] | None = None) -> None:
        """The driver's session ends."""
        if state not in ("finished", "interrupted", "failed"):
            raise ValueError(f"a session ends finished, interrupted or failed, not {state!r}")
        with self.transaction():
            self._append("ended", None, {**(data or {}), "state": state})

    def note(self, kind: str, data: Mapping[str, Any], trial: int | None = None) -> None:
        """Appends an event of another kind, such as `tested`. Raises ValueError for a kind of the ledger's own."""
        if kind in _OURS or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", kind):
            raise ValueError(f"{kind!r} is no kind of note")
        with self.transaction():
            self._append(kind, trial, data)

    # ---- proposals

    def propose(
        self,
        *,
        choices: Mapping[str, Scalar],
        architecture: Mapping[str, Any],
        digest: str,
        cost: Mapping[str, float],
        seed: int,
    ) -> Trial:
        """A new trial, waiting. Numbers count from 1 without a gap."""
        if not -(2**63) <= seed < 2**63:
            raise ValueError(f"seed {seed} does not fit 64 bits")
        with self.transaction():
            number = self._db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM trials").fetchone()[0]
            proposal, time = {"choices": choices, "architecture": architecture, "digest": digest}, self._clock()
            # Before its event: while an event waits for its trial, SQLite looks through all events at each new trial.
            self._db.execute(
                "INSERT INTO trials (number, state, seed, choices, architecture, digest, cost, created) "
                "VALUES (?, 'waiting', ?, ?, ?, ?, ?, ?)",
                (number, seed, dumps(choices), dumps(architecture), digest, dumps(cost), time),
            )
            self._append("proposed", number, {**proposal, "cost": cost, "seed": seed}, time)
            return self.trial(number)

    def reject(
        self, *, choices: Mapping[str, Scalar], violations: Mapping[str, float], cost: Mapping[str, int]
    ) -> None:
        """A proposal out of budget; never a trial. Many at once belong in one `transaction`."""
        with self.transaction():
            self._append("rejected", None, {"choices": choices, "violations": violations, "cost": cost})

    # ---- a trial's life; all raise IllegalTransition

    def start(self, number: int, *, resume_epoch: int = 0) -> None:
        """waiting -> running. What an earlier attempt did after `resume_epoch` is superseded: dropped."""
        with self.transaction():
            self._expect(number, TrialState.WAITING, to=TrialState.RUNNING)
            time = self._append("started", number, {"resume_epoch": resume_epoch})
            self._supersede(number, resume_epoch)
            self._db.execute("DELETE FROM states WHERE trial = ? AND epoch > ?", (number, resume_epoch))
            # The first attempt's start stays the trial's: its cost in time includes what was lost.
            running = "state = 'running', attempts = attempts + 1, started = COALESCE(started, ?)"
            self._set(number, running, time)

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """One epoch (from 1) of a running trial. A metric that is not finite is stored as null."""
        if epoch < 1:
            raise ValueError(f"epoch {epoch}: epochs count from 1")
        stored = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
        with self.transaction():
            self._expect(number, TrialState.RUNNING, to=TrialState.RUNNING)
            time = self._append("epoch", number, {"epoch": epoch, "metrics": stored})
            self._supersede(number, epoch - 1)
            self._db.execute("INSERT INTO epochs VALUES (?, ?, ?, ?)", (number, epoch, dumps(stored), time))
            self._set(number, "epochs = ?", epoch)

    def finish(self, number: int, value: float, *, weights: str | None = None) -> None:
        """running -> finished; `weights` is the SHA-256 of its weights where they are kept. Raises ValueError for a
        value that is not finite: such a trial has failed."""
        more = {} if weights is None else {"weights": weights}
        self._close_trial(number, TrialState.FINISHED, _finite(value), None, more)

    def state_kept(self, number: int, epoch: int, digest: str) -> None:
        """The state of a running trial after `epoch` is on disk; `digest` is its SHA-256. Of the earlier states the
        last is kept."""
        with self.transaction():
            self._expect(number, TrialState.RUNNING, to=TrialState.RUNNING)
            self._append("saved", number, {"epoch": epoch, "digest": digest})
            before = "SELECT MAX(epoch) FROM states WHERE trial = ? AND epoch < ?"
            gone = f"DELETE FROM states WHERE trial = ? AND epoch IS NOT ({before})"
            self._db.execute(gone, (number, number, epoch))
            self._db.execute("INSERT INTO states VALUES (?, ?, ?)", (number, epoch, digest))

    def pause(self, number: int, value: float, *, rung: int, bracket: int = 0) -> None:
        """running -> paused, at the rung of so many epochs. Raises ValueError for a value that is not finite."""
        data = {"value": _finite(value), "rung": rung, "bracket": bracket}
        with self.transaction():
            self._expect(number, TrialState.RUNNING, to=TrialState.PAUSED)
            self._append("paused", number, data)
            self._set(number, "state = 'paused', value = ?, rung = ?, reason = NULL", value, rung)
            self._db.execute(
                "INSERT INTO rungs (bracket, epochs, trials) VALUES (?, ?, 1) "
                "ON CONFLICT DO UPDATE SET trials = trials + 1",
                (bracket, rung),
            )

    def promote(self, number: int, *, bracket: int = 0, data: Mapping[str, Any] | None = None) -> None:
        """paused -> waiting: the trial goes on above its rung. `data` says why, in JSON."""
        with self.transaction():
            self._expect(number, TrialState.PAUSED, to=TrialState.WAITING)
            rung = self.trial(number).rung
            self._append("promoted", number, {**(data or {}), "rung": rung, "bracket": bracket})
            self._set(number, "state = 'waiting', value = NULL")
            self._db.execute(
                "UPDATE rungs SET promoted = promoted + 1 WHERE bracket = ? AND epochs = ?", (bracket, rung)
            )

    def correlate(
        self, rung: int, correlation: float | None, n: int, *, corrected: float | None = None, bracket: int = 0
    ) -> None:
        """How far a rung that trials have reached is in the order of the next one (see `Rung`)."""
        with self.transaction():
            data = {"rung": rung, "bracket": bracket, "correlation": correlation, "corrected": corrected, "n": n}
            self._append("correlated", None, data)
            self._db.execute(
                "UPDATE rungs SET correlation = ?, corrected = ?, n = ? WHERE bracket = ? AND epochs = ?",
                (correlation, corrected, n, bracket, rung),
            )

    def stop(self, number: int, value: float, reason: str) -> None:
        """paused -> stopped: it was never promoted. Raises ValueError for a value that is not finite."""
        self._close_trial(number, TrialState.STOPPED, _finite(value), reason)

    def fail(self, number: int, reason: str) -> None:
        """running or waiting -> failed."""
        self._close_trial(number, TrialState.FAILED, None, reason)

    def requeue(self, number: int, reason: str) -> None:
        """running -> waiting: its worker died, or the driver did. Its epochs stay until it starts again."""
        with self.transaction():
            self._expect(number, TrialState.RUNNING, to=TrialState.WAITING)
            self._append("requeued", number, {"reason": reason})
            self._set(number, "state = 'waiting', reason = ?", reason)

    # ---- writing

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes every write inside it one: all or none, with a single fsync."""
        if self._db.in_transaction:
            yield
            return
        with translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            self._kinds.clear()
            self._afterwards.clear()
            self._beforehand.clear()
            try:
                yield
                for act in self._beforehand:
                    act()
                self._pass_by("before")
                self._db.execute("COMMIT")
                if self._counter is not None:
                    self._counter.add(len(self._kinds))
            except BaseException:
                # SQLite itself rolls back on some errors, a full disk among them.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._pass_by("after")
        acts, self._afterwards = self._afterwards, []
        with ExitStack() as stack:  # all of them, though one may raise
            for act in reversed(acts):
                stack.callback(act)

    def beforehand(self, act: Callable[[], object]) -> None:
        """Does it before the transaction at hand is made durable, or now where there is none: waits for a file that the
        ledger is about to name. What it raises undoes the transaction."""
        if self._db.in_transaction:
            self._beforehand.append(act)
        else:
            act()

    def afterwards(self, act: Callable[[], object]) -> None:
        """Does it once the transaction at hand is durable, or now where there is none: what removes a file that the
        ledger named until then. It may write nothing here; of a transaction that failed it is not done."""
        if self._db.in_transaction:
            self._afterwards.append(act)
        else:
            act()

    def _pass_by(self, when: str) -> None:
        for kind in dict.fromkeys(self._kinds):
            crash_point(f"{kind if kind in EVENTS else 'note'}-{when}")

    def _append(self, kind: str, trial: int | None, data: Mapping[str, Any], time: float | None = None) -> float:
        time = self._clock() if time is None else time
        row = (time, kind, trial, dumps(data))
        self._db.execute("INSERT INTO events (time, kind, trial, data) VALUES (?, ?, ?, ?)", row)
        self._kinds.append(kind)
        return time

    def _expect(self, number: int, *states: TrialState, to: TrialState) -> None:
        row = self._db.execute("SELECT state FROM trials WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise IllegalTransition(f"there is no trial {number}")
        if row["state"] not in states:
            raise IllegalTransition(f"{trial_id(number)} is {row['state']}: it cannot become {to}")

    def _close_trial(
        self, number: int, to: TrialState, value: float | None, reason: str | None, more: Mapping[str, Any] = _NOTHING
    ) -> None:
        with self.transaction():
            self._expect(number, *_CLOSES[to], to=to)
            time = self._append(to.value, number, {"value": value, "reason": reason, **more})
            self._set(number, "state = ?, value = ?, reason = ?, ended = ?", to.value, value, reason, time)

    def _supersede(self, number: int, keep: int) -> None:
        self._db.execute("DELETE FROM epochs WHERE trial = ? AND epoch > ?", (number, keep))
        self._set(number, "epochs = MIN(epochs, ?)", keep)

    def _set(self, number: int, columns: str, *values: object) -> None:
        self._db.execute(f"UPDATE trials SET {columns} WHERE number = ?", (*values, number))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a trial's value must be finite, not {value}: it has failed")
    return float(value)
