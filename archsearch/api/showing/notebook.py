"""A search's and a training's progress in a Jupyter notebook: one bar with one line, drawn anew in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from archsearch.api.showing.board import Board
from archsearch.api.showing.printing import clock, figures, short
from archsearch.experiment import Trial
from archsearch.reading.durations import spell_duration

if TYPE_CHECKING:
    from archsearch.training.loop import EpochMetrics

EVERY = 0.25  # seconds between two drawings


class Line:
    """A bar and a line of text in the output of the cell that runs."""

    def __init__(self) -> None:
        self._display: Any = None
        self._drawn = 0.0

    def draw(self, share: float, text: str, *, at_once: bool = False) -> None:
        """Shows how much is done, 0 to 1, and the text; at most four times a second unless `at_once`."""
        if not at_once and time.monotonic() - self._drawn < EVERY:
            return
        self._drawn = time.monotonic()
        ipython = import_module("IPython.display")
        html = ipython.HTML(f"<progress value='{share:.3f}' max='1' style='width:20em'></progress> {escape(text)}")
        if self._display is None:
            self._display = ipython.display(html, display_id=True)
        else:
            self._display.update(html)


class SearchLine:
    """An observer that keeps the board and draws it."""

    def __init__(self, board: Board) -> None:
        self._board, self._line = board, Line()

    def phase(self, text: str) -> None:
        """Draws the phase at once."""
        self._board.phase(text)
        self._draw(at_once=True)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None, time: float | None = None) -> None:
        """Draws the trials' progress; the trial changed at that `time` (None: now)."""
        self._board.trial(trial, metrics, time)
        self._draw(at_once=self._board.settled >= self._board.planned)

    def _draw(self, *, at_once: bool) -> None:
        board = self._board
        parts = [board.name, board.notice or board.activity, clock(board.elapsed), board.progress]
        if (leader := board.leader) is not None:
            parts.append(f"best {board.best_so_far}, {short(leader.trial.cost['flops'])} FLOPs")
        if (remaining := board.remaining) is not None:
            parts.append(f"about {spell_duration(remaining)} left")
        self._line.draw(board.share, "; ".join(parts), at_once=at_once)


class EpochLine:
    """A training's epochs and steps."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._epoch, self._text, self._line = epochs, 0, "getting ready", Line()

    def begin(self, epochs_done: int) -> None:
        """Draws which epoch is the first, after those of an interrupted training."""
        self._epoch, self._text = epochs_done, f"epoch {epochs_done + 1}/{self._epochs}"
        self._line.draw(epochs_done / self._epochs, self._text, at_once=True)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Draws the epoch that has ended."""
        self._epoch = metrics.epoch
        self._text = figures(metrics)
        self._line.draw(metrics.epoch / self._epochs, self._text, at_once=metrics.epoch == metrics.epochs)

    def step(self, steps_done: int, steps: int) -> None:
        """Draws how far the epoch is."""
        self._line.draw((self._epoch + 0.95 * steps_done / steps) / self._epochs, self._text)
