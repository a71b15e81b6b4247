"""Lines over time: learning curves by rung, the best so far against trials and hours, and distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from archsearch.analysis.distributions import Edf
from archsearch.analysis.report import charts
from archsearch.analysis.report.figures import Document, Progress, TrialRow, winner_of
from archsearch.experiment.objective import ACCURACY, BY_ACCURACY, Objective
from archsearch.experiment.records import trial_id

LIMIT = 300  # curves; of more, all that finished and an even choice of the others
Axis = Literal["trials", "hours"]
Curve = Literal["curve", "training_curve"]  # of a row of the document


def learning(report: Document, *, training: bool = False) -> tuple[str, str]:
    """The learning curves on the validation images, or in `training`, with the rungs as lines; and a sentence on those
    that are not drawn."""
    which: Curve = "training_curve" if training else "curve"
    rows = [row for row in report["rows"] if row[which]]
    if not rows:
        return "", ""
    finished = [row for row in rows if row["state"] == "finished"]
    partial = [row for row in rows if row["state"] != "finished"]
    room = max(0, LIMIT - len(finished))
    drawn = partial if len(partial) <= room else [partial[i * len(partial) // max(1, room)] for i in range(room)]
    note = f"{len(drawn)} of {len(partial)} trials that were not trained to the end are drawn."
    chart = charts.both(lambda canvas: _learning(canvas, report, [*drawn, *finished[-LIMIT:]], which))
    return chart, note if len(drawn) < len(partial) else ""


def _learning(canvas: charts.Canvas, report: Document, rows: Sequence[TrialRow], which: Curve) -> str:
    """Curves of one split. Both charts have the same axes."""
    last = max(epoch for row in rows for epoch, _ in row["curve"])
    x = canvas.x(1 if last > 1 else 0, max(last, 2))
    values = [value for row in rows for _, value in (*row["curve"], *row["training_curve"])]
    objective = Objective.of(report)
    y = canvas.y(
        *charts.within(objective, *charts.extent(charts.within(objective, min(values), max(values)), margin=0.04))
    )
    split = "validation" if which == "curve" else "training"
    body = canvas.axes(x, y, x_name="epoch", y_name=f"{split} {objective.label}", x_text=_whole,
                       written=charts.written(objective))  # fmt: skip
    for level in sorted({rung["epochs"] for rung in report["rungs"]}):
        if x.low <= level <= x.high:
            body += charts.line(x(level), canvas.top, x(level), canvas.floor, "rung")
            body += charts.label(x(level), canvas.top - 4, "rung", "rung-name", "middle")
    winner = winner_of(report)
    for row in rows:
        curve = [(x(epoch), y(value)) for epoch, value in row[which]]
        best = row["trial"] == winner
        css = "curve best" if best else "curve done" if row["state"] == "finished" else "curve"
        body += charts.polyline(curve, css, row["trial"])
        if best and which == "curve":
            body += charts.polyline(
                [(x(epoch), y(value)) for epoch, value in row["training_curve"]], "curve best training"
            )
        if row["state"] != "finished" or best:
            body += charts.dot(*curve[-1], 3.2 if best else 2, "tip-best" if best else "tip-end", row["trial"])
    return canvas.svg(f"{split} {objective.label} by epoch of {len(rows)} trials, up to {last} epochs", body)


def _whole(value: float) -> str:
    return f"{value:g}" if value == int(value) else ""


def best_so_far(report: Document, axis: Axis) -> str:
    """The best value so far against `trials` or `hours`, with what random draws are expected to find."""
    progress, objective = report["progress"], Objective.of(report)
    if not progress["finished"] and (axis == "hours" or not progress["compared"]):
        return ""
    return charts.both(lambda canvas: _so_far(canvas, progress, axis, objective), wide=340, narrow=300)


def _so_far(canvas: charts.Canvas, progress: Progress, axis: Axis, objective: Objective) -> str:
    factor, unit = _unit(progress, axis)
    lines = _so_far_lines(progress, axis)
    draw = 1.0 if axis == "trials" else progress["random"].get("hours_each")  # along the axis, of one random draw
    random = progress["random"].get("best") if draw else None
    values = [value for _, rises in lines for _, value in rises] + (random["median"] if random else [])
    ends = [rises[-1][0] for _, rises in lines] + ([random["n"][-1] * draw] if random and draw else [])
    x = canvas.x(0, factor * max([progress[axis], *ends]) or 1)
    y = canvas.y(*charts.extent(values))
    body = canvas.axes(x, y, x_name=unit, y_name=f"best validation {objective.label} so far",
                       x_text=lambda v: f"{v:g}", written=charts.written(objective))  # fmt: skip
    if random and draw:
        at = [factor * n * draw for n in random["n"]]
        bounds = [(a, low, high) for a, low, high in zip(at, random["low"], random["high"], strict=True)
                  if low is not None and high is not None]  # fmt: skip
        bounded, lows, highs = zip(*bounds, strict=True)
        body += charts.band(charts.points(x, y, bounded, highs), charts.points(x, y, bounded, lows), "expected-band")
        body += charts.polyline(charts.points(x, y, at, random["median"]), "expected")
    covered: list[tuple[float, float]] = []
    for css, rises in lines:
        end = x(factor * max(progress[axis], rises[-1][0]))
        corners = charts.steps([(x(factor * at), y(value)) for at, value in rises], end)
        body += charts.polyline(corners, f"steps {css}")
        covered += charts.along(corners)
    for rise in progress["finished"]:
        body += charts.dot(x(factor * rise[axis]), y(rise["value"]), 4, "tip-best", trial_id(rise["trial"]))
    if progress["finished"]:
        last = progress["finished"][-1]
        name = trial_id(last["trial"])
        body += charts.callout(canvas, x(factor * last[axis]), y(last["value"]), name, "winner-name", covered)
    return canvas.svg(f"best {objective.label} so far against {unit}", body)


def _unit(progress: Progress, axis: Axis) -> tuple[float, str]:
    """The factor of the axis, and the unit that it then has."""
    if axis == "trials":
        return 1.0, "trials with a score"
    share = progress["gpus"] or 1.0
    whose, total = ("GPU" if progress["gpus"] else "workers'"), progress["hours"] * share
    factor, name = (3600, "seconds") if total < 1 / 15 else (60, "minutes") if total < 3 else (1, "hours")
    return share * factor, f"{whose} {name}"


def _so_far_lines(progress: Progress, axis: Axis) -> list[tuple[str, list[tuple[float, float]]]]:
    """(class, points) of each line. The scores that can be compared are drawn against trials alone."""
    lines = {"full-best": progress["finished"], "random-search": progress["random_search"]}
    if progress["level"] != progress["full"] and axis == "trials":
        lines = {"rung-best": progress["compared"], **lines}
    return [(css, [(float(rise[axis]), rise["value"]) for rise in rises]) for css, rises in lines.items() if rises]


def distributions(report: Document) -> str:
    """The EDF of the space and of the search, with their bands."""
    distribution = report["distribution"]
    search, space = distribution["search"], distribution["space"]
    drawn: list[tuple[str, Edf]] = [("edf-search", search)] if search and not distribution["all_random"] else []
    drawn += [("edf-space", space)] if space else []
    return edfs(drawn, f"after {charts.epochs(distribution['level'])}", Objective.of(report)) if drawn else ""


def edfs(drawn: Sequence[tuple[str, Edf]], after: str, objective: Objective = BY_ACCURACY) -> str:
    """EDFs with their bands, each with its CSS class, of values of the objective's metric `after` so many epochs."""
    return charts.both(lambda canvas: _edfs(canvas, drawn, after, objective), wide=360, narrow=310)


