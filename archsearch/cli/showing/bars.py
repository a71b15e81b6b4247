"""A training's progress on stderr: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from archsearch.cli.showing.printing import duration, percent

if TYPE_CHECKING:
    from rich.progress import Progress

    from archsearch.training.loop import EpochMetrics


class TrainingView(Protocol):
    """Whoever shows a training to a person."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Called at the end of an epoch."""

    def step(self, steps_done: int, steps: int) -> None:
        """Called during an epoch: `steps_done` of its `steps` are done."""


@contextmanager
def epochs_shown(epochs: int, stream: TextIO) -> Iterator[TrainingView]:
    """Shows a training of so many epochs on `stream`, until the block ends."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield _Lines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), refresh_per_second=4) as progress:
        yield _Bar(progress, epochs)


def _figures(metrics: EpochMetrics) -> str:
    accuracy = f"validation {percent(metrics.validation_accuracy)}"
    return f"epoch {metrics.epoch}/{metrics.epochs}  loss {metrics.train_loss:.4f}  {accuracy}"


class _Bar:
    def __init__(self, progress: Progress, epochs: int) -> None:
        self._progress, self._epoch = progress, 0
        self._task = progress.add_task(f"epoch 0/{epochs}", total=epochs)

    def epoch(self, metrics: EpochMetrics) -> None:
        self._epoch = metrics.epoch
        self._progress.update(self._task, completed=metrics.epoch, description=_figures(metrics))

    def step(self, steps_done: int, steps: int) -> None:
        # The epoch is only full when its validation is done too.
        self._progress.update(self._task, completed=self._epoch + 0.95 * steps_done / steps)


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._began = stream, time.monotonic()

    def epoch(self, metrics: EpochMetrics) -> None:
        took = duration(time.monotonic() - self._began)
        print(f"{took:>7}  {_figures(metrics)}", file=self._stream, flush=True)

    def step(self, steps_done: int, steps: int) -> None:
        pass
