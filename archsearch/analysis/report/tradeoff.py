"""The search's metric against a cost: every trial, the Pareto front, and the networks of the literature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from archsearch.analysis.outline import short
from archsearch.analysis.report.charts import (
    LETTER,
    Canvas,
    Scale,
    along,
    both,
    callout,
    diamond,
    dot,
    label,
    line,
    log_extent,
    polyline,
    scores,
    stairs,
    written,
)
from archsearch.analysis.report.figures import Document, TrialRow, winner_of
from archsearch.analysis.svg import text_width
from archsearch.experiment.objective import Objective

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
    """A trial in the chart: its cost and its value of the search's metric."""

    trial: str
    finished: bool
    cost: float
    value: float


def tradeoff(report: Document, name: str, front: Collection[str]) -> str:
    """Both sizes of the chart of the search's metric against the cost `name`; empty where no trial has a score. `front`
    are the trials that are on the Pareto front."""
    marks = [
        Mark(row["trial"], row["state"] == "finished", row["cost"][name], row["value"])
        for row in report["rows"]
        if row["value"] is not None and row["cost"].get(name)
    ]
    return both(lambda canvas: _draw(canvas, report, marks, name, set(front))) if marks else ""


def _draw(canvas: Canvas, report: Document, marks: Sequence[Mark], name: str, front: Collection[str]) -> str:
    objective = Objective.of(report)
    low, high = min(mark.cost for mark in marks) / 2, max(mark.cost for mark in marks) * 2
    baselines = [row for row in report["baselines"] if low <= (row["cost"].get(name) or 0) <= high]
    scored = [mark.value for mark in marks] + [row["value"] for row in baselines if row["value"] is not None]
    finished = [mark.value for mark in marks if mark.finished]
    if len(finished) > 2:
        worst = min(finished, key=objective.key)
        scored = finished + [value for value in scored if not objective.better(worst, value)]
    y = canvas.y(*scores(objective, scored, [mark.value for mark in marks if mark.trial in front]))
    winner = winner_of(report)
    end = y.low if objective.sense == "max" else y.high
    marks = [mark for mark in marks if mark.finished or mark.trial == winner or not objective.better(end, mark.value)]
    x = canvas.x(*log_extent([mark.cost for mark in marks] + [row["cost"][name] for row in baselines]), log=True)
    body = canvas.axes(
        x, y, x_name=f"{unit(name)}, log scale", y_name=f"validation {objective.label}",
        x_text=lambda value: amount(name, value), written=written(objective),
    )  # fmt: skip
    body += _limits(canvas, x, report, name)
    spots = [(x(mark.cost), y(mark.value)) for mark in marks]
    spots += [(x(row["cost"][name]), canvas.floor if row["value"] is None else y(row["value"])) for row in baselines]
    for row in baselines:
        if row["value"] is None:
            at = x(row["cost"][name])
            body += line(at, canvas.floor - 12, at, canvas.floor, "cost-line")
            body += callout(canvas, at, canvas.floor - 12, row["name"], "other-name", spots)
    body += _marks(canvas, objective, marks, x, y, front, winner, spots)
    for row in baselines:
        if row["value"] is not None:
            tip = f"{row['name']}: {objective.text(row['value'], 1)}, {amount(name, row['cost'][name])} {unit(name)}"
            body += diamond(x(row["cost"][name]), y(row["value"]), 5, "other", tip + f" ({_KINDS[row['kind']]})")
    return canvas.svg(_summary(objective, marks, name, front), body)


_ENDS: dict[Literal["low", "high"], str] = {"low": "budget from", "high": "budget"}
_KINDS = {"trained": "trained here by confirm", "published": "published test accuracy, another training", "cost": ""}


def _limits(canvas: Canvas, x: Scale, report: Document, name: str) -> str:
    """The ends of the budget, as lines with their amounts above the chart."""
    body = ""
    ends = [(text, bound[end]) for bound in report["budget"] if bound["name"] == name for end, text in _ENDS.items()]
    for text, end in ends:
        if end is not None and x.low <= end <= x.high:
            pixel, written = x(end), f"{text} {amount(name, end)}"
            body += line(pixel, canvas.top, pixel, canvas.floor, "limit")
            middle = min(pixel, canvas.width - text_width(written, LETTER) / 2)
            body += label(middle, canvas.top - 3, written, "limit-name", "middle")
    return body


def _marks(
    canvas: Canvas, objective: Objective, marks: Sequence[Mark], x: Scale, y: Scale, front: Collection[str],
    winner: str | None, spots: list[tuple[float, float]],
) -> str:  # fmt: skip
    """The trials, the Pareto front and the winner's name, which covers none of the `spots`."""
    end = y.low if objective.sense == "max" else y.high
    radius = 3.4 if len(marks) > 300 else 4.5
    body = ""
    for mark in sorted(marks, key=lambda m: (m.finished, m.trial in front)):
        if mark.trial not in front:
            css = ("trial" if mark.finished else "trial partial") + (
                " below" if objective.better(end, mark.value) else ""
            )
            body += dot(x(mark.cost), y(mark.value), radius, css, mark.trial)
    members = sorted((mark for mark in marks if mark.trial in front), key=lambda m: m.cost)
    front_line = stairs([(x(mark.cost), y(mark.value)) for mark in members])
    spots += along(front_line)
    body += polyline(front_line, "front-line")
    for mark in members:
        body += dot(x(mark.cost), y(mark.value), 5.5, "front", mark.trial)
    for mark in marks:
        if mark.trial == winner:
            body += dot(x(mark.cost), y(mark.value), 10, "halo")
            body += callout(canvas, x(mark.cost), y(mark.value), mark.trial, "winner-name", spots)
    return body


def _summary(objective: Objective, marks: Sequence[Mark], name: str, front: Collection[str]) -> str:
    costs = [mark.cost for mark in marks]
    return (
        f"{len(marks)} trials by {objective.label} and {unit(name)}, from {amount(name, min(costs))} to "
        f"{amount(name, max(costs))} {unit(name)}; {len(front)} are on the Pareto front"
    )
