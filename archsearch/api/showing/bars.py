"""A training's progress on stderr: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archsearch.api.showing.notebook import EpochLine
from archsearch.api.showing.printing import figures, is_notebook, paints, tell_progress
from archsearch.reading.escaping import unescaped

if TYPE_CHECKING:
    from rich.progress import Progress

    from archsearch.training.loop import EpochMetrics


EVERY = 10.0  # seconds, at least, between two lines within an epoch


@contextmanager
def epochs_shown(epochs: int) -> Iterator[Bar | Lines | EpochLine]:
    """Shows a training of so many epochs on stderr or in a notebook, until the block ends."""
    if is_notebook():
        yield EpochLine(epochs)
        return
    if not paints():
        yield Lines(epochs)
        return
    with progress_bars() as progress:
        yield Bar(progress, epochs)


def progress_bars(*, transient: bool = False) -> Progress:
    """rich's bars on stderr, each with its description and times; transient ones leave no trace."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=unescaped(sys.stderr)), refresh_per_second=4, transient=transient)


class Bar:
    """A bar of epochs."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self._progress, self._epoch, self._epochs = progress, 0, epochs
        self._task = progress.add_task("getting ready", total=epochs)

    def begin(self, epochs_done: int) -> None:
        """Shows which epoch is the first, after those of an interrupted training."""
        self._epoch = epochs_done
        self._progress.update(self._task, completed=epochs_done, description=f"epoch {epochs_done + 1}/{self._epochs}")

    def epoch(self, metrics: EpochMetrics) -> None:
        """Moves the bar to the end of an epoch."""
        self._epoch = metrics.epoch
        self._progress.update(self._task, completed=metrics.epoch, description=figures(metrics))

    def step(self, steps_done: int, steps: int) -> None:
        """Moves the bar within an epoch, which is only full when its validation is done too."""
        self._progress.update(self._task, completed=self._epoch + 0.95 * steps_done / steps)


class Lines:
    """A line before the first epoch, one an epoch, and in a long one a line every EVERY seconds."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._epoch = epochs, 0
        self._began = self._told = time.monotonic()

    def begin(self, epochs_done: int) -> None:
        """Prints which epoch is the first, after those of an interrupted training."""
        self._epoch = epochs_done
        more = " goes on" if epochs_done else " begins"
        self._tell(f"epoch {epochs_done + 1}/{self._epochs}{more}")

    def epoch(self, metrics: EpochMetrics) -> None:
        """Prints the epoch that has ended."""
        self._epoch = metrics.epoch
        self._tell(figures(metrics))

    def step(self, steps_done: int, steps: int) -> None:
        """Prints how far the epoch is, unless a line was printed a short time ago."""
        if time.monotonic() - self._told >= EVERY:
            self._tell(f"epoch {self._epoch + 1}/{self._epochs}  step {steps_done} of {steps}")

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        tell_progress(self._told - self._began, text)
