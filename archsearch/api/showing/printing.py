"""Figures, tables and JSON as the verbs print them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.experiment import write_atomically
from archsearch.experiment.objective import Objective
from archsearch.reading.errors import refuse
from archsearch.space.tasks import headline

if TYPE_CHECKING:
    from archsearch.training.loop import EpochMetrics

SHOW_CURSOR = b"\033[?25h\n"  # the live table hides it


def print_json(data: Any) -> None:
    """Prints one JSON document on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def is_notebook() -> bool:
    """Whether this process is a Jupyter kernel. Imports nothing: in a kernel IPython is loaded."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def tell(text: str) -> None:
    """Prints a message for the person on stderr; in a notebook, which shows that as an error, on stdout."""
    print(text, file=sys.stdout if is_notebook() else sys.stderr, flush=True)


def tell_progress(seconds: float, text: str) -> None:
    """Prints a message for the person on stderr, after the time since the start."""
    tell(f"{clock(seconds):>7}  {text}")


def without_graphs(result: Mapping[str, Any]) -> str | None:
    """Why a training's steps were not replayed as CUDA graphs, from its result.json; None where nothing kept them."""
    reason = result.get("no_graph")
    return None if reason is None else f"kernels were launched one by one, without CUDA graphs: {reason}"


def paints() -> bool:
    """Whether stderr is a terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def deliver(text: str, output: Path | None) -> None:
    """Writes a text to a file, whole or not at all, or to stdout. Raises InputError for a device, OSError."""
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return

    if output.exists() and not output.is_file() and not output.is_dir():  # a device would be replaced by a file
        raise refuse("a device or a pipe", allowed="a new or existing file", file=str(output))
    write_atomically(output, text if text.endswith("\n") else text + "\n")
    tell(f"wrote {output}")


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """In the block, what libraries and their processes print goes to stderr: stdout is for the result alone."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:
        yield
        return
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def short(count: float | None) -> str:
    """A count in three digits and a letter: 25.6M, 4.11G, 812k; a dash for None."""
    if count is None:
        return "-"
    for power, letter in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        scaled = count / 10**power
        if round(scaled, 2) >= 1:
            return f"{scaled:.{max(0, 2 - (scaled >= 9.995) - (scaled >= 99.95))}f}{letter}"
    return f"{count:g}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as 93.04 %; a dash for None."""
    return "-" if share is None else f"{100 * share:.2f} %"


def score(objective: Objective, value: float | None) -> str:
    """A value of the objective's metric; a dash for None."""
    return "-" if value is None else objective.text(value)


def clock(seconds: float) -> str:
    """A running clock that shows so many seconds: 0:42, 12:05 or 3:07:20. `spell_duration` is for a text."""
    total = int(seconds)
    hours, minutes = divmod(total // 60, 60)
    return f"{hours}:{minutes:02}:{total % 60:02}" if hours else f"{minutes}:{total % 60:02}"


def figures(metrics: EpochMetrics) -> str:
    """An epoch of a training in a line."""
    accuracy = metrics.validation_accuracy
    score = scored(metrics.scores) if accuracy is None else percent(accuracy)
    return f"epoch {metrics.epoch}/{metrics.epochs}  loss {metrics.train_loss:.4f}  validation {score}"


def scored(scores: Mapping[str, float]) -> str:
    """The metric of a split that stands for all, after its name unless it is the accuracy; a dash without it."""
    if (shown := headline(scores)) is None:
        return "-"
    metric, value = shown
    return ("" if metric.name == "accuracy" else f"{metric.label} ") + metric.text(value)


def columns() -> int | None:
    """How wide the terminal is that stdout goes to; None where it goes to a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    flush_left: Sequence[int] = (0,),
    width: int | None = None,
) -> str:
    """Columns under their heads; those whose index is in `flush_left` are flush left, the others flush right. Lines
    longer than `width` are cut (None: none is)."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if i in flush_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}\N{HORIZONTAL ELLIPSIS}")
    return "\n".join(lines)
