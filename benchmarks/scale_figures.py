"""What scale.py makes of a run: its figures, a line of them, the plot."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STEADY = 0.9  # of the trials' starts
TARGET = 0.95


@dataclass
class Tally:
    """What came of a run; times are virtual seconds."""

    service: list[float] = field(default_factory=list)
    by_kind: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by instruction: until sent
    ends: list[float] = field(default_factory=list)  # of the service of each message
    queued: float = 0.0
    starts: list[float] = field(default_factory=list)  # of new trials
    work: list[tuple[float, float]] = field(default_factory=list)  # (from, to) of each step
    waited: float = 0.0
    end: float = 0.0


def figures(tally: Tally, workers: int, *, cpu: float, whole: bool) -> dict[str, Any]:
    """Of a run: shares from 0 to 1, milliseconds, virtual seconds. The beginning, when all workers want their first
    trial at once, is left out; so is the end of a whole search."""
    service, starts = np.array(tally.service), tally.starts
    trials, messages = len(starts), len(service)
    since = starts[min(2 * workers, trials // 2)]
    until = starts[int(STEADY * trials) - 1] if whole else tally.end
    busy = sum(max(0.0, min(end, until) - max(start, since)) for start, end in tally.work)
    inside = np.array([since < at <= until for at in tally.ends])
    pace = sum(since < at <= until for at in starts) / (until - since)
    kinds = {kind: {"n": len(own), "ms": 1000 * float(np.mean(own))} for kind, own in sorted(tally.by_kind.items())}
    tenth = max(1, messages // 10)
    return {
        "workers": workers,
        "trials": trials,
        "window_seconds": until - since,
        "busy": busy / (workers * (until - since)),
        "driver_load": float(service[inside].sum()) / (until - since),
        "ms_a_message": 1000 * float(service[inside].mean()),
        "ms_a_message_99": 1000 * float(np.quantile(service[inside], 0.99)),
        "ms_first_tenth": 1000 * float(service[:tenth].mean()),
        "ms_last_tenth": 1000 * float(service[-tenth:].mean()),
        "most_messages_a_second": 1 / float(service[inside].mean()),
        "messages_a_second": int(inside.sum()) / (until - since),
        "trials_a_second": pace,
        "worker_seconds_a_trial": busy / (pace * (until - since)),
        "most_trials_a_second": pace * (until - since) / float(service[inside].sum()),
        "queue_ms_a_message": 1000 * tally.queued / messages,
        "hours_of_10000": 10_000 / pace / 3600,
        "seconds_until_all_have_begun": starts[min(workers, trials) - 1],
        "virtual_seconds": tally.end,
        "driver_cpu_seconds": cpu,
        "by_kind": kinds,
        "ms_until_train_is_sent": 1000 * float(np.mean(tally.answers["Train"])),
    }


def line(length: str, row: dict[str, Any]) -> str:
    """One run's, for a person."""
    return (
        f"{length}, {row['workers']:>3} workers, {row['trials']} trials: busy {100 * row['busy']:.1f} %, "
        f"driver {100 * row['driver_load']:.1f} %, {row['ms_a_message']:.2f} ms a message "
        f"({row['ms_first_tenth']:.2f} to {row['ms_last_tenth']:.2f}), "
        f"at most {row['most_trials_a_second']:.1f} trials a second; 10,000 trials: {row['hours_of_10000']:.2f} h"
    )


def plot(found: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Utilisation against workers."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    names = {"mean": "60 s a trial on average", "full": "60 s a full training, 16 s a trial on average"}
    for length, rows in found.items():
        at = [row["workers"] for row in rows]
        (drawn,) = axes.plot(at, [100 * row["busy"] for row in rows], "o-", label=f"workers busy: {names[length]}")
        axes.plot(at, [100 * row["driver_load"] for row in rows], "o:", color=drawn.get_color(),
                  label="the driver's load")  # fmt: skip
    axes.axhline(100 * TARGET, color="grey", linewidth=0.8, linestyle="--")
    at = sorted({row["workers"] for rows in found.values() for row in rows})
    axes.set(xscale="log", xlabel="workers", ylabel="% of the time", ylim=(0, 103), xticks=at, xticklabels=map(str, at))
    axes.minorticks_off()
    axes.legend(loc="center left", fontsize=8)
    figure.savefig(file, dpi=120)
