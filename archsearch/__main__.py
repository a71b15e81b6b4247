"""The process of the command: `archsearch`, and `python -m archsearch`."""

import atexit
import os
import signal
import sys
from typing import NoReturn

from archsearch.cli import main

ENDING = (signal.SIGINT, signal.SIGTERM)


def command() -> NoReturn:
    """Runs the verb of sys.argv and ends the process with its exit code.

    What comes once that is known (Ctrl-C, SIGTERM) ends the process at once, and with the same code: Python and Ray
    take seconds to leave, when everything is written already.
    """
    atexit.register(_ignore_signals)  # the first to be registered is the last to be called
    code = main()
    for number in ENDING:
        signal.signal(number, lambda *_: os._exit(code))
    sys.exit(code)


def _ignore_signals() -> None:
    """For the moment in which Python takes itself apart: it has given up its handlers by then, and a signal would be
    the process's end."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    command()
