"""The view of a search in progress: a live table on a terminal, plain lines elsewhere. Both write to stderr."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archsearch.api.showing.board import Board, TrialEvent
from archsearch.api.showing.notebook import SearchLine
from archsearch.api.showing.printing import clock, is_notebook, paints, percent, short, tell_progress
from archsearch.experiment import Trial, TrialState
from archsearch.experiment.records import spell
from archsearch.reading.durations import spell_duration
from archsearch.reading.escaping import in_one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from archsearch.search.deciding.observer import Observer

RUNNING_ROWS = 6
EVENT_ROWS = 5
BAR = 24
TALL = 30  # lines of a terminal that has room for the front
STYLES: Mapping[TrialState, str] = {
    TrialState.FINISHED: "green",
    TrialState.PAUSED: "blue",
    TrialState.STOPPED: "yellow",
    TrialState.FAILED: "red",
}


@contextmanager
def watching(board: Board) -> Iterator[Observer]:
    """An observer of a search that keeps the board and shows it on stderr or in a notebook, until the block ends."""
    if is_notebook():
        yield SearchLine(board)
        return
    if not paints():
        yield Lines(board)
        return
    from rich.console import Console
    from rich.live import Live

    # A handle of its own: what libraries write to stderr meanwhile must not break the table.
    with os.fdopen(os.dup(2), "w") as terminal:
        console = Console(file=terminal, force_terminal=True, highlight=False)
        with Live(
            console=console,
            get_renderable=lambda: render(board, console),
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield board  # rich's thread draws it four times a second


class Lines:
    """An observer that prints a line a phase and a line a trial that has ended or paused."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def phase(self, text: str) -> None:
        """Prints the phase."""
        self._board.phase(text)
        tell_progress(self._board.elapsed, text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """Prints a trial that has finished, failed or paused."""
        board = self._board
        board.trial(trial, metrics)
        if metrics is not None or trial.state not in (TrialState.PAUSED, TrialState.FINISHED, TrialState.FAILED):
            return  # a stopped one was told of when it paused
        best = f"; best {board.best.id} {percent(board.best.value)}" if board.best else ""
        tell_progress(board.elapsed, f"{trial.id} {describe(trial)}; {board.progress}{best}")


def describe(trial: Trial) -> str:
    """The trial's state, its epochs, its accuracy or failure and its size, in a line."""
    size = ", ".join(_size(trial))
    epochs = f"{trial.epochs} epoch{'s' if trial.epochs != 1 else ''}"
    if trial.state is TrialState.FAILED:
        return f"failed after {epochs} ({size}): {trial.reason}"
    return f"{trial.state.value} after {epochs}: accuracy {percent(trial.value)} ({size})"


def _size(trial: Trial) -> tuple[str, str]:
    return f"{short(trial.cost['params'])} params", f"{short(trial.cost['flops'])} FLOPs"


def render(board: Board, console: Console) -> RenderableType:
    """The live table: at most twenty lines, thirty on a tall terminal, never more than the terminal has."""
    from rich.console import Group
    from rich.text import Text

    head = _head(board)
    room = max(2, min(20, console.height - 1) - len(head) - 2)
    running = board.running
    listed = running[: min(RUNNING_ROWS, room - 1)]
    parts: list[RenderableType] = [*head]
    if listed:
        parts += [Text(), _running(board, listed)]
    if len(running) > len(listed):
        parts.append(Text(f"  and {len(running) - len(listed)} more running", style="dim"))
    events = board.newest(min(EVENT_ROWS, room - len(listed) - 2))
    if events:
        parts += [Text(), _events(board, events)]
    if console.height > TALL and len(drawn := scatter(board.scored)) > 1:
        parts += [Text(), *(Text(line, style="dim") for line in drawn)]
    return Group(*parts)


def scatter(points: Sequence[tuple[float, float]], *, width: int = 48, height: int = 6) -> list[str]:
    """(FLOPs, accuracy) points as lines of text, FLOPs by their logarithm to the right: o on the Pareto front, else a
    dot. Empty where the points do not differ in both."""
    costs, values = ([pair[side] for pair in points] for side in (0, 1))
    if len(points) < 2 or min(costs) <= 0 or min(costs) == max(costs) or min(values) == max(values):
        return []
    import numpy as np

    from archsearch.experiment.pareto import undominated

    stays = undominated(np.array([(value, -cost) for cost, value in points]))
    front = {point for point, on_front in zip(points, stays, strict=True) if on_front}
    low, high, worst, top = math.log(min(costs)), math.log(max(costs)), min(values), max(values)
    rows = [[" "] * width for _ in range(height)]
    for pair in sorted(points, key=lambda pair: pair in front):
        x = round((math.log(pair[0]) - low) / (high - low) * (width - 1))
        y = round((top - pair[1]) / (top - worst) * (height - 1))
        rows[y][x] = "o" if pair in front else "."
    labels = [percent(top), *[""] * (height - 2), percent(worst)]
    lines = [f"{label:>8} |{''.join(row)}".rstrip() for label, row in zip(labels, rows, strict=True)]
    ends = f"{short(min(costs))} to {short(max(costs))} FLOPs; o: the Pareto front"
    return [*lines, f"{'':>8} +{'-' * width}", f"{'':>10}{ends}"]


def _head(board: Board) -> list[RenderableType]:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    title = Text.assemble((board.name, "bold"), "  ", (board.activity, "cyan"), f"  {clock(board.elapsed)}")
    if board.notice:
        title.append(f"  {board.notice}", style="yellow")
    elif (remaining := board.remaining) is not None:
        title.append(f"  about {spell_duration(remaining)} left", style="dim")
    progress = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=board.share, width=2 * BAR)
    progress.add_row(bar, Text(board.progress))
    counts = Text("  ").join(
        Text.assemble((str(count), STYLES.get(state, "cyan") if count else "dim"), (f" {label}", "dim"))
        for state, label in (
            (TrialState.FINISHED, "finished"),
            (TrialState.PAUSED, "paused"),
            (TrialState.STOPPED, "stopped early"),
            (TrialState.FAILED, "failed"),
            (TrialState.RUNNING, "running"),
        )
        for count in (board.count(state),)
    )
    best = Text("best  none yet", style="dim")
    if board.best is not None:
        size = "  ".join(_size(board.best))
        size += f"  {spell(board.best.training, digits=3)}" if board.best.training else ""
        best = Text.assemble(
            ("best  ", "dim"), f"{board.best.id}  ", (percent(board.best.value), "bold green"), f"  {size}"
        )
    lines: list[RenderableType] = [title, progress, counts, best]
    if rungs := board.rungs:
        text = "  ".join(f"{level} ep: {reached}, {on} went on" for level, reached, on in rungs)
        lines.append(Text.assemble(("rungs ", "dim"), text))
    if paced := _pace(board):
        lines.append(Text.assemble(("pace  ", "dim"), paced))
    return lines


