"""How many events a ledger has, at least, in a small file beside it, so that an end that went missing is noticed.

A ledger whose -wal is lost is an older one, and whole. The number is written after each transaction, and not synced: a
power cut may leave a smaller one, which only notices less.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from archsearch.experiment.opening import open_inside

FILE = "ledger.count"
_DIGITS = 20


def read_count(ledger: Path) -> int:
    """The number beside this ledger; 0 where there is none. Raises InputError for a link in its place."""
    try:
        with os.fdopen(open_inside(ledger.parent, ledger.with_name(FILE)), "rb") as file:
            digits = file.read(_DIGITS)
    except FileNotFoundError:
        return 0
    return int(digits) if digits.isdigit() else 0


class EventCount:
    """The number, written by the driver. Making one raises OSError where the file cannot be made."""

    def __init__(self, ledger: Path, events: int) -> None:
        self._handle = open_inside(ledger.parent, ledger.with_name(FILE), os.O_WRONLY | os.O_CREAT)
        self._events = events
        self.add(0)

    def add(self, events: int) -> None:
        """So many more are durable."""
        self._events += events
        with suppress(OSError):  # a full disk
            os.pwrite(self._handle, b"%0*d" % (_DIGITS, self._events), 0)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._handle)
