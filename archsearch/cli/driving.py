"""What `run`, `resume` and `compare` share: drive a search, show it, take Ctrl-C, print its summary."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from archsearch.cli.dispatch import DONE, FAILED, INTERRUPTED
from archsearch.cli.reporting import report_at_the_end
from archsearch.cli.showing.board import Board
from archsearch.cli.showing.live import watching
from archsearch.cli.showing.printing import paints, stdout_to_stderr, tell
from archsearch.cli.showing.summary import show
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.running.interrupts import interruptible
from archsearch.search.session import Session, drive
from archsearch.space.space import SearchSpace

SAVING = "interrupted: saving (Ctrl-C again leaves at once)"
SHOW_CURSOR = b"\033[?25h\n"  # the live table hides it


def drive_and_show(space: SearchSpace, session: Session, *, as_json: bool) -> int:
    """Drives the search, prints its summary, writes its report; returns the exit code. Raises as `drive_shown`."""
    summary = drive_shown(space, session, go_on=f"archsearch resume {shlex.quote(session.folder.argument)}")
    if summary is None:
        return INTERRUPTED
    report_at_the_end(session.folder)
    show(summary, as_json=as_json)
    return DONE if summary["state"] == "finished" else FAILED


def drive_shown(space: SearchSpace, session: Session, *, go_on: str) -> dict[str, Any] | None:
    """Drives the search and shows it on stderr; returns its summary, None after Ctrl-C.

    `go_on` is the command that continues the search, for the message after Ctrl-C. Raises what
    `archsearch.search.session.drive` raises, but for KeyboardInterrupt."""
    folder = session.folder
    with Ledger.read(folder.ledger) as ledger:
        board = Board.of(folder, ledger, space.search, epochs=space.training.epochs, gpus=space.resources.gpu_share)
    try:
        with ExitStack() as stack:
            stack.enter_context(stdout_to_stderr())
            stack.enter_context(_quiet())
            stack.enter_context(_interruptible(board))
            observer = stack.enter_context(watching(board))
            summary: dict[str, Any] | None = drive(replace(session, abandon=_leave), observer)
    except KeyboardInterrupt:
        tell(f"archsearch: interrupted and saved; go on with:\n  {go_on}")
        summary = None
    _tell_backlog(folder, session.tracking_uri)
    return summary


def _leave(reason: str) -> None:
    """Ends the process, from another thread than the driver's, which waits for an answer that will not come."""
    if paints():
        os.write(2, SHOW_CURSOR)
    tell(f"archsearch: {reason}\n  hint: `archsearch resume` goes on with the experiment, on a Ray that answers")
    sys.stderr.flush()
    os._exit(FAILED)


def _tell_backlog(folder: ExperimentFolder, tracking_uri: str | None) -> None:
    """Tells how many events MLflow has not received, and the command that sends them; nothing where it has all."""
    from archsearch.tracking import backlog

    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.total
    behind = 0
    with suppress(OSError):  # on a full disk nobody can tell, and something else was said
        behind = backlog(folder, tracking_uri) if trials else 0
    if behind:
        tell(f"MLflow is {behind:,} events behind; send them with:\n  archsearch sync {shlex.quote(folder.argument)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings of libraries, here and in workers, are not shown: a person can do nothing about them."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # workers inherit it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _interruptible(board: Board) -> Iterator[None]:
    """The first Ctrl-C saves, which may take seconds; the next one ends the process. The ledger is always whole."""

    def notice() -> None:
        board.notice = SAVING
        if not paints():
            tell(f"archsearch: {SAVING}")

    def leave() -> None:
        if paints():
            os.write(2, SHOW_CURSOR)
        os._exit(INTERRUPTED)

    try:
        with interruptible(signal.SIGINT, notice=notice, leave=leave):
            yield
    finally:
        sys.stderr.flush()
