"""The follower's process: `python -m archsearch.tracking FOLDER [--tracking-uri URI] [--since EVENT]`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path


def main() -> None:
    """Follows the ledger of FOLDER until its session ends."""
    parser = argparse.ArgumentParser(prog="python -m archsearch.tracking", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracking-uri", default=None)
    parser.add_argument("--since", type=int, default=0, help="an end recorded up to this event is an older one")
    given = parser.parse_args()
    os.nice(19)  # below the trials: Ray runs its workers at 15
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    from archsearch.experiment import ExperimentFolder
    from archsearch.tracking.follower import TrackingError, follow
    from archsearch.tracking.store import resolve_tracking_uri

    uri = resolve_tracking_uri(given.tracking_uri)
    try:
        follow(ExperimentFolder(given.folder), uri, until_end=True, since=given.since)
    except TrackingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
