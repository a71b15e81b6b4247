"""The process of the command: `archsearch`, and `python -m archsearch`."""

import atexit
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM)


def command() -> NoReturn:
    """Runs the verb of sys.argv and ends the process with its exit code.

    Ctrl-C or SIGTERM before the verb begins, while Python still imports, ends the process at once: with a message, and
    128 and the signal's number (130, 143), as a shell has it. What comes once the exit code is known does so with that
    code: Python and Ray take seconds to leave, when everything is written already.
    """
    codes: list[int] = []
    atexit.register(_end, codes)  # the first to be registered is the last to be called
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a shell's background job
            signal.signal(number, _leave)
    from archsearch.cli import main

    code = main()
    codes.append(code)
    # CPython remembers a Ctrl-C that came inside of an `exec`, as dataclasses are made by, though it was caught since:
    # it would end the process by the signal. The next `exec` makes it forget.
    exec("")
    for number in ENDING:
        signal.signal(number, lambda *_: os._exit(code))
    sys.exit(code)


def _leave(number: int, _: object) -> NoReturn:
    os.write(2, b"archsearch: interrupted\n")
    os._exit(128 + number)


def _end(codes: list[int]) -> None:
    """Ends the process with its exit code, when whatever else was to be done at exit is done, before Python takes
    itself apart: a signal in that moment would be the process's end, and Ray's code in C++ now and then is, by
    SIGSEGV."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # its reader has left, it is closed, there is none
            stream.flush()
    if codes:
        os._exit(codes[0])


if __name__ == "__main__":
    command()
