"""Figures, tables and JSON as the verbs print them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def print_json(data: Any) -> None:
    """One document on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def tell(text: str) -> None:
    """A word to the person: stderr."""
    print(text, file=sys.stderr, flush=True)


def deliver(text: str, output: Path | None) -> None:
    """A text to a file, whole or not at all, or to stdout."""
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return
    from archsearch.experiment import write_atomically
    from archsearch.reading.errors import refuse

    if output.exists() and not output.is_file() and not output.is_dir():  # a device would be replaced by a file
        raise refuse("a device or a pipe", allowed="a file, new or to be replaced", file=str(output))
    write_atomically(output, text if text.endswith("\n") else text + "\n")
    tell(f"wrote {output}")


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What libraries and their processes print meanwhile goes to stderr: stdout is for the result alone."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def short(count: float | None) -> str:
    """Three digits and a letter: 25.6M, 4.11G, 812k."""
    if count is None:
        return "-"
    for power, letter in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        scaled = count / 10**power
        if round(scaled, 2) >= 1:
            return f"{scaled:.{max(0, 2 - (scaled >= 9.995) - (scaled >= 99.95))}f}{letter}"
    return f"{count:g}"


def percent(share: float | None) -> str:
    """93.04 %."""
    return "-" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """0:42, 12:05, 3:07:20."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Columns under their heads; those in `left` flush left, the others flush right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
