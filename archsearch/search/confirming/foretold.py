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
    ledger: Ledger,
    networks: Mapping[str, int],
    *,
    seeds: int,
    folds: int | None = None,
    epochs: int,
    random_epochs: int,
    at_once: int,
    fine_tuned: Sequence[tuple[int, float]] = (),
) -> str:
    """In a line: so many `networks` by what they are, each trained for so many `epochs` with so many `seeds`, `at_once`
    of them at the same time, after a random search of `random_epochs` (0: none). With `folds` each is trained on every
    one of them, and on the usual split the winner and, at most, all networks that are none of the search's trials, with
    another trial beside random search's. `fine_tuned` are pretrained networks: the epochs of each, and how many times
    the FLOPs of the search's best it has. The time is that of the search's own epochs."""
    first, *others = networks.values()
    trainings = seeds * (first + sum(others))
    if folds is not None:
        final = seeds * (min(first, 2 if networks.get("of random search") else 1) + sum(others))
        trainings = folds * trainings + final
    of_best = [epoch for trial in ledger.trials() if trial.epochs >= epochs for epoch in ledger.epochs(trial.number)]
    every = ledger.epochs()
    seconds = trainings * epochs * (seconds_an_epoch(of_best) or seconds_an_epoch(every))
    seconds += random_epochs * seconds_an_epoch(every)
    repeats = seeds if folds is None else seeds * (folds + 1)
    tuning = sum(repeats * epochs * max(1.0, ratio) for epochs, ratio in fine_tuned)
    seconds += tuning * (seconds_an_epoch(of_best) or seconds_an_epoch(every))
    crossed = "" if folds is None else f" on each of {folds} folds, then the winner and its rivals on the usual split"
    most = "" if folds is None else "at most "
    listed = ", ".join(f"{count} {what}" for what, count in networks.items() if count)
    parts = [
        f"{listed}, each with {seeds} new seed{'s' if seeds != 1 else ''}{crossed}: {most}{trainings} trainings of "
        f"{epochs} epochs",
        *([_fine_tuning(fine_tuned, most, repeats)] if fine_tuned else []),
        *([f"preceded by a random search of {random_epochs} epochs"] if random_epochs else []),
        *([f"about {spell_duration(max(1.0, seconds / at_once))} in total"] if seconds else []),
    ]
    return "plan: " + "; ".join(parts)


def _fine_tuning(networks: Sequence[tuple[int, float]], most: str, repeats: int) -> str:
    """The trainings of pretrained networks, each so many times."""
    count, epochs = len(networks), max(epochs for epochs, _ in networks)
    called = f"{count} pretrained network{'s' if count != 1 else ''}"
    return f"{called} fine-tuned: {most}{count * repeats} trainings of {epochs} epochs"
