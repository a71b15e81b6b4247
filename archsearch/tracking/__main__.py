"""The follower's process: `python -m archsearch.tracking FOLDER [--tracking-uri URI] [--since EVENT]`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archsearch.experiment import ExperimentFolder

ORPHAN_SECONDS = 20


def main() -> None:
    """Follows the ledger of FOLDER until its session ends."""
    parser = argparse.ArgumentParser(prog="python -m archsearch.tracking", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracking-uri", default=None)
    parser.add_argument("--since", type=int, default=0, help="an end recorded up to this event is an older one")
    arguments = parser.parse_args()
    os.nice(19)  # below the trials: Ray runs its workers at 15
    from archsearch.tracking.outbox import without_password

    class Discreet(logging.Formatter):
        """Whatever is logged, by MLflow and urllib3 too: without an address's password."""

        def format(self, record: logging.LogRecord) -> str:
            return without_password(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Discreet("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])

    from archsearch.experiment import ExperimentFolder
    from archsearch.reading.errors import InputError

    folder = ExperimentFolder(arguments.folder)
    threading.Thread(target=_leave_behind, args=(folder,), daemon=True).start()
    from archsearch.tracking.follower import TrackingError, follow
    from archsearch.tracking.store import resolve_tracking_uri

    uri = resolve_tracking_uri(arguments.tracking_uri)
    try:
        follow(folder, uri, until_end=True, since=arguments.since)
    except (TrackingError, InputError) as error:
        sys.exit(str(error))


def _leave_behind(folder: ExperimentFolder) -> None:
    """Ends this process, whatever it is at, some seconds after its driver was killed: nobody waits for it. A driver
    that ends in order waits itself. What is not sent then, `sync` sends."""
    was_driven, seconds = False, 0
    while seconds < ORPHAN_SECONDS:
        if folder.is_driven():
            was_driven, seconds = True, 0
        else:
            seconds += was_driven
        time.sleep(1)
    logging.getLogger("archsearch.tracking").warning("the driver has ended; `archsearch sync` sends the rest")
    os._exit(1)


if __name__ == "__main__":
    main()
