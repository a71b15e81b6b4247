"""Named points at which a process can be made to die, so that a test can show what a crash there leaves behind.

`ARCHSEARCH_CRASH=NAME` kills the process at the point of that name, `NAME:3` when it passes it for the third
time: with SIGKILL, as the kernel would, so that nothing is cleaned up. Unset, passing one costs a look-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "ARCHSEARCH_CRASH"
# Events of the ledger, before and after the transaction that records them commits. A `note` is any other.
EVENTS = (
    "began", "proposed", "started", "epoch", "saved", "paused", "promoted", "correlated", "finished", "stopped",
    "failed", "requeued", "ended", "note",
)  # fmt: skip
NAMES = frozenset(
    {
        "space-written",  # an experiment's folder has its space.yaml, and no ledger yet
        "ledger-made",  # the ledger is whole under a temporary name
        "file-written",  # any file that is written whole or not at all: under its temporary name
        "file-renamed",  # ... and under its own; the folder is not synced yet
        "state-written",  # a training's state is on disk, and the ledger does not say so yet
        "weights-written",  # the best trial's weights are on disk, and the ledger does not say so yet
        "predictions-written",  # a winner's outputs are on disk, and the ledger does not say so yet
        "parent-created",  # MLflow has a run for the search, and the outbox does not know it
        "run-created",  # MLflow has a run for a trial, and the outbox does not know it
        "run-described",  # a trial's description and first points are sent, and the outbox does not know it
        "points-sent",  # a batch of events is sent, and the outbox does not say so
        "cursor-moved",  # ... and the outbox says so
        "runs-settled",  # the runs' last states are sent
    }
    | {f"{event}-before" for event in EVENTS}
    | {f"{event}-after" for event in EVENTS}
)
_passed: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Dies here if the environment says so. Raises ValueError for a name that is not among NAMES."""
    setting = os.environ.get(VARIABLE)
    if name not in NAMES:
        raise ValueError(f"{name!r} is no crash point")
    if setting is None:
        return
    target, _, time = setting.partition(":")
    if target not in NAMES or not (time or "1").isdecimal():
        raise ValueError(f"{VARIABLE}={setting!r} names no crash point; there are {', '.join(sorted(NAMES))}")
    if target == name:
        _passed[name] += 1
        if _passed[name] == int(time or 1):
            os.kill(os.getpid(), signal.SIGKILL)
