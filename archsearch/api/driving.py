"""Drives a search and shows it: what a new search, one that goes on, and a drawn sample have in common."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from archsearch.api.sending import tell_backlog, tell_copy
from archsearch.api.showing.board import Board
from archsearch.api.showing.live import watching
from archsearch.api.showing.printing import SHOW_CURSOR, paints, tell
from archsearch.data.images import Progress
from archsearch.experiment import Ledger, Trial
from archsearch.reading.errors import refuse
from archsearch.search.deciding.observer import Observer
from archsearch.search.running.interrupts import interruptible
from archsearch.search.session import Session, drive
from archsearch.space.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who is told of what goes on: `callbacks`, and with `progress` a person (None: the same as True).

    `again` is called at a second Ctrl-C, and may end the process; the search is then as a crash leaves it.
    """

    callbacks: Sequence[Observer] = ()
    progress: bool | None = None
    again: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        for callback in self.callbacks:
            if not isinstance(callback, Observer):
                raise refuse(
                    f"a callback of type {type(callback).__name__}",
                    allowed="objects with the methods phase(text) and trial(trial, metrics): archsearch.Observer",
                    file="callbacks",
                )

    @property
    def saving(self) -> str:
        """What is told at the first Ctrl-C."""
        return "interrupted: saving" + (" (Ctrl-C again exits at once)" if self.again else "")

    @property
    def tell(self) -> Progress:
        """Tells the person a message, on stderr; does nothing without `progress`."""
        return _silent if self.progress is False else tell


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class Several:
    """An observer that passes everything on to several, in their order."""

    observers: Sequence[Observer]

    def phase(self, text: str) -> None:
        """Passes the phase on."""
        for observer in self.observers:
            observer.phase(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """Passes the trial on."""
        for observer in self.observers:
            observer.trial(trial, metrics)


def drive_shown(space: SearchSpace, session: Session, audience: Audience, *, go_on: str) -> dict[str, Any]:
    """Drives the search and shows it; returns its summary.

    `go_on` is what continues the search, for the message after Ctrl-C. Raises what `archsearch.search.session.drive`
    raises, KeyboardInterrupt (once all is saved) among it."""
    folder = session.folder
    with Ledger.read(folder.ledger) as ledger:
        board = Board.of(folder, ledger, space.search, space.resources, epochs=space.training.epochs)
    tell_copy(folder, session.tracking_uri, audience.tell)
    try:
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            stack.enter_context(_interruptible(board, audience))
            view = board if audience.progress is False else stack.enter_context(watching(board))
            summary = drive(replace(session, abandon=_leave), Several([view, *audience.callbacks]))
    except KeyboardInterrupt:
        so_far = f"; best so far {board.best_so_far}" if board.best_so_far else ""
        audience.tell(f"archsearch: interrupted and saved{so_far}; continue with:\n  {go_on}")
        tell_backlog(folder, session.tracking_uri, audience.tell)
        raise
    tell_backlog(folder, session.tracking_uri, audience.tell)
    return summary


def _leave(reason: str) -> None:
    """Ends the process, from another thread than the driver's, which waits for an answer that will not come."""
    if paints():
        os.write(2, SHOW_CURSOR)
    tell(f"archsearch: {reason}\n  hint: `archsearch resume` continues the experiment once a Ray cluster answers")
    sys.stderr.flush()
    os._exit(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings of libraries, here and in workers, are not shown: a person can do nothing about them."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # workers inherit it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            os.environ.pop("PYTHONWARNINGS", None)


@contextmanager
def _interruptible(board: Board, audience: Audience) -> Iterator[None]:
    """The first Ctrl-C saves, which may take seconds; at the next one `audience.again` decides."""

    def notice() -> None:
        board.notice = audience.saving
        if not paints():
            audience.tell(f"archsearch: {audience.saving}")

    try:
        with interruptible(signal.SIGINT, notice=notice, leave=audience.again or (lambda: None)):
            yield
    finally:
        sys.stderr.flush()
