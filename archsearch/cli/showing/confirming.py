"""A confirmation's progress on stderr: bars on a terminal, a line a training elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archsearch.cli.showing.board import Board
from archsearch.cli.showing.live import paints, watching
from archsearch.cli.showing.printing import duration, percent, tell
from archsearch.experiment import ExperimentFolder, Ledger

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from archsearch.search.confirming.confirm import ConfirmationObserver
    from archsearch.search.confirming.retraining import Outcome, Run
    from archsearch.search.deciding.observer import Observer
    from archsearch.space.space import SearchSpace


@contextmanager
def showing_confirmation(epochs: int) -> Iterator[ConfirmationObserver]:
    """Shows a confirmation whose trainings have so many epochs, until the block ends."""
    if not paints():
        yield Lines()
        return
    bars = Bars(epochs)
    try:
        yield bars
    finally:
        bars.close()


class _Shared:
    """What both views know: the names of the compared networks, and how many trainings have ended."""

    def __init__(self) -> None:
        self._names: Mapping[str, str] = {}
        self._ended = self._planned = 0

    def comparing(self, names: Mapping[str, str]) -> None:
        """Keeps the networks' names, by their keys."""
        self._names = names

    @contextmanager
    def searching(self, space: SearchSpace, folder: ExperimentFolder) -> Iterator[Observer]:
        """Shows random search as every search is shown."""
        with Ledger.read(folder.ledger) as ledger:
            trials, name = ledger.trials(), str(ledger.meta.get("name", folder.name))
        board = Board(name=name, planned=space.search.trials, epochs=space.training.epochs)
        board.restore(trials)
        with watching(board) as observer:
            yield observer

    def _plan(self, runs: Sequence[Run], ended: int) -> str:
        self._ended, self._planned = ended, ended + len(runs)
        earlier = f"; {ended} are done already" if ended else ""
        return f"{self._planned} trainings of {len(self._names)} networks{earlier}"

    def _title(self, run: Run) -> str:
        return f"{self._names.get(run.key, run.key)} seed {run.seed}"

    def _end(self, outcome: Outcome) -> str:
        self._ended += 1
        result = outcome.result
        text = f"validation {percent(result['validation']['accuracy'])}" if result else outcome.failed
        return f"{self._title(outcome.run)}: {text}; {self._ended} of {self._planned}"


class Lines(_Shared):
    """A line a phase and a line a training."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def phase(self, text: str) -> None:
        """Prints the phase, after the time since the start."""
        tell(f"{duration(time.monotonic() - self._began):>7}  {text}")

    def planned(self, runs: Sequence[Run], *, done: int) -> None:
        """Prints how many trainings there are in all."""
        self.phase(self._plan(runs, done))

    def epoch(self, run: Run, epoch: int, accuracy: float) -> None:
        """Prints nothing: a line an epoch would be too many."""

    def ended(self, outcome: Outcome) -> None:
        """Prints what the training came to."""
        self.phase(self._end(outcome))


class Bars(_Shared):
    """A bar for all epochs of all trainings, and one for each training that runs; a line for each that has ended."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._progress: Progress | None = None
        self._total: TaskID | None = None
        self._running: dict[Run, TaskID] = {}
        self._trained: dict[Run, int] = {}

    def phase(self, text: str) -> None:
        """Prints the phase, above the bars where there are some."""
        if self._progress is None:
            tell(text)
        else:
            self._progress.console.print(text, highlight=False)

    def planned(self, runs: Sequence[Run], *, done: int) -> None:
        """Begins the bars: until now a random search may have been shown."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.phase(self._plan(runs, done))
        if not runs:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(file=sys.stderr), refresh_per_second=4, transient=True)
        self._progress.start()
        self._total = self._progress.add_task("all trainings", total=len(runs) * self._epochs)

    def epoch(self, run: Run, epoch: int, accuracy: float) -> None:
        """Moves the training's bar, which begins with its first epoch, and the total."""
        if self._progress is None:
            return
        if run not in self._running:
            self._running[run] = self._progress.add_task(self._title(run), total=self._epochs)
        description = f"{self._title(run)}  epoch {epoch}/{self._epochs}  {percent(accuracy)}"
        self._progress.update(self._running[run], completed=epoch, description=description)
        self._advance(run, epoch)

    def ended(self, outcome: Outcome) -> None:
        """Takes the training's bar away and prints what it came to."""
        if self._progress is not None and outcome.run in self._running:
            self._progress.update(self._running[outcome.run], visible=False)
        self._advance(outcome.run, self._epochs)
        self.phase(self._end(outcome))

    def close(self) -> None:
        """Takes all bars away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _advance(self, run: Run, epoch: int) -> None:
        self._trained[run] = max(epoch, self._trained.get(run, 0))
        if self._progress is not None and self._total is not None:
            self._progress.update(self._total, completed=sum(self._trained.values()))
