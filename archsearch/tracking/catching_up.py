"""Sending later what a tracking store did not take in time: `sync`, and how far a store is behind the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.tracking.address import refuse_unusable_store
from archsearch.tracking.follower import TrackingError, follow
from archsearch.tracking.outbox import Outbox
from archsearch.tracking.store import database_path, resolve_tracking_uri


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
