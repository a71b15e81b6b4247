"""The view of a search in progress: a live table on a terminal, plain lines elsewhere. Both write to stderr."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archsearch.api.showing.board import Board, TrialEvent
from archsearch.api.showing.notebook import SearchLine
from archsearch.api.showing.printing import clock, is_notebook, paints, score, short, tell_progress
from archsearch.experiment import Trial, TrialState
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import spell
from archsearch.reading.durations import spell_duration
from archsearch.reading.escaping import in_one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text


RUNNING_ROWS = 6
EVENT_ROWS = 5
BAR = 24
QUIET = 60.0  # seconds without a line, where there is no terminal
TALL = 30  # lines of a terminal that has room for the front
# Columns of one that has room for the sizes beside what happened; for long bars; for FLOPs beside what runs.
ROOMY, WIDE, NARROW = 100, 84, 70
REASON = 28  # letters of why a trial failed
BEFORE_REASON = 46  # columns
STYLES: Mapping[TrialState, str] = {
    TrialState.FINISHED: "green",
    TrialState.PAUSED: "blue",
    TrialState.STOPPED: "yellow",
    TrialState.FAILED: "red",
}


@contextmanager
def watching(board: Board) -> Iterator[Board | Lines | SearchLine]:
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
    """An observer that prints a line a phase and a line a trial that has ended or paused; where neither comes for
    QUIET seconds, a line at the next epoch."""

    def __init__(self, board: Board) -> None:
        self._board, self._told = board, board.clock()

    def phase(self, text: str) -> None:
        """Prints the phase."""
        self._board.phase(text)
        self._tell(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None, time: float | None = None) -> None:
        """Prints a trial that has finished, failed or paused, at that `time` (None: now)."""
        board = self._board
        board.trial(trial, metrics, time)
        best = f"; best {board.best_so_far}" if board.leader else ""
        if metrics is not None:
            if board.clock() - self._told >= QUIET:
                self._tell(f"{board.progress}, {board.counts.running} running{best}")
        elif trial.state in (TrialState.PAUSED, TrialState.FINISHED, TrialState.FAILED):
            self._tell(
                f"{trial.id} {describe(trial, board.objective)}; {board.progress}{best}"
            )  # a stopped one was told of as paused

    def _tell(self, text: str) -> None:
        self._told = self._board.clock()
        tell_progress(self._board.elapsed, text)


def describe(trial: Trial, objective: Objective = BY_ACCURACY) -> str:
    """The trial's state, its epochs, its value or failure and its size, in a line."""
    size = ", ".join(_size(trial))
    epochs = f"{trial.epochs} epoch{'s' if trial.epochs != 1 else ''}"
    if trial.state is TrialState.FAILED:
        return f"failed after {epochs} ({size}): {trial.reason}"
    return f"{trial.state.label} after {epochs}: {objective.label} {score(objective, trial.value)} ({size})"


def _size(trial: Trial) -> tuple[str, str]:
    return f"{short(trial.cost['params'])} params", f"{short(trial.cost['flops'])} FLOPs"


def render(board: Board, console: Console) -> RenderableType:
    """The live table: at most twenty lines, thirty on a tall terminal, never more than the terminal has; no line is
    longer than it is wide, and one of 60 columns has what matters most."""
    from rich.console import Group
    from rich.text import Text

    head = _head(board, console.width)[: max(4, console.height - 5)]
    room = max(2, min(20, console.height - 1) - len(head) - 2)
    leader = board.leader
    running = sorted(
        board.running, key=lambda trial: (leader is None or trial.number != leader.trial.number, trial.number)
    )
    listed = running[: min(RUNNING_ROWS, room - 1)]
    parts: list[RenderableType] = [*head]
    if listed:
        parts += [Text(), _running(board, listed, console.width)]
    if len(running) > len(listed):
        parts.append(Text(f"  and {len(running) - len(listed)} more running", style="dim"))
    events = board.newest(min(EVENT_ROWS, room - len(listed) - 2))
    if events:
        parts += [Text(), _events(board, events, console.width)]
    if console.height > TALL and len(drawn := scatter(board.scored, board.objective)) > 1:
        parts += [Text(), *(Text(line, style="dim") for line in drawn)]
    return Group(*parts)


def scatter(
    points: Sequence[tuple[float, float]], objective: Objective = BY_ACCURACY, *, width: int = 48, height: int = 6
) -> list[str]:
    """(FLOPs, value) points, the better the higher, as lines of text, FLOPs by their logarithm to the right: o on the
    Pareto front, else a dot. Empty where the points do not differ in both."""
    costs, values = ([pair[side] for pair in points] for side in (0, 1))
    if len(points) < 2 or min(costs) <= 0 or min(costs) == max(costs) or min(values) == max(values):
        return []
    import numpy as np

    from archsearch.experiment.pareto import undominated

    stays = undominated(np.array([(objective.key(value), -cost) for cost, value in points]))
    front = {point for point, on_front in zip(points, stays, strict=True) if on_front}
    low, high = math.log(min(costs)), math.log(max(costs))
    worst, top = sorted((min(values), max(values)), key=objective.key)
    rows = [[" "] * width for _ in range(height)]
    for pair in sorted(points, key=lambda pair: pair in front):
        x = round((math.log(pair[0]) - low) / (high - low) * (width - 1))
        y = round((top - pair[1]) / (top - worst) * (height - 1))
        rows[y][x] = "o" if pair in front else "."
    labels = [objective.text(top), *[""] * (height - 2), objective.text(worst)]
    lines = [f"{label:>8} |{''.join(row)}".rstrip() for label, row in zip(labels, rows, strict=True)]
    ends = f"{short(min(costs))} to {short(max(costs))} FLOPs; o: the Pareto front"
    return [*lines, f"{'':>8} +{'-' * width}", f"{'':>10}{ends}"]


