"""How often a driver of many lanes is spoken to, and how it listens: what keeps 512 of them from waiting for it.

A message costs the driver's one thread some milliseconds, Ray Tune's part among them (benchmarks/results/scale.md).
So with many lanes each speaks more rarely. Up to 25 lanes nothing changes.
"""

from __future__ import annotations

STEP_SECONDS = 0.5  # short epochs that need no decision are reported together
LONGEST_PAUSE = 0.5  # seconds
A_SECOND = 50  # messages that all lanes together send about epochs that need no decision, and idle ones about nothing
SOONEST = 200  # ... where these have only just become idle


def step_seconds(lanes: int) -> float:
    """For how long a lane trains epochs that need no decision before it reports them."""
    return max(STEP_SECONDS, lanes / A_SECOND)


def pause_after(waits: int, lanes: int = 1) -> float:
    """Seconds until an idle lane asks again, after so many pauses: about a tenth of what it has waited."""
    return min(max(LONGEST_PAUSE, lanes / A_SECOND), max(lanes / SOONEST, 0.01 * 1.1 ** min(waits, 100)))
