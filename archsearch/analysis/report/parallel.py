"""Parallel coordinates: a line a trial through its words, cost and accuracy. And bars and dots with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.analysis.outline import short
from archsearch.analysis.report.charts import NARROW, WIDE, Canvas, Scale, dot, label, line, number, percent, polyline
from archsearch.analysis.svg import element, shorten

ALL, MOST_AXES = 300, 11
ROW, GAP = 30.0, 12.0


def parallel(found: Mapping[str, Any]) -> tuple[str, str]:
    """The chart, an axis a row, so that it fits a telephone too; and what was left out."""
    rows = sorted((row for row in found["rows"] if row["value"] is not None), key=lambda row: row["value"])
    names = _axes(found, rows)
    if len(rows) < 2 or not names:
        return "", ""
    shown = rows if len(rows) <= ALL else [*rows[: -ALL // 2][:: max(1, 2 * len(rows) // ALL)], *rows[-ALL // 2 :]]
    varied = {name for row in rows for name in row["choices"]}
    said = (
        f"{len(names)} of {len(varied)} choices are drawn, those of the most important words. "
        if len(names) < len(varied)
        else ""
    )
    said += f"{len(shown)} of {len(rows)} trials are drawn, the best among them." if len(shown) < len(rows) else ""
    return _chart(WIDE, names, shown, found) + _chart(NARROW, names, shown, found), said


def _axes(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Choices in which trials differ, the most important words first."""
    order = [row["word"] for row in found["importance"]["words"]]
    names = dict.fromkeys(name for row in rows for name in row["choices"])
    varied = [name for name in names if len({str(row["choices"].get(name)) for row in rows}) > 1]

    def rank(name: str) -> int:
        word = name.split(".", 1)[1] if name.startswith("stage") and "." in name else name
        return order.index(word) if word in order else len(order)

    return sorted(varied, key=rank)[:MOST_AXES]


