"""Views of work in progress: the live table, its lines, `status --watch`, a training and a confirmation."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from archsearch import zoo
from archsearch.api.showing import bars, confirming
from archsearch.api.showing.board import Board
from archsearch.api.showing.live import Lines, describe, render, scatter
from archsearch.cli.showing import following
from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState
from archsearch.search.confirming.contenders import Contender
from archsearch.search.confirming.runs import Outcome, Run
from archsearch.space.loading import load_space
from archsearch.training.loop import EpochMetrics
from tests.analysis.report.searches import experiment
from tests.cli.views.text import coloured

RUNNING, PAUSED, STOPPED = TrialState.RUNNING, TrialState.PAUSED, TrialState.STOPPED
FINISHED, FAILED = TrialState.FINISHED, TrialState.FAILED


class Clock:
    """Seconds that go on only as they are told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def painted(board: Board, height: int = 40, width: int = 100) -> str:
    """The live table on a terminal of so many lines and columns."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="standard",
                      record=True, no_color=False, legacy_windows=False)  # fmt: skip
    console.print(render(board, console))
    return coloured(console.export_text(styles=True))


def figures(board: Board) -> str:
    """What the board knows, beside what the table shows of it."""
    names = ("settled", "rungs", "pace", "hours_left", "remaining", "share", "progress", "gpu_memory", "scored")
    changes = [(event.time, event.change, event.trial.id) for event in board.newest(4)]
    return "\n".join([*(f"{name}: {getattr(board, name)}" for name in names), f"newest: {changes}"])


def trial(number: int, state: TrialState, value: float | None = None, epochs: int = 1, **fields: Any) -> Trial:
    """A trial whose size grows with its number."""
    standard: dict[str, Any] = {
        "seed": 0, "choices": {"block": "basic", "training.learning_rate": number / 70}, "architecture": {},
        "digest": f"{number:016x}", "attempts": 1, "created": 0.0, "started": 0.0, "ended": None, "reason": None,
        "cost": {"params": 900 * 3**number, "flops": 20_000 * 4**number, "macs": 1, "activations": 1},
    }  # fmt: skip
    return Trial(number=number, state=state, value=value, epochs=epochs, **(standard | fields))


def told(
    board: Board, number: int, state: TrialState, value: float | None, *, rung: int = 0, seconds: float = 7
) -> None:
    """The board is told of a trial that runs for an epoch and ends up in that state."""
    fields = {"rung": rung, "reason": "nan: the training loss is nan after the first step" if state is FAILED else None}
    board.trial(trial(number, RUNNING, epochs=0), None)
    board.clock.now += seconds  # type: ignore[attr-defined]
    metrics = {"epoch": 1.0, "validation_accuracy": 0.1 + number / 20}
    board.trial(trial(number, RUNNING), metrics)
    board.trial(trial(number, state, value, epochs=9 if state is FINISHED else 1, **fields), None)


def live() -> Iterator[str]:
    """The live table as a search goes on, with and without GPUs and a wall time."""
    for words in ({}, {"gpus": 0.25, "wall_time": 600.0}):
        board = Board(name="digits", planned=12, epochs=9, clock=Clock(3.0), **words)
        yield f"--- begun {words}\n{painted(board)}\n{figures(board)}"
        board.phase("starting Ray")
        board.restore([trial(1, FINISHED, 0.5, 9), trial(2, PAUSED, 0.4, rung=1), trial(3, FAILED, reason=None)])
        yield f"--- restored\n{painted(board)}\n{figures(board)}"
        told(board, 4, PAUSED, 0.45, rung=1)
        told(board, 5, FINISHED, 0.625, rung=3)
        yield f"--- two settled\n{figures(board)}"
        told(board, 6, STOPPED, 0.3, rung=1)
        told(board, 7, FAILED, None)
        board.trial(trial(2, RUNNING, 0.4, rung=1), None)
        board.trial(trial(2, RUNNING, 0.4, rung=1, attempts=2), None)
        for number, epoch in ((8, 4), (9, 9), (10, 1)):
            board.clock.now += 30  # type: ignore[attr-defined]
            share = {"gpu_memory": number / 20} if board.gpus else {}
            board.trial(trial(number, RUNNING), {"epoch": epoch, "validation_accuracy": number / 15, **share})
        yield f"--- in the midst\n{painted(board)}\n{figures(board)}"
        yield f"--- of 12 lines\n{painted(board, 12)}"
        yield "".join(f"--- of {width} columns\n{painted(board, 24, width)}\n" for width in (60, 80, 120))
        for number in range(11, 16):
            board.trial(trial(number, RUNNING, epochs=0), None)
        yield "".join(f"--- of {height} lines\n{painted(board, height)}\n" for height in (8, 20, 30, 31))
        board.notice = "resuming"
        told(board, 8, FINISHED, 0.625)  # no better than the best
        told(board, 9, FINISHED, 0.75)
        board.clock.now += 500  # type: ignore[attr-defined]
        yield f"--- at the end\n{painted(board)}\n{figures(board)}"


def lines() -> Iterator[str]:
    """The plain lines, a trial's texts and the front in letters."""
    for words in ({}, {"wall_time": 900.0}):
        board = Board(name="digits", planned=12, epochs=9, clock=Clock(), **words)
        with redirect_stderr(io.StringIO()) as stderr:
            shown = Lines(board)
            shown.phase("starting Ray")
            board.clock.now = 61.0  # type: ignore[attr-defined]
            shown.trial(trial(1, RUNNING), {"epoch": 1, "validation_accuracy": 0.9})
            for state in (RUNNING, PAUSED, STOPPED, FINISHED, FAILED):
                board.clock.now += 1000  # type: ignore[attr-defined]
                value = None if state is FAILED else 0.5
                shown.trial(trial(1, state, value, epochs=int(board.elapsed) % 3, reason="oom: too much"), None)
        yield f"--- lines {words}\n{stderr.getvalue()}"
    yield "\n".join(describe(trial(2, state, 0.1, reason="r")) for state in (FINISHED, FAILED, STOPPED))
    points = [(1e4 * 3**i, 0.4 + 0.1 * (i * 7 % 5)) for i in range(7)]
    yield "\n".join(scatter(points))


