"""A training's progress on stderr: a bar on a terminal, a line an epoch elsewhere."""

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


@contextmanager
def epochs_shown(epochs: int) -> Iterator[Bar | Lines | EpochLine]:
    """Shows a training of so many epochs on stderr or in a notebook, until the block ends."""
    if is_notebook():
        yield EpochLine(epochs)
        return
    if not paints():
        yield Lines()
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
        self._progress, self._epoch = progress, 0
        self._task = progress.add_task(f"epoch 0/{epochs}", total=epochs)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Moves the bar to the end of an epoch."""
        self._epoch = metrics.epoch
        self._progress.update(self._task, completed=metrics.epoch, description=figures(metrics))

    def step(self, steps_done: int, steps: int) -> None:
        """Moves the bar within an epoch, which is only full when its validation is done too."""
        self._progress.update(self._task, completed=self._epoch + 0.95 * steps_done / steps)


class Lines:
    """A line an epoch."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def epoch(self, metrics: EpochMetrics) -> None:
        """Prints the epoch that has ended."""
        tell_progress(time.monotonic() - self._began, figures(metrics))

    def step(self, steps_done: int, steps: int) -> None:
        """Prints nothing: a line a step would be too many."""
