"""Predictions as lines of text, and how many are through while they are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archsearch.api.predicting import Predictions
from archsearch.api.showing.bars import EVERY, progress_bars
from archsearch.api.showing.printing import paints, table, tell_progress


def lines(predictions: Predictions, top: int) -> str:
    """A line for each file that could be read: its most probable classes with their probabilities; of several labels
    those that are given; of a regression the numbers."""
    rows: list[tuple[str, ...]]
    if predictions.task == "regression":
        rows = [
            (file, *(f"{number:.5g}" for number in row))
            for file, row in zip(predictions.files, predictions.values, strict=True)
            if file not in predictions.problems
        ]
        return table(("file", *predictions.classes), rows)
    ranked = predictions.top(top)
    if predictions.task == "multi_label":
        columns = ("file", "labels", f"most probable {min(top, len(predictions.classes))}")
        rows = [
            (file, ", ".join(label) or "none", ", ".join(f"{name} {_percent(share)}" for name, share in row))
            for file, label, row in zip(predictions.files, predictions.labels, ranked, strict=True)
            if row
        ]
        return table(columns, rows, flush_left=(0, 1, 2))
    count = min(top, len(predictions.classes))
    rows = [
        (file, *(cell for name, share in row for cell in (name, _percent(share))))
        for file, row in zip(predictions.files, ranked, strict=True)
        if row
    ]
    head = ("file", *("label", "probability", *("next", "probability") * (count - 1)))
    return table(head, rows, flush_left=(0, *range(1, 2 * count, 2)))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.9995 else "> 99.9 %"


@contextmanager
def counting(what: str = "images") -> Iterator[Callable[[int, int], None]]:
    """Shows how many images, or `what` else, are through, on stderr, until the block ends: a bar on a terminal, else a
    line every few seconds. The function takes that number and the total."""
    if not paints():
        began = last = time.monotonic()

        def told(count: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                tell_progress(last - began, f"{count} of {total} {what}")

        yield told
        return
    with progress_bars(transient=True) as progress:
        task = progress.add_task(what, total=None, visible=False)
        yield lambda count, total: progress.update(
            task, completed=count, total=total, visible=True, description=f"{count} of {total} {what}"
        )
