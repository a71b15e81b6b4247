"""The time of day, as it was when the process began and counted on from there: no setting of the clock moves it."""

from __future__ import annotations

import time

# Counts on while the machine sleeps, where the system has such a clock: eight hours of wall time end in the morning.
_RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _count() -> float:
    return time.clock_gettime(_RUNNING)


_BEGAN = time.time() - _count()


def steady() -> float:
    """Unix seconds. Differences are true, also where somebody sets the clock by an hour meanwhile."""
    return _BEGAN + _count()
