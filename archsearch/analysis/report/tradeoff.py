"""Accuracy against a cost: every trial, the Pareto front, and the networks of the literature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from archsearch.analysis.outline import short
from archsearch.analysis.report.charts import (
    Canvas,
    Scale,
    accuracies,
    both,
    diamond,
    dot,
    extent,
    line,
    log_extent,
    percent,
    polyline,
    side_label,
    stairs,
)
from archsearch.analysis.report.figures import Baseline, Document, TrialRow, winner_of
from archsearch.analysis.svg import text_width

UNITS = {"flops": "FLOPs", "params": "parameters", "macs": "MACs", "activations": "activations", "memory": "bytes of "
         "training memory", "latency": "ms latency"}  # fmt: skip


def unit(name: str) -> str:
    """What a cost is counted in, as a person writes it."""
    return UNITS.get(name, name)


def amount(name: str, value: float) -> str:
    """A cost as a person reads it."""
    return f"{value:.3g}" if name == "latency" else short(value)


def costs(row: TrialRow) -> str:
    """A trial's FLOPs and parameters."""
    return f"{amount('flops', row['cost']['flops'])} FLOPs, {amount('params', row['cost']['params'])} parameters"


class Mark(NamedTuple):
    """A trial in the chart: its cost and its accuracy."""

    trial: str
    finished: bool
    cost: float
    value: float


def tradeoff(report: Document, name: str, front: Collection[str]) -> str:
    """Both sizes of the chart of accuracy against the cost `name`; empty where no trial has a score. `front` are the
    trials that are on the Pareto front."""
    marks = [
        Mark(row["trial"], row["state"] == "finished", row["cost"][name], row["value"])
        for row in report["rows"]
        if row["value"] is not None and row["cost"].get(name)
    ]
    return both(lambda canvas: _draw(canvas, report, marks, name, set(front))) if marks else ""


def _draw(canvas: Canvas, report: Document, marks: Sequence[Mark], name: str, front: Collection[str]) -> str:
    low, high = log_extent(mark.cost for mark in marks)
    baselines = [row for row in report["baselines"] if low / 2 <= (row["cost"].get(name) or 0) <= high * 2]
    low, high = log_extent([low * 1.05, high / 1.05, *(row["cost"][name] for row in baselines)])
    x = canvas.x(low, high, log=True)
    scored = [mark.value for mark in marks] + [row["value"] for row in baselines if row["value"] is not None]
    finished = [mark.value for mark in marks if mark.finished]
    worst, top = accuracies(finished + [v for v in scored if v >= min(finished)] if len(finished) > 2 else scored)
    members = [mark.value for mark in marks if mark.trial in front]
    y = canvas.y(min(worst, extent(members)[0]) if members else worst, top)
    digits = 0 if y.high - y.low > 0.08 else 1
    body = canvas.axes(
        x, y, x_name=f"{unit(name)}, log scale", y_name="validation accuracy",
        x_text=lambda value: amount(name, value), digits=digits,
    )  # fmt: skip
    body += _limits(canvas, x, report, name)
    for row in baselines:
        if row["value"] is None:
            body += _cost_line(canvas, x(row["cost"][name]), row, baselines)
    body += _marks(marks, x, y, front, winner_of(report))
    for row in baselines:
        if row["value"] is not None:
            tip = f"{row['name']}: {percent(row['value'])}, {amount(name, row['cost'][name])} {unit(name)}"
            body += diamond(x(row["cost"][name]), y(row["value"]), 5, "other", tip + f" ({_KINDS[row['kind']]})")
    return canvas.svg(_summary(marks, name, front), body)


_KINDS = {"trained": "trained here by confirm", "published": "published test accuracy, another training", "cost": ""}


def _limits(canvas: Canvas, x: Scale, report: Document, name: str) -> str:
    """The ends of the budget, as lines."""
    body = ""
    ends = [end for bound in report["budget"] if bound["name"] == name for end in (bound["low"], bound["high"])]
    for end in ends:
        if end is not None and x.low <= end <= x.high:
            pixel = x(end)
            body += line(pixel, canvas.top, pixel, canvas.floor, "limit")
            before = pixel + text_width("budget") > canvas.width - canvas.right
            body += side_label(pixel, canvas.top + 10, "budget", "limit-name", gap=5, before=before)
    return body


def _cost_line(canvas: Canvas, x: float, row: Baseline, baselines: Sequence[Baseline]) -> str:
    """A network of which only the cost is known here: a line on the floor and its name, each a step higher."""
    step = 14 * [baseline["name"] for baseline in baselines].index(row["name"])
    body = line(x, canvas.floor - 12 - step, x, canvas.floor, "cost-line")
    before = x > canvas.width / 2
    return body + side_label(x, canvas.floor - 5 - step, row["name"], "other-name", gap=4, before=before)


def _marks(marks: Sequence[Mark], x: Scale, y: Scale, front: Collection[str], winner: str | None) -> str:
    radius = 3.4 if len(marks) > 300 else 4.5
    body = ""
    for mark in sorted(marks, key=lambda m: (m.finished, m.trial in front)):
        below = mark.value < y.low
        if mark.trial not in front and (mark.finished or not below):
            css = ("trial" if mark.finished else "trial partial") + (" below" if below else "")
            body += dot(x(mark.cost), y(mark.value), radius, css, mark.trial)
    members = sorted((mark for mark in marks if mark.trial in front), key=lambda m: m.cost)
    body += polyline(stairs([(x(mark.cost), y(mark.value)) for mark in members]), "front-line")
    for mark in members:
        body += dot(x(mark.cost), y(mark.value), 5.5, "front", mark.trial)
    for mark in marks:
        if mark.trial == winner:
            body += dot(x(mark.cost), y(mark.value), 10, "halo")
            before = x(mark.cost) > (x.start + x.end) / 2
            body += side_label(x(mark.cost), y(mark.value) + 4, mark.trial, "winner-name", gap=15, before=before)
    return body


def _summary(marks: Sequence[Mark], name: str, front: Collection[str]) -> str:
    costs = [mark.cost for mark in marks]
    return (
        f"{len(marks)} trials by accuracy and {unit(name)}, from {amount(name, min(costs))} to "
        f"{amount(name, max(costs))} {unit(name)}; {len(front)} are on the Pareto front"
    )
