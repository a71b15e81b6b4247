"""The follower as a process of its own: a slow, dead or full tracking server is nobody's trouble but its."""

from __future__ import annotations

import os
import subprocess
import sys

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.tracking.process import environment
from archsearch.tracking.store import resolve_tracking_uri


def start_follower(folder: ExperimentFolder, tracking_uri: str | None = None) -> subprocess.Popen[bytes]:
    """Starts `python -m archsearch.tracking`, for a driver that holds its lock, before or behind `begin`.

    In a session of its own, for Ctrl-C in the terminal is the driver's; its words go to tracking.log.
    """
    with Ledger.read(folder.ledger) as ledger:
        since = ledger.last_event()
    uri = resolve_tracking_uri(tracking_uri)
    command = [
        sys.executable,
        "-m",
        "archsearch.tracking",
        str(folder.path.absolute()),
        "--since",
        str(since),
    ]
    handle = folder.open(folder.tracking_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**environment(), "MLFLOW_TRACKING_URI": uri},  # a password has no place in `ps`
        )
    finally:
        os.close(handle)


def drain(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Waits until the follower has sent everything; whether it has. One that has not by then is ended.

    Nothing is lost: `sync`, or the next session's follower, goes on where it stood.
    """
    try:
        return process.wait(timeout) == 0
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return False