def _pace(board: Board) -> str:
    """Epochs a second, remaining worker or GPU hours, and how full the GPUs are, as far as they are known."""
    parts = [f"{board.pace:.3g} epochs a second"] if board.pace is not None else []
    if (hours := board.hours_left) is not None:
        of = "GPU time" if board.gpus else "worker time"
        parts.append(f"about {spell_duration(3600 * hours)} of {of} left")
    if (shares := board.gpu_memory) is not None:
        percents = dict.fromkeys(f"{100 * share:.0f}" for share in shares)
        parts.append(f"{' to '.join(percents)} % of the GPU memory in use")
    return ", ".join(parts)


def _columns(*justify: str) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for side in justify:
        table.add_column(justify="right" if side == "right" else "left", no_wrap=True)
    return table


def _running(board: Board, running: list[Trial]) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    rows = _columns("left", "left", "right", "right", "right", "right")
    for trial in running:
        metrics = board.metrics.get(trial.number) or {}
        epoch = int(metrics.get("epoch", 0))
        rows.add_row(
            Text(trial.id, style="cyan"),
            ProgressBar(total=board.epochs, completed=epoch, width=BAR),
            f"epoch {epoch}/{board.epochs}",
            percent(metrics.get("validation_accuracy")),
            *_size(trial),
        )
    return rows


def _events(board: Board, events: list[TrialEvent]) -> RenderableType:
    from rich.text import Text

    time = board.clock()
    rows = _columns("right", "left", "left", "right", "right", "right", "right")
    for event in events:
        trial = event.trial
        failed = trial.value is None and trial.reason is not None
        rows.add_row(
            Text(f"{spell_duration(time - event.time)} ago", style="dim"),
            Text(trial.id, style="dim"),
            Text(event.change, style=STYLES.get(trial.state, "")),
            f"{trial.epochs} ep",
            Text(in_one_line(trial.reason or "")[:32], style="red") if failed else percent(trial.value),
            *_size(trial),
        )
    return rows