def watched(place: Path) -> Iterator[str]:
    """What `status --watch` shows of a search that nobody drives, and look by look of what another process writes."""
    folder = experiment(place, 6, "resources.gpus_per_trial=0.5", "search.wall_time=1h", state=None)
    shown: list[str] = []
    boards: list[Board] = []

    @contextmanager
    def watching(board: Board) -> Iterator[Board]:
        board.clock = lambda: 1e9 + 200
        boards.append(board)
        yield board
        shown.append(f"--- at the end\n{painted(board)}")

    def began(ledger: Ledger) -> None:
        ledger.promote(1)
        ledger.start(1, resume_epoch=1)
        ledger.epoch(1, 2, {"epoch": 2, "validation_accuracy": 0.55, "gpu_memory": 0.5, "loss": float("nan")})

    def resumed(ledger: Ledger) -> None:
        ledger.note("precision", {"precision": "float32", "text": "float32"})
        ledger.epoch(1, 3, {"epoch": 3, "validation_accuracy": float("nan"), "gpu_memory": 0.25})

    def again(ledger: Ledger) -> None:
        ledger.requeue(1, "its node is gone")
        ledger.start(1, resume_epoch=1)

    def ended(ledger: Ledger) -> None:
        ledger.finish(1, 0.75)
        ledger.stop(2, 0.3, "too low")
        ledger.end("finished")

    def act(write: Callable[[Ledger], None]) -> None:
        with Ledger.open(folder.ledger) as ledger:
            ledger._clock = lambda: 1e9 + 100
            write(ledger)

    steps = iter((resumed, lambda _: None, again, ended))

    def sleep(seconds: float) -> None:
        shown.append(f"--- before {seconds:g} s\n{painted(boards[-1])}")
        step = next(steps)
        act(step)
        if step is ended:
            lock.__exit__(None, None, None)

    with patch.object(following, "watching", watching):
        act(began)
        following.follow(folder)
        lock = folder.driver_lock()
        lock.__enter__()
        following.follow(folder, sleep=sleep)
    yield from shown


def trainings() -> Iterator[str]:
    """A training's progress, in lines and as a bar."""
    metrics = {
        "train_accuracy": 0.4,
        "validation_loss": 1.0,
        "learning_rate": 0.1,
        "seconds": 1,
        "images_per_second": 9,
    }
    ended = EpochMetrics(epoch=2, epochs=5, train_loss=1.23456, validation_accuracy=0.4321, **metrics)  # type: ignore[arg-type]
    for terminal in (False, True):
        painting = patch.object(bars, "paints", lambda at=terminal: at)
        at_once = patch.object(bars, "EVERY", 0.0)
        with redirect_stderr(io.StringIO()) as stderr, painting, at_once, bars.epochs_shown(5) as shown:
            states = []
            steps = (lambda: shown.step(1, 4), lambda: shown.epoch(ended), lambda: shown.step(3, 4))
            for act in (lambda: None, lambda: shown.begin(1), *steps):
                act()
                if isinstance(shown, bars.Bar):
                    (task,) = shown._progress.tasks
                    states.append(f"{task.description}: {task.completed:g} of {task.total:g}")
        text = "" if terminal else stderr.getvalue()
        yield f"--- {type(shown).__name__}\n" + "\n".join([*states, text])


def confirmations(place: Path) -> Iterator[str]:
    """A confirmation's progress, in lines and as bars."""
    contender = Contender(kind="trial", name="a network", architecture=zoo.get("resnet8_cifar"), digest="d" * 16,
                          key="d" * 16, cost={}, within_budget=True)  # fmt: skip
    runs = [Run(contender=contender, seed=seed, folder=place) for seed in (1, 2, 3)]
    folder = experiment(place, 3)
    yield from (_confirmation(terminal, runs, folder) for terminal in (False, True))


def _confirmation(terminal: bool, runs: Sequence[Run], folder: ExperimentFolder) -> str:
    states: list[str] = []
    with ExitStack() as stack:
        stderr = stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(patch.object(confirming, "paints", lambda: terminal))
        shown = stack.enter_context(confirming.showing_confirmation(10))

        def noted() -> None:
            tasks = shown._progress.tasks if isinstance(shown, confirming.Bars) and shown._progress else ()
            states.append("; ".join(f"{t.description}: {t.completed:g} of {t.total:g}, {t.visible}" for t in tasks))

        with shown.searching(load_space(folder.space_yaml), folder) as observer:
            observer.phase("searching")
        shown.planned([], done=2, networks=1)
        noted()
        shown.epoch(runs[0], 1, 0.5)
        shown.planned(runs, done=0, networks=2)
        noted()
        for run, epoch in ((runs[0], 4), (runs[1], 1), (runs[0], 3)):
            shown.epoch(run, epoch, epoch / 7)
            noted()
        shown.ended(Outcome(run=runs[0], result={"validation": {"accuracy": 0.75}}))
        shown.ended(Outcome(run=runs[2], failed="it crashed"))
        noted()
        shown.phase("testing the winner")
    closed = getattr(shown, "_progress", None) is None
    texts = [line for line in stderr.getvalue().splitlines() if "━" not in line and line]
    return f"--- {type(shown).__name__}, closed: {closed}\n" + "\n".join([*filter(None, states), *texts])
