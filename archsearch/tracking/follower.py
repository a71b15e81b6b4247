"""MLflow follows the ledger: events after a cursor become runs, points, tags and states, each exactly once.

Exactly once, because the points carry the ledger's times (MLflow keeps one of two equal points), because a
run is looked for by its tags before it is created, and because the cursor moves only after its batch was taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from archsearch.experiment import ExperimentFolder, Ledger, crash_point
from archsearch.reading.errors import InputError
from archsearch.tracking.address import refuse_unusable_store
from archsearch.tracking.outbox import Outbox
from archsearch.tracking.process import quiet_mlflow
from archsearch.tracking.sender import Sender, in_a_line
from archsearch.tracking.store import Store, database_path, resolve_tracking_uri

_log = logging.getLogger("archsearch.tracking")
_POLL = 0.5  # seconds
_ORPHAN_PATIENCE = 15.0  # seconds of failures after which a follower without a driver gives up
_LOCK_PATIENCE, _DRIVEN_PATIENCE = 10.0, 1.0  # seconds until another sender is believed to stay


class TrackingError(RuntimeError):
    """The tracking store could not be reached or would not take the search. `sync` may be tried again."""


class BeingSent(TrackingError):
    """Another process is sending the experiment: its driver's follower, or another `sync`."""


def follow(folder: ExperimentFolder, tracking_uri: str, *, until_end: bool, since: int = 0) -> list[str]:
    """Sends the ledger's events to the store; returns what the store refused for good, a message each.

    until_end: until the session ends (an `ended` event with an id above `since`) or its driver is gone, trying
    for ever while the driver lives. Otherwise: what there is now. Raises TrackingError after three failures, or
    15 s of them without a driver, BeingSent where another process sends, and InputError for a link in the folder.
    """
    patience = _DRIVEN_PATIENCE if folder.is_driven() else _LOCK_PATIENCE
    with _sole_sender(folder, None if until_end else patience), Ledger.read(folder.ledger) as ledger, quiet_mlflow():
        delay, failures, failing_since = 0.5, 0, 0.0
        while folder.ledger.exists():
            try:
                return _pass(folder, tracking_uri, ledger, until_end=until_end, since=since)
            except InputError:
                raise
            except Exception as error:
                failures += 1
                failing_since = failing_since if failures > 1 else time.monotonic()
                _log.warning("%s: %s", type(error).__name__, in_a_line(error))
                if not until_end and failures >= 3:
                    raise TrackingError(f"the tracking store does not answer: {in_a_line(error)}") from error
                orphan = not folder.is_driven() and time.monotonic() - failing_since > _ORPHAN_PATIENCE
                if until_end and orphan:
                    raise TrackingError("given up: the driver has ended and the store does not answer") from error
            time.sleep(delay)
            delay = min(delay * 2, 15.0)
    return []  # the experiment was deleted


def _pass(folder: ExperimentFolder, tracking_uri: str, ledger: Ledger, *, until_end: bool, since: int) -> list[str]:
    """Opens the store and sends until the session ends; what was refused. Raises the first failure."""
    with Outbox(folder.outbox, tracking_uri) as outbox:
        sender = Sender(folder, ledger, outbox, Store(tracking_uri))
        while True:
            # Asked before the events are read: what a driver wrote last is then among them.
            driven = folder.is_driven()
            if sender.send():
                continue
            over = not until_end or not driven or _ended(ledger, since)
            if over:
                if not driven or ledger.state != "running":
                    sender.settle(driven=driven)
                    crash_point("runs-settled")
                return sender.refused
            time.sleep(_POLL)


def _ended(ledger: Ledger, since: int) -> bool:
    last = ledger.last_session()
    return last is not None and last.kind == "ended" and last.id > since


@contextlib.contextmanager
def _sole_sender(folder: ExperimentFolder, patience: float | None) -> Iterator[None]:
    """One sender an experiment: two would each create the run that neither has listed."""
    with os.fdopen(folder.open(folder.tracking_lock, os.O_WRONLY | os.O_CREAT), "wb") as file:
        until = None if patience is None else time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if until is not None and time.monotonic() > until:
                    raise BeingSent("another process is sending this experiment") from None
                time.sleep(0.2)
        yield


# ---- sending later what a store did not take in time


@dataclass(frozen=True, kw_only=True)
class Sent:
    """How many of the ledger's events a store has taken now, how many remain, and what it will never take."""

    sent: int
    remaining: int
    refused: list[str]


def sync(folder: ExperimentFolder, tracking_uri: str | None = None) -> Sent:
    """Sends what is not sent yet, now and in this process.

    Raises TrackingError where the store does not answer or is not there, InputError for a folder, in which MLflow keeps
    runs no more, and for a file that cannot be opened, and BeingSent where another process sends already: the follower
    of a driver at work, or another `sync`. What was sent until then is not sent again.
    """
    uri = resolve_tracking_uri(tracking_uri)
    try:
        refuse_unusable_store(uri)
    except InputError as error:
        if (database := database_path(uri)) is None or database.exists():
            raise
        raise TrackingError(error.problems[0].message) from error  # a share that is away now: nothing is wrong with it
    before = backlog(folder, uri)
    with Ledger.read(folder.ledger) as ledger:
        last = ledger.last_event()
    refused = follow(folder, uri, until_end=False)
    remaining = backlog(folder, uri)
    with Ledger.read(folder.ledger) as ledger:
        added = ledger.last_event() - last
    return Sent(sent=before + added - remaining, remaining=remaining, refused=refused)


def backlog(folder: ExperimentFolder, tracking_uri: str | None = None) -> int:
    """How many of the ledger's events the store has not taken yet. Asks the outbox, not the store."""
    with Ledger.read(folder.ledger) as ledger:
        last = ledger.last_event()
    return last - min(last, Outbox.peek(folder, resolve_tracking_uri(tracking_uri)).cursor)


def copied_from(folder: ExperimentFolder, tracking_uri: str | None = None) -> str | None:
    """The folder of which this one is a copy that MLflow has not been told of; None where it is none."""
    return Outbox.peek(folder, resolve_tracking_uri(tracking_uri)).identity.original
