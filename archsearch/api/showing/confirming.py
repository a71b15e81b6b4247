"""A confirmation's progress on stderr: bars on a terminal, a line a training elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from archsearch.api.showing.bars import progress_bars
from archsearch.api.showing.board import Board
from archsearch.api.showing.live import watching
from archsearch.api.showing.printing import paints, score, tell, tell_progress, without_graphs
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.reading.escaping import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from archsearch.search.confirming.confirm import ConfirmationObserver
    from archsearch.search.confirming.runs import Outcome, Run
    from archsearch.search.deciding.observer import Observer
    from archsearch.space.space import SearchSpace


@contextmanager
def showing_confirmation(
    epochs: int, objective: Objective = BY_ACCURACY, *, shown: bool = True
) -> Iterator[ConfirmationObserver]:
    """Shows a confirmation whose trainings have so many epochs, until the block ends; nothing unless it is `shown`."""
    if not shown or not paints():
        yield Lines(objective, shown=shown)
        return
    bars = Bars(epochs, objective)
    try:
        yield bars
    finally:
        bars.close()


class Lines:
    """A line a phase and a line a training; no line unless they are `shown`."""

    def __init__(self, objective: Objective = BY_ACCURACY, *, shown: bool = True) -> None:
        self._objective = objective
        self._shown, self._ended, self._planned = shown, 0, 0
        self._began = time.monotonic()

    @contextmanager
    def searching(self, space: SearchSpace, folder: ExperimentFolder) -> Iterator[Observer]:
        """Shows random search as every search is shown."""
        with Ledger.read(folder.ledger) as ledger:
            board = Board.of(folder, ledger, space.search, epochs=space.training.epochs)
        with watching(board) if self._shown else nullcontext(board) as observer:
            yield observer

    def phase(self, text: str) -> None:
        """Prints the phase, after the time since the start."""
        if self._shown:
            tell_progress(time.monotonic() - self._began, text)

    def planned(self, runs: Sequence[Run], *, done: int, networks: int) -> None:
        """Prints how many trainings there are in all."""
        self._ended, self._planned = done, done + len(runs)
        earlier = f"; {done} are done already" if done else ""
        self.phase(f"{self._planned} trainings of {networks} networks{earlier}")

    def epoch(self, run: Run, epoch: int, value: float | None) -> None:
        """Prints nothing: a line an epoch would be too many."""

    def ended(self, outcome: Outcome) -> None:
        """Prints what the training came to."""
        self._ended += 1
        result = outcome.result
        value = None if result is None else self._objective.of_result(result["validation"])
        text = outcome.failed if value is None else f"validation {self._objective.named(value)}"
        self.phase(f"{_title(outcome.run)}: {text}; {self._ended} of {self._planned}")
        if result is not None and (note := without_graphs(result)):
            self.phase(f"{_title(outcome.run)}: {note}")


class Bars(Lines):
    """A bar for all epochs of all trainings, and one for each training that runs; a line for each that has ended."""

    def __init__(self, epochs: int, objective: Objective = BY_ACCURACY) -> None:
        super().__init__(objective)
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
            self._progress.console.print(printable(text), highlight=False)

    def planned(self, runs: Sequence[Run], *, done: int, networks: int) -> None:
        """Begins the bars: until now a random search may have been shown."""
        super().planned(runs, done=done, networks=networks)
        self.close()
        self._running, self._trained = {}, {}
        if not runs:
            return
        self._progress = progress_bars(transient=True)
        self._progress.start()
        self._total = self._progress.add_task("all trainings", total=sum(map(self._epochs_of, runs)))

    def epoch(self, run: Run, epoch: int, value: float | None) -> None:
        """Moves the training's bar, which begins with its first epoch, and the total."""
        if self._progress is None:
            return
        if run not in self._running:
            self._running[run] = self._progress.add_task(_title(run), total=self._epochs_of(run))
        description = f"{_title(run)}  epoch {epoch}/{self._epochs_of(run)}  {score(self._objective, value)}"
        self._progress.update(self._running[run], completed=epoch, description=description)
        self._advance(run, epoch)

    def ended(self, outcome: Outcome) -> None:
        """Takes the training's bar away and prints what it came to."""
        if self._progress is not None and outcome.run in self._running:
            self._progress.update(self._running[outcome.run], visible=False)
        self._advance(outcome.run, self._epochs_of(outcome.run))
        super().ended(outcome)

    def close(self) -> None:
        """Takes all bars away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _epochs_of(self, run: Run) -> int:
        """How many epochs the training has: a pretrained network's is shorter."""
        return int(run.contender.training.get("epochs", self._epochs))

    def _advance(self, run: Run, epoch: int) -> None:
        self._trained[run] = max(epoch, self._trained.get(run, 0))
        if self._progress is not None and self._total is not None:
            self._progress.update(self._total, completed=sum(self._trained.values()))


def _title(run: Run) -> str:
    return f"{run.contender.name} seed {run.seed}" + (f" {run.fold}" if run.fold is not None else "")
