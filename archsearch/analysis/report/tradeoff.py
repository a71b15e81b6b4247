"""Accuracy against a cost: every trial, the Pareto front, and the networks of the literature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.analysis.outline import short
from archsearch.analysis.report.charts import (
    Canvas,
    accuracies,
    both,
    diamond,
    dot,
    extent,
    label,
    line,
    log_extent,
    percent,
    polyline,
)
from archsearch.analysis.svg import text_width

UNITS = {"flops": "FLOPs", "params": "parameters", "macs": "MACs", "activations": "activations", "memory": "bytes of "
         "training memory", "latency": "ms latency"}  # fmt: skip


def unit(name: str) -> str:
    """What a cost is counted in, in words."""
    return UNITS.get(name, name)


def amount(name: str, value: float) -> str:
    """A cost as a person reads it."""
    return f"{value:.3g}" if name == "latency" else short(value)


def tradeoff(found: Mapping[str, Any], name: str, front: list[str]) -> str:
    """Both sizes of the chart; empty where no trial has a score."""
    rows = [row for row in found["rows"] if row["value"] is not None and row["cost"].get(name)]
    return both(lambda canvas: _draw(canvas, found, rows, name, front)) if rows else ""


def _draw(canvas: Canvas, found: Mapping[str, Any], rows: list[dict[str, Any]], name: str, front: list[str]) -> str:
    others = [row for row in found["baselines"] if row["cost"].get(name)]
    low, high = log_extent(row["cost"][name] for row in rows)
    near = [row for row in others if low / 2 <= row["cost"][name] <= high * 2]
    low, high = log_extent([low * 1.05, high / 1.05, *(row["cost"][name] for row in near)])
    x = canvas.x(low, high, log=True)
    scored = [row["value"] for row in [*rows, *near] if row["value"] is not None]
    done = [row["value"] for row in rows if row["state"] == "finished"]
    low_, high_ = accuracies(done + [v for v in scored if v >= min(done)] if len(done) > 2 else scored)
    members = [row["value"] for row in rows if row["trial"] in set(front)]
    y = canvas.y(min(low_, extent(members)[0]) if members else low_, high_)
    body = canvas.axes(
        x, y, x_name=f"{unit(name)}, log scale", y_name="validation accuracy",
        x_text=lambda value: amount(name, value), y_text=lambda value: percent(value, _digits(y.high - y.low)),
    )  # fmt: skip
    body += _limits(canvas, x, found, name)
    for row in near:
        if row["value"] is None:
            body += _cost_line(canvas, x(row["cost"][name]), row, near)
    body += _marks(rows, x, y, name, front, found)
    for row in near:
        if row["value"] is not None:
            tip = f"{row['name']}: {percent(row['value'])}, {amount(name, row['cost'][name])} {unit(name)}"
            body += diamond(x(row["cost"][name]), y(row["value"]), 5, "other", tip + f" ({_KINDS[row['kind']]})")
    return canvas.svg(_words(rows, name, front), body)


_KINDS = {"trained": "trained here by confirm", "published": "published test accuracy, another training", "cost": ""}


def _digits(span: float) -> int:
    return 0 if span > 0.08 else 1


def _limits(canvas: Canvas, x: Any, found: Mapping[str, Any], name: str) -> str:
    body = ""
    for bound in found["budget"]:
        if bound["name"] != name:
            continue
        for end in (bound["low"], bound["high"]):
            if end is not None and x.low <= end <= x.high:
                at = x(end)
                body += line(at, canvas.top, at, canvas.floor, "limit")
                left = at + text_width("budget") > canvas.width - canvas.right
                body += label(
                    at + (-5 if left else 5), canvas.top + 10, "budget", "limit-name", "end" if left else "start"
                )
    return body


def _cost_line(canvas: Canvas, at: float, row: Mapping[str, Any], near: list[dict[str, Any]]) -> str:
    """A network of which only the cost is known here: a line on the floor and its name, each a step higher."""
    step = 14 * [r["name"] for r in near].index(row["name"])
    left = at > canvas.width / 2
    body = line(at, canvas.floor - 12 - step, at, canvas.floor, "cost-line")
    return body + label(
        at + (-4 if left else 4), canvas.floor - 5 - step, row["name"], "other-name", "end" if left else "start"
    )


def _marks(rows: list[dict[str, Any]], x: Any, y: Any, name: str, front: list[str], found: Mapping[str, Any]) -> str:
    radius = 3.4 if len(rows) > 300 else 4.5
    winner = (found["winner"] or {}).get("trial")
    members = [row for row in rows if row["trial"] in set(front)]
    members.sort(key=lambda row: row["cost"][name])
    body = ""
    for row in sorted(rows, key=lambda r: (r["state"] == "finished", r["trial"] in set(front))):
        place = x(row["cost"][name]), y(row["value"])
        below = " below" if row["value"] < y.low else ""
        if row["trial"] not in set(front) and not (below and row["state"] != "finished"):
            body += dot(
                *place, radius, ("trial" if row["state"] == "finished" else "trial partial") + below, row["trial"]
            )
    corners: list[tuple[float, float]] = []
    for row in members:
        at, up = x(row["cost"][name]), y(row["value"])
        corners += [(at, corners[-1][1]), (at, up)] if corners else [(at, up)]
    body += polyline(corners, "front-line") if len(corners) > 1 else ""
    for row in members:
        body += dot(x(row["cost"][name]), y(row["value"]), 5.5, "front", row["trial"])
    best = next((row for row in rows if row["trial"] == winner), None)
    if best is not None:
        at, up = x(best["cost"][name]), y(best["value"])
        body += dot(at, up, 10, "halo")
        left = at > (x.start + x.end) / 2
        body += label(at + (-15 if left else 15), up + 4, best["trial"], "winner-name", "end" if left else "start")
    return body


def _words(rows: list[dict[str, Any]], name: str, front: list[str]) -> str:
    costs = [row["cost"][name] for row in rows]
    return (
        f"{len(rows)} trials by accuracy and {unit(name)}, from {amount(name, min(costs))} to "
        f"{amount(name, max(costs))} {unit(name)}; {len(front)} are on the Pareto front"
    )
