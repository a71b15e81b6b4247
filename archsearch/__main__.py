"""The process of the command: `archsearch`, and `python -m archsearch`."""

import os
import signal
import sys
from typing import NoReturn

from archsearch.cli import main


def command() -> NoReturn:
    """Runs the verb of sys.argv and ends the process with its exit code.

    What comes once that is known (Ctrl-C, SIGTERM) ends the process at once, and with the same code: Python and Ray
    take seconds to leave, when everything is written already.
    """
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(code))
    sys.exit(code)


if __name__ == "__main__":
    command()