def _chart(width: float, names: Sequence[str], rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    left = 150.0 if width == WIDE else 12.0
    step = 46.0 if width == WIDE else 58.0
    canvas = Canvas(width, step * (len(names) + 2) + 24, left=left, right=24.0 if width == WIDE else 14.0, top=30)
    axes: list[tuple[str, Any, float]] = []
    body, names_said = "", ""
    for place, name in enumerate([*names, "flops", "accuracy"]):
        at = canvas.top + step * place + (0 if width == WIDE else 14)
        scale, drawn = _axis(canvas, name, at, rows)
        body += line(canvas.left, at, canvas.width - canvas.right, at, "rail")
        names_said += drawn
        said = {"flops": "FLOPs"}.get(name, name)
        if width == WIDE:
            names_said += label(left - 16, at + 4, shorten(said, left - 20, 12), "rail-name", "end")
        else:
            names_said += label(canvas.left - 8, at - 14, said, "rail-name")
        axes.append((name, scale, at))
    winner = (found["winner"] or {}).get("trial")
    top = {row["trial"] for row in rows[-max(1, len(rows) // 10) :]}
    for rank, row in enumerate(rows):
        share = rank / max(1, len(rows) - 1) - 0.5  # within a value the better trials lie further right
        points = [(_place(scale, name, row, share), at) for name, scale, at in axes]
        css = "thread best" if row["trial"] == winner else "thread top" if row["trial"] in top else "thread"
        body += polyline(points, css, row["trial"])
    return canvas.svg(
        f"parallel coordinates of {len(rows)} trials: {', '.join(names)}, FLOPs, accuracy", body + names_said
    )


def _axis(canvas: Canvas, name: str, at: float, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, str]:
    """A scale for an axis' values, and its ticks."""
    start, end = canvas.left + 10, canvas.width - canvas.right - 10
    if name in ("flops", "accuracy"):
        values = [row["value"] if name == "accuracy" else row["cost"]["flops"] for row in rows]
        scale = Scale(min(values), max(values), start, end, name == "flops")
        text = percent if name == "accuracy" else short
        ends = ((min(values), "start"), (max(values), "end"))
        return scale, "".join(label(scale(v), at + 16, text(v), "rail-tick", anchor) for v, anchor in ends)
    values = _levels([row["choices"].get(name) for row in rows])
    places = {str(value): start + (end - start) * (i + 0.5) / len(values) for i, value in enumerate(values)}
    most = 9 if canvas.width == WIDE else 5
    every = -(-len(values) // most)
    drawn = "".join(line(x, at - 4, x, at + 4, "rail") for x in places.values()) if len(values) <= 40 else ""
    room = (end - start) / len(values) * every
    for i, value in enumerate(values):
        if i % every == 0:
            said = shorten("not asked" if value is None else number(value), room, 10)
            drawn += label(places[str(value)], at + 16, said, "rail-tick", "middle")
    return (places, (end - start) / len(values)), drawn


def _levels(values: Sequence[Any]) -> list[Any]:
    asked = {str(v): v for v in values if v is not None}
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in asked.values())
    levels = sorted(asked.values(), key=(lambda v: v) if numeric else str)
    return ([None] if any(v is None for v in values) else []) + levels


def _place(scale: Any, name: str, row: Mapping[str, Any], share: float) -> float:
    if name == "accuracy":
        return float(scale(row["value"]))
    if name == "flops":
        return float(scale(row["cost"]["flops"]))
    places, room = scale
    return float(places[str(row["choices"].get(name))] + 0.55 * room * share)


# ---- importance, and confirmation


def bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """A bar a word, with its interval."""
    return "".join(_bars(width, rows[:16]) for width in (WIDE, NARROW)) if rows else ""


def _bars(width: float, rows: Sequence[Mapping[str, Any]]) -> str:
    canvas = Canvas(width, ROW * len(rows) + 40, left=190 if width == WIDE else 118, right=60, top=8, bottom=32)
    x = canvas.x(0, max(row["high"] for row in rows) or 1)
    body = ""
    for value in x.ticks(5 if width == WIDE else 3):
        body += line(x(value), canvas.top, x(value), canvas.floor, "grid")
        body += label(x(value), canvas.floor + 18, percent(value, 0), "tick", "middle")
    for place, row in enumerate(rows):
        middle = canvas.top + ROW * (place + 0.5)
        body += label(canvas.left - 10, middle + 4, shorten(row["word"], canvas.left - 14, 12), "bar-name", "end")
        attributes = {
            "x": x.start,
            "y": middle - 7,
            "width": max(1.0, x(row["share"]) - x.start),
            "height": 14,
            "rx": 2,
        }
        body += element("rect", {**attributes, "class": "bar"})
        body += whisker(x(row["low"]), x(row["high"]), middle)
        body += label(x(row["high"]) + 8, middle + 4, percent(row["share"], 0), "bar-value")
    return canvas.svg(
        "importance of each word: " + ", ".join(f"{r['word']} {percent(r['share'], 0)}" for r in rows), body
    )


def whisker(low: float, high: float, y: float) -> str:
    """An interval: a line with ends."""
    ends = line(low, y - 4, low, y + 4, "whisker") + line(high, y - 4, high, y + 4, "whisker")
    return line(low, y, high, y, "whisker") + ends


def confirmed(rows: Sequence[Mapping[str, Any]]) -> str:
    """What confirmation found: the mean over seeds on validation and on test, each with its interval."""
    known = [row for row in rows if row.get("validation")]
    return "".join(_confirmed(width, known) for width in (WIDE, NARROW)) if known else ""


def _confirmed(width: float, rows: Sequence[Mapping[str, Any]]) -> str:
    canvas = Canvas(width, 38 * len(rows) + 44, left=190 if width == WIDE else 118, right=24, top=8, bottom=36)
    found = [own for row in rows for own in (row["validation"], row["test"]) if own]
    ends = [v for own in found for v in (own["low"], own["high"], own["mean"]) if v is not None]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.08 or 0.01
    x = canvas.x(max(0.0, low - room), min(1.0, high + room))
    body = ""
    for value in x.ticks(6 if width == WIDE else 3):
        body += line(x(value), canvas.top, x(value), canvas.floor, "grid")
        body += label(x(value), canvas.floor + 18, percent(value, 1), "tick", "middle")
    for place, row in enumerate(rows):
        middle = canvas.top + 38 * (place + 0.5)
        css = "bar-name strong" if row["winner"] else "bar-name"
        body += label(canvas.left - 10, middle + 4, shorten(row["name"], canvas.left - 14, 12), css, "end")
        for shift, key, mark in ((-6, "validation", "seen"), (6, "test", "tested")):
            own = row.get(key)
            if own is None:
                continue
            if own["low"] is not None:
                body += whisker(x(own["low"]), x(own["high"]), middle + shift)
            tip = f"{row['name']}, {key}: {percent(own['mean'], 2)}" + (
                f" ± {100 * own['half']:.2f}" if own["half"] else ""
            )
            body += dot(x(own["mean"]), middle + shift, 4.5, mark, tip=f"{tip}, n = {own['n']}")
    return canvas.svg("accuracy of each retrained network with its interval", body)
