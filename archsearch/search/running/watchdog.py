"""A process that does not get through a block in time ends itself, whatever it hangs in."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def killed_after(seconds: float) -> Iterator[None]:
    """The process ends with exit code 1, every thread's stack on stderr, unless the block ends within `seconds`.

    A thread of the interpreter's, in C, keeps the time, by the monotonic clock: neither a call that keeps the
    interpreter's lock nor a handler for SIGTERM is in its way. Whoever waits for the process sees that it died.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=_stderr())
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _stderr() -> int:
    """The file descriptor of standard error: sys.stderr may be a stream without a file, as pytest's."""
    return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
