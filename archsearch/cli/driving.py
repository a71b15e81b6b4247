"""What `run`, `resume`, `compare` and `confirm` share: Ctrl-C, and a search driven, then its summary printed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from archsearch.api.driving import Audience
from archsearch.api.searching import Ready
from archsearch.api.showing.printing import SHOW_CURSOR, paints, stdout_to_stderr
from archsearch.cli.dispatch import DONE, FAILED, INTERRUPTED
from archsearch.cli.showing.summary import show


def drive_and_show(search: Ready, *, as_json: bool) -> int:
    """Drives the search and prints its summary; returns the exit code. Raises as `drive_shown`, but for Ctrl-C."""
    go_on = f"archsearch resume {shlex.quote(search.session.folder.argument)}"
    try:
        with audience_of_a_command() as audience:
            summary = search.drive(audience, go_on=go_on)
    except KeyboardInterrupt:
        return INTERRUPTED
    show(summary, as_json=as_json)
    return DONE if summary["state"] == "finished" else FAILED


@contextmanager
def audience_of_a_command() -> Iterator[Audience]:
    """The person at the terminal: stdout is for the result alone, and a second Ctrl-C leaves at once."""
    with stdout_to_stderr():
        yield Audience(again=_leave)


def _leave() -> None:
    if paints():
        os.write(2, SHOW_CURSOR)
    os._exit(INTERRUPTED)
