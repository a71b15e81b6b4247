"""Writes docs/pictures/run.svg: `python -m scripts.picture` searches the digits and draws the live view on the way."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

import archsearch
from archsearch.api.showing.board import Board
from archsearch.api.showing.live import render
from archsearch.experiment import Trial

FILE = Path(__file__).parents[1] / "docs" / "pictures" / "run.svg"
DRAWN = 14  # trials, at least, that have ended or are paused when the view is drawn
RUNNING = 2  # trials beside them, each with an epoch
WIDTH = 100


class Painter:
    """A callback of a search that draws its live view once."""

    def __init__(self, space: archsearch.Space) -> None:
        self._board = Board(name=space.name, planned=space.search.trials, epochs=space.training.epochs)
        self.svg = ""

    def phase(self, text: str) -> None:
        """Notes the phase."""
        self._board.phase(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """Notes the change, and draws at the first moment that shows running trials beside DRAWN others."""
        board = self._board
        board.trial(trial, metrics)
        running = [one.number for one in board.running]
        whole = len(running) == RUNNING and all(number in board.metrics for number in running)
        if not self.svg and whole and board.settled >= DRAWN:
            self.svg = drawn(board)


def drawn(board: Board) -> str:
    """The view as an SVG picture of a terminal, in the reader's own fonts."""
    console = Console(file=io.StringIO(), width=WIDTH, height=30, force_terminal=True, record=True, highlight=False)
    console.print(f"$ archsearch run search_spaces/{board.name}.yaml")
    console.print(f"experiment {board.name} in experiments/{board.name}\n", style="dim")
    console.print(render(board, console))
    svg = console.export_svg(title="archsearch", theme=MONOKAI, unique_id="run")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace")


def main() -> int:
    """Writes the picture; exit code 1 where the search had no such moment."""
    space = archsearch.load_space("digits")
    painter = Painter(space)
    with tempfile.TemporaryDirectory() as folder:
        archsearch.search(space, folder=Path(folder) / "digits", progress=False, callbacks=[painter])
    if painter.svg:
        FILE.write_text(painter.svg)
    return 0 if painter.svg else 1


if __name__ == "__main__":
    sys.exit(main())
