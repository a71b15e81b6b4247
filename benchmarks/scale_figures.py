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
    queued: float = 0.0
    starts: list[float] = field(default_factory=list)  # of new trials
    work: list[tuple[float, float]] = field(default_factory=list)  # (from, to) of each step
    waited: float = 0.0
    end: float = 0.0


def figures(tally: Tally, workers: int, *, trials: int, cpu: float, finished: int) -> dict[str, Any]:
    """Of a run: shares from 0 to 1, milliseconds, virtual seconds."""
    service, steady = np.array(tally.service), tally.starts[int(STEADY * len(tally.starts)) - 1]
    since = min(start for start, _ in tally.work) if workers > 1 else 0.0
    began = tally.starts[min(workers, len(tally.starts)) - 1] if len(tally.starts) > 2 * workers else since
    busy = sum(max(0.0, min(end, steady) - max(start, began)) for start, end in tally.work)
    messages = len(service)
    worked = sum(end - start for start, end in tally.work)
    pace = (sum(began < at <= steady for at in tally.starts)) / (steady - began)
    kinds = {kind: {"n": len(own), "ms": 1000 * float(np.mean(own))} for kind, own in sorted(tally.by_kind.items())}
    tenth = max(1, messages // 10)
    return {
        "workers": workers,
        "trials": trials,
        "finished": finished,
        "busy": busy / (workers * (steady - began)),
        "busy_to_the_end": worked / (workers * tally.end),
        "driver_load": float(service.sum()) / tally.end,
        "ms_a_message": 1000 * float(service.mean()),
        "ms_a_message_99": 1000 * float(np.quantile(service, 0.99)),
        "ms_first_tenth": 1000 * float(service[:tenth].mean()),
        "ms_last_tenth": 1000 * float(service[-tenth:].mean()),
        "ms_a_trial": 1000 * float(service.sum()) / trials,
        "most_messages_a_second": messages / float(service.sum()),
        "most_trials_a_second": trials / float(service.sum()),
        "messages_a_trial": messages / trials,
        "queue_ms_a_message": 1000 * tally.queued / messages,
        "waiting_share": tally.waited / (workers * tally.end),
        "trials_a_second": pace,
        "hours_of_10000": 10_000 / pace / 3600,
        "seconds": tally.end,
        "driver_cpu_seconds": cpu,
        "by_kind": kinds,
    }


def line(length: str, row: dict[str, Any]) -> str:
    """One run's, for a person."""
    return (
        f"{length}, {row['workers']:>3} workers, {row['trials']} trials: busy {100 * row['busy']:.1f} %, "
        f"driver {100 * row['driver_load']:.1f} %, {row['ms_a_message']:.2f} ms a message "
        f"({row['ms_first_tenth']:.2f} to {row['ms_last_tenth']:.2f}), {row['ms_a_trial']:.1f} a trial; "
        f"10,000 trials: {row['hours_of_10000']:.2f} h"
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
    axes.set(xscale="log", xlabel="workers", ylabel="% of the time", ylim=(0, 103), xticks=at, xticklabels=map(str, at))
    axes.minorticks_off()
    axes.legend(loc="center left", fontsize=8)
    figure.savefig(file, dpi=120)