def _line(*parts: str | tuple[str, str]) -> Text:
    """Texts, with a style or without, as one line that is cut at the terminal's edge."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _head(board: Board, width: int) -> list[RenderableType]:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    if board.notice:
        news = [(f"  {board.notice}", "yellow")]
    else:
        left = board.remaining
        news = [] if left is None else [(f"  about {spell_duration(left)} left", "dim")]
        news.append((f"  {board.activity}", "cyan"))
    title = _line((board.name, "bold"), f"  {clock(board.elapsed)}", *news)
    progress = Table.grid(padding=(0, 1))
    bar = max(BAR // 2, min(2 * BAR, width - 1 - len(board.progress)))
    progress.add_row(ProgressBar(total=1.0, completed=board.share, width=bar), Text(board.progress, no_wrap=True))
    lines: list[RenderableType] = [title, progress, _counts(board, width), *_best(board)]
    if rungs := board.rungs:
        first, *others = (f"{on} of {reached} went on at epoch {level}" for level, reached, on in rungs)
        text = ", ".join([first, *(rung.replace("went on ", "") for rung in others)])
        lines.append(_line((_label("rungs"), "dim"), text))
    if paced := _pace(board):
        lines.append(_line((_label("pace"), "dim"), paced))
    if board.gpus:
        lines.append(_line((_label("device"), "dim"), f"GPU, trials per GPU: {int(1 / board.gpus + 1e-9)}"))
    return lines


def _label(text: str) -> str:
    return f"{text:<10}"


def _counts(board: Board, width: int) -> Text:
    labelled = board.counts.labelled()
    length = sum(len(f"{count} {label}  ") for _, label, count in labelled) - 2
    parts: list[str | tuple[str, str]] = []
    for state, label, count in labelled:
        shown = label if length <= width else state.value
        parts += ["  "] if parts else []
        parts += [(str(count), STYLES.get(state, "cyan") if count else "dim"), (f" {shown}", "dim")]
    return _line(*parts)


def _best(board: Board) -> Iterator[Text]:
    """The best so far; where that is a trial which still goes on, the best of those that have finished too."""
    leader = board.leader
    if leader is None:
        yield _line((f"{_label('best')}no score yet", "dim"))
        return
    yield _scored(
        board.objective,
        "best",
        leader.trial,
        leader.value,
        "" if leader.final else f" at epoch {leader.epochs} of {board.epochs}",
    )
    if not leader.final and board.best is not None and board.best.value is not None:
        yield _scored(board.objective, "finished", board.best, board.best.value, "")


def _scored(objective: Objective, label: str, trial: Trial, value: float, when: str) -> Text:
    size = "".join(f"  {part}" for part in _size(trial))
    size += f"  {spell(trial.training, digits=3)}" if trial.training else ""
    return _line((_label(label), "dim"), f"{trial.id}  ", (objective.named(value), "bold green"), f"{when}{size}")


def _pace(board: Board) -> str:
    """Epochs a second, remaining worker or GPU time, and how full the GPUs are, as far as they are known."""
    parts = []
    if (pace := board.pace) is not None:
        parts.append(f"{pace:.3g} epochs a second" if pace >= 0.5 else f"{60 * pace:.2g} epochs a minute")
    if (hours := board.hours_left) is not None:
        of = "GPU time" if board.gpus else "worker time"
        parts.append(f"about {spell_duration(3600 * hours)} of {of} left")
    if (shares := board.gpu_memory) is not None:
        percents = dict.fromkeys(f"{100 * share:.0f}" for share in shares)
        parts.append(f"{' to '.join(percents)} % of the GPU memory in use")
    return ", ".join(parts)


def _columns(sides: str) -> Table:
    """A table without lines; for each column l, flush left, or r, flush right."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for side in sides:
        table.add_column(justify="left" if side == "l" else "right", no_wrap=True)
    return table


def _running(board: Board, running: list[Trial], width: int) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    shown = 2 if width >= NARROW else 1  # of params and FLOPs
    rows = _columns("ll" + "r" * (2 + shown))
    for trial in running:
        metrics = board.metrics.get(trial.number) or {}
        epoch = int(metrics.get("epoch", 0))
        rows.add_row(
            Text(trial.id, style="cyan"),
            ProgressBar(total=board.epochs, completed=epoch, width=BAR if width >= WIDE else BAR // 3),
            f"epoch {epoch}/{board.epochs}",
            score(board.objective, metrics.get(board.objective.validation)),
            *_size(trial)[:shown],
        )
    return rows


def _events(board: Board, events: list[TrialEvent], width: int) -> RenderableType:
    from rich.text import Text

    time = board.clock()
    sizes = width >= ROOMY
    rows = _columns("rllrr" + "rr" * sizes)
    for event in events:
        trial = event.trial
        failed = trial.value is None and trial.reason is not None
        reason = in_one_line(trial.reason or "")[: REASON if sizes else max(8, width - BEFORE_REASON)]
        rows.add_row(
            Text(f"{spell_duration(time - event.time)} ago", style="dim"),
            Text(trial.id, style="dim"),
            Text(trial.state.label if event.change == trial.state else event.change, style=STYLES.get(trial.state, "")),
            f"{trial.epochs} epoch{'s' if trial.epochs != 1 else ''}",
            Text(reason, style="red") if failed else score(board.objective, trial.value),
            *(_size(trial) if sizes else ()),
        )
    return rows