def _edfs(canvas: charts.Canvas, drawn: Sequence[tuple[str, Edf]], after: str, objective: Objective) -> str:
    x = canvas.x(*charts.extent([v for _, edf in drawn for v in edf["x"]], margin=0.03))
    x = canvas.x(*charts.within(objective, x.low, x.high))
    y = canvas.y(0, 1)
    at_most = "at most this accurate" if objective.name == ACCURACY else f"with at most this {objective.label}"
    body = canvas.axes(x, y, x_name=f"{objective.label} {after}", y_name=f"share of networks {at_most}",
                       x_text=charts.written(objective)(x.ticks(4 if canvas.narrow else 8)))  # fmt: skip
    for css, edf in drawn:
        if edf["low"]:  # between two values the limits are those of the lower one, as the curve is
            upper, lower = (
                charts.stairs(charts.points(x, y, edf["x"], shares)) for shares in (edf["high"], edf["low"])
            )
            body += charts.band(upper, lower, f"{css}-band")
    for css, edf in drawn:
        corners = [(x(edf["x"][0]), y(0)), *charts.points(x, y, edf["x"], edf["share"])]
        body += charts.polyline(charts.steps(corners, x(x.high)), f"steps {css}")
    return canvas.svg(f"empirical distribution of {objective.plural}", body)
