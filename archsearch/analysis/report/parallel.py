"""Parallel coordinates, a line for each trial through its choices, cost and value; bars and dots with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from archsearch.analysis.outline import short
from archsearch.analysis.report.charts import (
    NARROW,
    WIDE,
    Canvas,
    Scale,
    Write,
    dot,
    label,
    line,
    number,
    percent,
    percentages,
    polyline,
    spaced,
    within,
    written,
)
from archsearch.analysis.report.figures import ConfirmedRow, Document, ImportanceRow, TrialRow, winner_of
from archsearch.analysis.svg import element, shorten
from archsearch.experiment.objective import BY_ACCURACY, Objective

TRIALS, AXES = 300, 11  # at most
ROW = 30.0
VALUE = "accuracy"  # the axis of the search's metric, whichever that is
# The x of a trial on an axis. The share, from -0.5 to 0.5, spreads the trials of one value: the better further right.
Position = Callable[[TrialRow, float], float]


def parallel(report: Document) -> tuple[str, str]:
    """The chart, an axis a row, so that it fits a telephone too; and a sentence on what is not drawn."""
    key = Objective.of(report).key
    rows = sorted((row for row in report["rows"] if row["value"] is not None), key=lambda row: key(row["value"] or 0.0))
    names = _axes(report, rows)
    if len(rows) < 2 or not names:
        return "", ""
    half = -TRIALS // 2
    drawn = rows if len(rows) <= TRIALS else [*rows[:half][:: max(1, 2 * len(rows) // TRIALS)], *rows[half:]]
    varied = {name for row in rows for name in row["choices"]}
    note = ""
    if len(names) < len(varied):
        note = f"{len(names)} of {len(varied)} choices are drawn, the most important ones. "
    if len(drawn) < len(rows):
        note += f"{len(drawn)} of {len(rows)} trials are drawn, the best among them."
    return _chart(WIDE, names, drawn, report) + _chart(NARROW, names, drawn, report), note


def _axes(report: Document, rows: Sequence[TrialRow]) -> list[str]:
    """Choices in which trials differ, those of the most important parameters first."""
    order = [row["word"] for row in report["importance"]["words"]]
    names = dict.fromkeys(name for row in rows for name in row["choices"])
    varied = [name for name in names if len({str(row["choices"].get(name)) for row in rows}) > 1]

    def rank(name: str) -> int:
        parameter = name.split(".", 1)[1] if name.startswith("stage") and "." in name else name
        return order.index(parameter) if parameter in order else len(order)

    return sorted(varied, key=rank)[:AXES]


def _chart(width: float, names: Sequence[str], rows: Sequence[TrialRow], report: Document) -> str:
    left = 150.0 if width == WIDE else 12.0
    step = 46.0 if width == WIDE else 58.0
    canvas = Canvas(width, step * (len(names) + 2) + 24, left=left, right=24.0 if width == WIDE else 14.0, top=30)
    axes: list[tuple[Position, float]] = []
    body, names_drawn = "", ""
    objective = Objective.of(report)
    for i, name in enumerate([*names, "flops", VALUE]):
        y = canvas.top + step * i + (0 if width == WIDE else 14)
        position, drawn = _axis(canvas, name, y, rows, objective)
        body += line(canvas.left, y, canvas.width - canvas.right, y, "rail")
        names_drawn += drawn
        text = {"flops": "FLOPs", VALUE: objective.label}.get(name, name)
        if width == WIDE:
            names_drawn += label(left - 16, y + 4, shorten(text, left - 20, 12), "rail-name", "end")
        else:
            names_drawn += label(canvas.left - 8, y - 14, text, "rail-name")
        axes.append((position, y))
    winner = winner_of(report)
    top = {row["trial"] for row in rows[-max(1, len(rows) // 10) :]}
    for rank, row in enumerate(rows):
        share = rank / max(1, len(rows) - 1) - 0.5
        points = [(position(row, share), y) for position, y in axes]
        css = "thread best" if row["trial"] == winner else "thread top" if row["trial"] in top else "thread"
        body += polyline(points, css, row["trial"])
    return canvas.svg(
        f"parallel coordinates of {len(rows)} trials: {', '.join(names)}, FLOPs, {objective.label}", body + names_drawn
    )


def _axis(canvas: Canvas, name: str, y: float, rows: Sequence[TrialRow], objective: Objective) -> tuple[Position, str]:
    """Where an axis shows a trial, and the axis' ticks: round numbers where it has many, else every value."""
    start, end = canvas.left + 10, canvas.width - canvas.right - 10

    def value(row: TrialRow) -> Any:
        return {"flops": row["cost"]["flops"], VALUE: row["value"]}.get(name, row["choices"].get(name))

    levels = _levels([value(row) for row in rows])
    numbers = [level for level in levels if level is not None]
    many = 9 if canvas.width == WIDE else 5
    if name in ("flops", VALUE) or (len(levels) > many and all(type(v) in (int, float) for v in numbers)):
        low, high = numbers[0], numbers[-1]
        log = (low > 0 and high > 20 * low) or name == "flops"
        scale = Scale(low, high, start + (44 if None in levels else 0), end, log)
        ticks = scale.ticks(many - 1)
        texts = map(written(objective)(ticks) if name == VALUE else short if name == "flops" else number, ticks)
        marks = [(start, "n/a")] if None in levels else []
        marks += list(zip(map(scale, ticks), texts, strict=True))
        return lambda row, _: start if value(row) is None else scale(value(row)), _ticks(marks, y)
    width = (end - start) / len(levels)
    centres = {str(level): start + width * (i + 0.5) for i, level in enumerate(levels)}
    named = (shorten("n/a" if level is None else number(level), width, 11) for level in levels)
    drawn = _ticks(list(zip(centres.values(), named, strict=True)), y)
    return lambda row, share: centres[str(value(row))] + 0.55 * width * share, drawn


