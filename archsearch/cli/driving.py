"""What `run`, `resume`, `compare` and `confirm` share: Ctrl-C, and a search driven, then its summary printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from archsearch.api.driving import Audience
from archsearch.api.searching import Ready
from archsearch.api.showing.printing import SHOW_CURSOR, paints, stdout_to_stderr
from archsearch.cli.dispatch import DONE, FAILED, INTERRUPTED
from archsearch.cli.showing.summary import show
from archsearch.experiment.suggested import command_of
from archsearch.search.session import Session


def drive_and_show(search: Ready, *, as_json: bool) -> int:
    """Drives the search and prints its summary; returns the exit code. Raises as `drive_shown`, but for Ctrl-C."""
    go_on = command_of(search.session.folder, "resume", *circumstances(search.session))
    try:
        with audience_of_a_command() as audience:
            summary = search.drive(audience, go_on=go_on)
    except KeyboardInterrupt:
        return INTERRUPTED
    show(summary, as_json=as_json)
    return DONE if summary["state"] == "finished" else FAILED


def circumstances(session: Session) -> list[str]:
    """The options of `resume` with which it goes on where and with what this session did."""
    from archsearch.tracking import without_password

    options = ["--root", str(session.root)] if session.root is not None else []
    options += ["--address", session.address] if session.address is not None else []
    options += ["--runtime-env"] if session.runtime_env else []
    return options + (["--tracking-uri", without_password(session.tracking_uri)] if session.tracking_uri else [])


@contextmanager
def audience_of_a_command() -> Iterator[Audience]:
    """The person at the terminal: stdout is for the result alone, and a second Ctrl-C leaves at once."""
    with stdout_to_stderr():
        yield Audience(again=_leave)


def _leave() -> None:
    if paints():
        os.write(2, SHOW_CURSOR)
    os._exit(INTERRUPTED)
