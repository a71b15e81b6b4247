"""Lines over time: learning curves by rung, the best so far against trials and hours, and distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.analysis.report.charts import (
    Canvas,
    band,
    both,
    dot,
    extent,
    label,
    line,
    percent,
    polyline,
    steps,
)

ALL = 300  # curves; of more, all that finished and an even choice of the others


def learning(found: Mapping[str, Any]) -> tuple[str, str]:
    """The curves, with the rungs as lines; and what was left out of them."""
    rows = [row for row in found["rows"] if row["curve"]]
    done = [row for row in rows if row["state"] == "finished"]
    others = [row for row in rows if row["state"] != "finished"]
    room = max(0, ALL - len(done))
    shown = others if len(others) <= room else [others[i * len(others) // max(1, room)] for i in range(room)]
    said = (
        f"{len(shown)} of {len(others)} trials that were not trained to the end are drawn."
        if len(shown) < len(others)
        else ""
    )
    if not rows:
        return "", ""
    return both(lambda canvas: _learning(canvas, found, [*shown, *done[-ALL:]])), said


def _learning(canvas: Canvas, found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    most = max(epoch for row in rows for epoch, _ in row["curve"])
    x = canvas.x(1 if most > 1 else 0, max(most, 2))
    y = canvas.y(*extent([max(0.0, min(v for row in rows for _, v in row["curve"])),
                          max(v for row in rows for _, v in row["curve"])], margin=0.04))  # fmt: skip
    y = canvas.y(max(0.0, y.low), min(1.0, y.high))
    body = canvas.axes(
        x, y, x_name="epoch", y_name="validation accuracy", x_text=_whole, y_text=lambda v: percent(v, 0)
    )
    for level in sorted({rung["epochs"] for rung in found["rungs"]}):
        if x.low <= level <= x.high:
            body += line(x(level), canvas.top, x(level), canvas.floor, "rung")
            body += label(x(level) + 4, canvas.floor - 6, "rung", "rung-name")
    winner = (found["winner"] or {}).get("trial")
    for row in rows:
        points = [(x(epoch), y(value)) for epoch, value in row["curve"]]
        best = row["trial"] == winner
        css = "curve best" if best else "curve done" if row["state"] == "finished" else "curve"
        body += polyline(points, css, row["trial"]) if len(points) > 1 else ""
        if row["state"] != "finished" or best:
            body += dot(*points[-1], 3.2 if best else 2, "tip-best" if best else "tip-end", row["trial"])
    return canvas.svg(f"validation accuracy by epoch of {len(rows)} trials, up to {most} epochs", body)


def _whole(value: float) -> str:
    return f"{value:g}" if value == int(value) else ""


def best_so_far(found: Mapping[str, Any], axis: str) -> str:
    """Against `trials` or `hours`, with random search's expectation."""
    said = found["progress"]
    if not said["finished"] and (axis == "hours" or not said["compared"]):
        return ""
    return both(lambda canvas: _so_far(canvas, said, axis), wide=340, narrow=300)


def _so_far(canvas: Canvas, said: Mapping[str, Any], axis: str) -> str:
    factor, unit = _unit(said, axis)
    lines = _so_far_lines(said, axis)
    each = _each(said, axis)
    random = said["random"].get("best") if each else None
    values = [value for _, points in lines for _, value in points] + (random["expected"] if random else [])
    ends = [points[-1][0] for _, points in lines] + ([random["n"][-1] * each] if random else [])
    x = canvas.x(0, factor * max([said[axis], *ends]) or 1)
    y = canvas.y(*extent(values))
    body = canvas.axes(
        x, y, x_name=unit, y_name="best so far", x_text=lambda v: f"{v:g}", y_text=lambda v: percent(v, 1)
    )
    if random and each:
        upper, lower, middle = (
            [(x(factor * n * each), y(v)) for n, v in zip(random["n"], random[key], strict=True)]
            for key in ("high", "low", "expected")
        )
        body += band(upper, lower, "expected-band") + polyline(middle, "expected")
    for css, points in lines:
        end = x(factor * max(said[axis], points[-1][0]))
        body += steps([(x(factor * at), y(value)) for at, value in points], end, f"steps {css}")
    return canvas.svg(f"best accuracy so far against {unit}", body)


def _unit(said: Mapping[str, Any], axis: str) -> tuple[float, str]:
    """What the axis is multiplied by, and what it then counts."""
    if axis == "trials":
        return 1.0, "trials"
    share = said["gpus"] or 1.0
    whose, most = ("GPU" if said["gpus"] else "workers'"), said["hours"] * share
    factor, name = (3600, "seconds") if most < 1 / 15 else (60, "minutes") if most < 3 else (1, "hours")
    return share * factor, f"{whose} {name}"


def _so_far_lines(said: Mapping[str, Any], axis: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """(class, points) of what is drawn. The comparable scores are drawn against trials alone."""
    keys = {"rung-best": "compared", "full-best": "finished", "random-search": "random_search"}
    if said["level"] == said["full"] or axis == "hours":
        del keys["rung-best"]
    return [(css, [(float(row[axis]), row["value"]) for row in said[key]]) for css, key in keys.items() if said[key]]


def _each(said: Mapping[str, Any], axis: str) -> float | None:
    """How far along the axis one random draw takes; None where that cannot be told."""
    each: float | None = said["random"].get("hours_each")
    return 1.0 if axis == "trials" else each


def distributions(found: Mapping[str, Any]) -> str:
    """The EDF of the space and of the search, with their bands."""
    said = found["distribution"]
    drawn = [(css, said[key]) for css, key in (("edf-search", "search"), ("edf-space", "space"))
             if said[key] is not None and not (key == "search" and said["all_random"])]  # fmt: skip
    return edfs(drawn, f"accuracy after {said['level']} epoch{'' if said['level'] == 1 else 's'}") if drawn else ""


def edfs(drawn: Sequence[tuple[str, Mapping[str, Any]]], x_name: str) -> str:
    """EDFs with their bands, in classes of one's own."""
    return both(lambda canvas: _edfs(canvas, drawn, x_name), wide=360, narrow=310)


def _edfs(canvas: Canvas, drawn: Sequence[tuple[str, Mapping[str, Any]]], x_name: str) -> str:
    x = canvas.x(*extent([v for _, one in drawn for v in one["x"]], margin=0.03))
    x = canvas.x(max(0.0, x.low), min(1.0, x.high) if x.high <= 1.2 else x.high)
    y = canvas.y(0, 1)
    digits = 0 if x.high - x.low > 0.05 else 1
    body = canvas.axes(x, y, x_name=x_name, y_name="share of networks at most this accurate",
                       x_text=lambda v: percent(v, digits), y_text=lambda v: percent(v, 0))  # fmt: skip
    for css, one in drawn:
        upper, lower = ([(x(at), y(v)) for at, v in zip(one["x"], one[key], strict=True)] for key in ("high", "low"))
        body += band(upper, lower, f"{css}-band")
    for css, one in drawn:
        start = [(x(one["x"][0]), y(0))]
        body += steps(
            [*start, *((x(at), y(v)) for at, v in zip(one["x"], one["share"], strict=True))], x(x.high), f"steps {css}"
        )
    return canvas.svg("empirical distribution of accuracies", body)
