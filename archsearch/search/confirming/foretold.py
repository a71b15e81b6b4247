"""What a confirmation is going to do, and about how long that takes: told before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsearch.experiment import Epoch, Ledger
from archsearch.reading.durations import spell_duration


def seconds_an_epoch(epochs: Sequence[Epoch]) -> float:
    """The mean over these epochs; 0 where none has its time."""
    seconds = [float(s) for epoch in epochs if (s := epoch.metrics.get("seconds")) is not None]
    return sum(seconds) / len(seconds) if seconds else 0.0


def plan(
    ledger: Ledger, networks: Mapping[str, int], *, seeds: int, epochs: int, random_epochs: int, at_once: int
) -> str:
    """In a line: so many `networks` by what they are, each trained for so many `epochs` with so many `seeds`, `at_once`
    of them at the same time, after a random search of `random_epochs` (0: none). The time is that of the search's own
    epochs."""
    trainings = seeds * sum(networks.values())
    of_best = [epoch for trial in ledger.trials() if trial.epochs >= epochs for epoch in ledger.epochs(trial.number)]
    every = ledger.epochs()
    seconds = trainings * epochs * (seconds_an_epoch(of_best) or seconds_an_epoch(every))
    seconds += random_epochs * seconds_an_epoch(every)
    listed = ", ".join(f"{count} {what}" for what, count in networks.items() if count)
    parts = [
        f"{listed}, each with {seeds} new seed{'s' if seeds != 1 else ''}: {trainings} trainings of {epochs} epochs",
        *([f"preceded by a random search of {random_epochs} epochs"] if random_epochs else []),
        *([f"about {spell_duration(max(1.0, seconds / at_once))} in total"] if seconds else []),
    ]
    return "plan: " + "; ".join(parts)
