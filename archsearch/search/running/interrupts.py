"""How a command takes Ctrl-C and SIGTERM: the first one is a KeyboardInterrupt, the next may leave at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _nothing() -> None:
    pass


@contextmanager
def interruptible(
    *signals: signal.Signals, notice: Callable[[], object] = _nothing, leave: Callable[[], object] = _nothing
) -> Iterator[None]:
    """In the block each of `signals` raises KeyboardInterrupt; the handlers before it are back afterwards.

    The first one calls `notice` before, each further one `leave`, which may end the process. In a thread that is not
    the main one the block runs as it is: Python lets the main thread alone take signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        first, interrupted = not interrupted, True
        (notice if first else leave)()
        raise KeyboardInterrupt

    previous = [(number, signal.signal(number, interrupt)) for number in signals]
    try:
        yield
    except (ImportError, SystemError, TypeError) as error:
        # CPython may raise one of these in the interrupt's place, where that comes while an import fails.
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