def _ticks(marks: Sequence[tuple[float, str]], y: float) -> str:
    """Ticks of an axis at these pixels, with as many of their texts as have room."""
    pixels, texts = zip(*marks, strict=True)
    drawn = "".join(line(x, y - 4, x, y + 4, "rail") for x in pixels)
    named = zip(pixels, spaced(pixels, texts), strict=True)
    return drawn + "".join(label(x, y + 16, text, "rail-tick", "middle") for x, text in named if text)


def _levels(values: Sequence[Any]) -> list[Any]:
    present = {str(v): v for v in values if v is not None}
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in present.values())
    levels = sorted(present.values(), key=(lambda v: v) if numeric else str)
    return ([None] if any(v is None for v in values) else []) + levels


# ---- importance, and confirmation


def bars(rows: Sequence[ImportanceRow]) -> str:
    """A bar for each parameter, with its interval and what is chance; pale where it is not beyond that."""
    return "".join(_bars(width, rows[:16]) for width in (WIDE, NARROW)) if rows else ""


def _bars(width: float, rows: Sequence[ImportanceRow]) -> str:
    canvas = Canvas(width, ROW * len(rows) + 40, left=190 if width == WIDE else 118, right=60, top=8, bottom=32)
    x = canvas.x(0, max(max(row["high"], row["chance"]) for row in rows) or 1)
    body = _grid(canvas, x, 5, percentages)
    for i, row in enumerate(rows):
        middle = canvas.top + ROW * (i + 0.5)
        body += label(canvas.left - 10, middle + 4, shorten(row["word"], canvas.left - 14, 12), "bar-name", "end")
        length = max(1.0, x(row["share"]) - x.start)
        css = "bar" if row["share"] > row["chance"] else "bar weak"
        body += element("rect", {"x": x.start, "y": middle - 7, "width": length, "height": 14, "rx": 2, "class": css})
        body += whisker(x(row["low"]), x(row["high"]), middle)
        body += line(x(row["chance"]), middle - 9, x(row["chance"]), middle + 9, "chance")
        body += label(x(max(row["high"], row["chance"])) + 8, middle + 4, percent(row["share"], 0), "bar-value")
    return canvas.svg(
        "importance of each choice: " + ", ".join(f"{r['word']} {percent(r['share'], 0)}" for r in rows), body
    )


def _grid(canvas: Canvas, x: Scale, limit: int, written: Callable[[Sequence[float]], Write]) -> str:
    """Lines at round values of x, `written` so, at most `limit` on a wide page."""
    body, ticks = "", x.ticks(3 if canvas.narrow else limit)
    for value, text in zip(ticks, map(written(ticks), ticks), strict=True):
        body += line(x(value), canvas.top, x(value), canvas.floor, "grid")
        body += label(x(value), canvas.floor + 18, text, "tick", "middle")
    return body


def whisker(low: float, high: float, y: float) -> str:
    """An interval: a line with ends."""
    ends = line(low, y - 4, low, y + 4, "whisker") + line(high, y - 4, high, y + 4, "whisker")
    return line(low, y, high, y, "whisker") + ends


def confirmed(rows: Sequence[ConfirmedRow], objective: Objective = BY_ACCURACY) -> str:
    """The networks that were retrained: the mean over seeds on validation and on test, each with its interval."""
    trained = [row for row in rows if row.get("validation")]
    return "".join(_confirmed(width, trained, objective) for width in (WIDE, NARROW)) if trained else ""


def _confirmed(width: float, rows: Sequence[ConfirmedRow], objective: Objective) -> str:
    canvas = Canvas(width, 38 * len(rows) + 44, left=190 if width == WIDE else 118, right=24, top=8, bottom=36)
    intervals = [interval for row in rows for interval in (row["validation"], row["test"]) if interval]
    ends = [v for i in intervals for v in (i["low"], i["high"], i["mean"]) if v is not None]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.08 or 0.01
    x = canvas.x(*within(objective, low - room, high + room))
    body = _grid(canvas, x, 6, written(objective))
    for i, row in enumerate(rows):
        middle = canvas.top + 38 * (i + 0.5)
        css = "bar-name strong" if row["winner"] else "bar-name"
        body += label(canvas.left - 10, middle + 4, shorten(row["name"], canvas.left - 14, 12), css, "end")
        splits = ((-6, "validation", "seen", row["validation"]), (6, "test", "tested", row["test"]))
        for shift, split, mark, interval in splits:
            if interval is None:
                continue
            if interval["low"] is not None and interval["high"] is not None:
                body += whisker(x(interval["low"]), x(interval["high"]), middle + shift)
            spread = f" ± {objective.number(interval['half'])}" if interval["half"] else ""
            tip = f"{row['name']}, {split}: {objective.text(interval['mean'])}{spread}, n = {interval['n']}"
            body += dot(x(interval["mean"]), middle + shift, 4.5, mark, tip=tip)
    return canvas.svg(f"{objective.label} of each retrained network with its interval", body)
