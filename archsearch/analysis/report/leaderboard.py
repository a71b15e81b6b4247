"""The leaderboard: one table of all trials, which the page's script sorts, and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from archsearch.analysis.report.charts import NOTHING, number
from archsearch.analysis.report.figures import Document, TrialRow, winner_of
from archsearch.analysis.report.html import download, paragraph, section
from archsearch.analysis.report.tradeoff import amount
from archsearch.analysis.svg import clean
from archsearch.experiment.objective import Objective
from archsearch.experiment.records import Scalar

Cell = tuple[str, Any]  # what is shown, and what it is sorted by (None: last)
PRINTED = 40  # rows, on paper (style.css)


def leaderboard(report: Document) -> str:
    """The section with the table of all trials."""
    rows = ranked(report)
    if not rows:
        return ""
    varied = [name for name in _choices(rows) if len({repr(row["choices"].get(name)) for row in rows}) > 1]
    file = f"{report['experiment']}-trials.csv"
    text = (
        f"{Objective.of(report).title} on the validation images, as the search measured it. Trials that were trained "
    )
    text += "to their end come first, then those that reached a higher rung. "
    text += "A click on a column's heading sorts by it." + (" The winner is bold." if winner_of(report) else "")
    if any(name not in row["choices"] for row in rows for name in varied):
        text += " n/a: the choice does not apply to that network."
    title = f"Leaderboard: {len(rows):,} trials" if len(rows) > 1 else "Leaderboard"
    save = f'<p class="save">{download(file, "text/csv", csv_of(report), "Download CSV")}</p>'
    printed = f"On paper: the first {PRINTED} trials, without their choices; the CSV has all."
    return section(
        "leaderboard", title, paragraph(text), save, _table(report, rows, varied), paragraph(printed, "note paper")
    )


def ranked(report: Document) -> list[TrialRow]:
    """All trials: those trained to the end by their value, then the others by the epochs behind their score, then
    by it."""

    key = Objective.of(report).key

    def rank(row: TrialRow) -> tuple[bool, int, float, str]:
        finished = row["state"] == "finished" and row["value"] is not None
        return not finished, 0 if finished else -(row["epochs"] or 0), -key(row["value"] or 0.0), row["trial"]

    return sorted(report["rows"], key=rank)


def csv_of(report: Document) -> str:
    """Every trial as a line of CSV, in the order of the table: values in their own unit (accuracies are shares), all
    costs and all choices."""
    rows = ranked(report)
    costs = list(dict.fromkeys(name for row in rows for name in row["cost"]))
    choices = _choices(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("trial", "state", Objective.of(report).validation, "epochs", "epochs_trained", "seconds")
    writer.writerow((*about, *costs, "digest", "seed", *choices))
    for row in rows:
        figures = (row["trial"], row["state"], row["value"], row["epochs"], row["trained"], row["seconds"])
        writer.writerow((*figures, *(row["cost"].get(name) for name in costs), row["digest"], row["seed"],
                         *(row["choices"].get(name) for name in choices)))  # fmt: skip
    return text.getvalue()


def _choices(rows: Sequence[TrialRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["choices"]))


def _table(report: Document, rows: Sequence[TrialRow], varied: Sequence[str]) -> str:
    """The rows in their order, with a button on each column's heading; paper leaves out the class `choice`."""
    columns = _columns(report, rows)
    objective = Objective.of(report)
    first = {objective.label: ' data-first="descending"'} if objective.sense == "max" else {}  # of the first click
    head = [
        '<th scope="col" aria-sort="ascending"><button type="button">#</button></th>',
        *(f'<th scope="col"{first.get(name, "")}><button type="button">{name}</button></th>' for name in columns),
        *(f'<th scope="col" class="choice"><button type="button">{clean(name)}</button></th>' for name in varied),
    ]
    body, winner = [], winner_of(report)
    for position, row in enumerate(rows, 1):
        cells = [f"<td>{position}</td>", *(_cell(*column(row)) for column in columns.values())]
        cells += [_cell(*_choice(row, name), ' class="choice"') for name in varied]
        wins = ' class="win"' if row["trial"] == winner else ""
        body.append(f'<tr{wins} data-t="{clean(row["trial"])}">{"".join(cells)}</tr>')
    inner = f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll all" tabindex="0" role="group" aria-label="All trials"><table>{inner}</table></div>'


def _columns(report: Document, rows: Sequence[TrialRow]) -> dict[str, Callable[[TrialRow], Cell]]:
    """The columns before the choices, by their headings."""
    objective = Objective.of(report)
    front = {member["trial"] for member in report["pareto"]} if report["pareto"] else set(report["front"])

    def cost(name: str) -> Callable[[TrialRow], Cell]:
        def cell(row: TrialRow) -> Cell:
            value = row["cost"].get(name)
            return (NOTHING if value is None else amount(name, value)), value

        return cell

    columns: dict[str, Callable[[TrialRow], Cell]] = {
        "trial": lambda row: (row["trial"], row["trial"]),
        objective.label: lambda row: (NOTHING if row["value"] is None else objective.text(row["value"]), row["value"]),
        "epochs": lambda row: (NOTHING if row["epochs"] is None else str(row["epochs"]), row["epochs"]),
        "state": lambda row: (row["state"], row["state"]),
        "FLOPs": cost("flops"),
        "parameters": cost("params"),
        "latency, ms": cost("latency"),
        "Pareto front": lambda row: ("yes", 0) if row["trial"] in front else ("", 1),
        "seconds": lambda row: (f"{row['seconds']:.1f}", row["seconds"]),
    }
    if not any("latency" in row["cost"] for row in rows):
        del columns["latency, ms"]
    return columns


def _choice(row: TrialRow, name: str) -> Cell:
    value: Scalar | None = row["choices"].get(name)
    return ("n/a", None) if name not in row["choices"] else (number(value), value)


def _cell(text: str, value: Any, css: str = "") -> str:
    """A cell; `data-v` is what it is sorted by, where that is not its text."""
    key = "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
    return f"<td{css}{'' if key == text else f' data-v={chr(34)}{clean(key)}{chr(34)}'}>{clean(text)}</td>"
