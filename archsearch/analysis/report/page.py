"""The page: its sections in the order in which a reader asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from archsearch.analysis.report import findings, story
from archsearch.analysis.report.charts import epochs, hours, number, percent
from archsearch.analysis.report.figures import Document
from archsearch.analysis.report.html import copied, frame, paragraph
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount, costs, unit
from archsearch.analysis.svg import clean
from archsearch.experiment.remarks import SIMPLE
from archsearch.version import __version__


def page(reading: Reading, report: Document) -> str:
    """The report as one HTML file's text; `report` is what `document` made of the reading."""
    sections = [
        ("tradeoff", "Accuracy and cost", story.tradeoffs(report)),
        ("progress", "How soon", story.so_far(report)),
        ("curves", "Curves", story.learning_curves(report)),
        ("importance", "What mattered", findings.importance(report)),
        ("all", "Every trial", findings.every_trial(report)),
        ("space", "The space", findings.distribution(report)),
        ("networks", "The best networks", findings.networks(reading, report)),
        ("confirmed", "Confirmed", findings.confirmation(report)),
        ("rungs", "The rungs", findings.rungs(report)),
        ("failures", "Failures", findings.failures(report)),
        ("next", "Next", findings.next_space(report)),
        ("facts", "To do it again", findings.facts(report)),
    ]
    links = " ".join(f'<a href="#{name}">{clean(title)}</a>' for name, title, content in sections if content)
    nav = f'<nav aria-label="Sections">{links}</nav>'
    body = "\n".join([_header(report, nav), *(content for _, _, content in sections if content), _footer(report)])
    return frame(f"{report['experiment']}: what the search found", body, _tips(report))


def _header(report: Document, nav: str) -> str:
    trials, spent = report["trials"], report["spent"]
    kicker = f"archsearch · {report['experiment']} · {report['state']}"
    lede = f"{trials['total']:,} trial{'s' if trials['total'] != 1 else ''}"
    lede += f", {spent['epochs']:,} epochs, {hours(spent['seconds'] / 3600)} by the clock"
    if spent["gpu_hours"]:
        lede += f", {hours(spent['gpu_hours'])} of GPU time"
    lede += "."
    if report["state"] in ("running", "interrupted"):
        lede += " The search has not ended: this is how it stood when the report was written."
    if report["reason"]:
        lede += f" The search failed: {report['reason']}."
    return (
        f'<header><div class="kicker">{clean(kicker)}</div><h1>{clean(_headline(report))}</h1>'
        f"{paragraph(lede, 'lede')}{_remarks(report)}{nav}{_figures(report)}{_budget(report)}"
        f"<h3>How the winner was picked</h3>{paragraph(report['picked'])}"
        f"<h3>Next</h3>{copied(chr(10).join(report['next']))}{_in_mlflow(report)}</header>"
    )


def _remarks(report: Document) -> str:
    """What the result calls for, before anything else is read."""
    return "".join(f'<p class="remark">{clean(sentence)}</p>' for sentence in report["remarks"])


def _in_mlflow(report: Document) -> str:
    """A link to MLflow's page of the search, where it has one."""
    if not report["mlflow"]:
        return ""
    link = f'<a href="{clean(report["mlflow"])}">MLflow\'s page of this search</a>'
    local = report["mlflow"].startswith("http://127.0.0.1")
    return f"<p>Every trial's curves, drawing and config: {link}{', while the last command runs' if local else ''}.</p>"


def _headline(report: Document) -> str:
    winner, trials = report["winner"], report["trials"]
    if winner is None:
        if trials["total"] and trials["failed"] == trials["total"]:
            return f"All {trials['total']} trials failed" if trials["total"] > 1 else "The only trial failed"
        return "No trial was trained to its end" if trials["total"] else "No trial has begun"
    flops = amount("flops", winner["cost"]["flops"])
    return f"{winner['trial']} gets {percent(winner['value'])} of the validation images right with {flops} FLOPs"


def _figures(report: Document) -> str:
    winner = report["winner"]
    if winner is None:
        return ""
    interval = ""
    if winner["low"] is not None:
        interval = f"95 % interval {percent(winner['low'])} to {percent(winner['high'])}, over {winner['of']}"
    elif winner["of"]:
        interval = f"of {winner['of']}"
    cost = winner["cost"]
    rows = [("Validation accuracy", percent(winner["value"]), interval)]
    if test := winner["test"]:
        spread = (
            f"± {100 * test['half']:.2f} points, {test['n']} seeds" if test["half"] else "looked at once, at the end"
        )
        rows.append(("Test accuracy", percent(test["mean"]), spread))
    if report["floor"] is not None:
        rows.append(("Without a network", *_floor(report["floor"])))
    rows.append(
        ("FLOPs", amount("flops", cost["flops"]), f"{amount('macs', cost['macs'])} MACs" if "macs" in cost else "")
    )
    rows.append(("Parameters", amount("params", cost["params"]), f"{cost['params']:,}"))
    if "latency" in cost:
        rows.append(("Latency", f"{cost['latency']:.3g} ms", "median, as the budget measures it"))
    cells = "".join(
        f"<div><dt>{clean(name)}</dt><dd>{clean(value)}<small>{clean(note)}</small></dd></div>"
        for name, value, note in rows
    )
    return f'<dl class="figures">{cells}</dl>'


def _floor(floor: Mapping[str, Any]) -> tuple[str, str]:
    """The best accuracy of simple models on the validation images, and by which model."""
    accuracies = {label: floor[name] for name, label in SIMPLE.items() if floor.get(name) is not None}
    if reference := floor.get("reference"):
        accuracies[f"{reference['name']}, {epochs(reference['epochs'])}"] = reference["accuracy"]
    best = max(accuracies, key=lambda label: accuracies[label])
    return percent(accuracies[best]), f"{best}, on validation"


def _budget(report: Document) -> str:
    rows = []
    for bound in report["budget"]:
        used, high, name = bound["used"], bound["high"], bound["name"]
        if used is None or not high:
            continue
        share = min(1.0, used / high)
        text = f"{amount(name, used)} of {amount(name, high)} {unit(name)}"
        rows.append(
            f'<div><span>Budget</span><span class="meter" role="img" aria-label="{percent(share, 0)} used">'
            f'<i style="width:{100 * share:.1f}%"></i></span><span>{clean(text)} ({percent(share, 0)})</span></div>'
        )
    return f'<div class="budget">{"".join(rows)}</div>' if rows else ""


def _tips(report: Document) -> dict[str, list[str]]:
    """What is shown of each trial when it is pointed at."""
    tips = {}
    for row in report["rows"]:
        head = f"{row['trial']}  {percent(row['value'], 2)}" if row["value"] is not None else row["trial"]
        trained = epochs(row["epochs"] or row["trained"])
        lines = [f"{row['state']}, {trained}{', drawn at random' if row['random'] else ''}"]
        lines.append(costs(row))
        if row["choices"]:
            lines.append(", ".join(f"{word} {number(value)}" for word, value in row["choices"].items()))
        tips[row["trial"]] = [head, *lines]
    return tips


def _footer(report: Document) -> str:
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    source = f"Written by archsearch {clean(__version__)} on {written} from the ledger in {clean(report['folder'])}."
    return (
        f"<footer>{source} FLOPs are fvcore's total (a multiply-add is one, norms and pooling included); MACs are "
        "convolutions and linear layers alone. This file needs no network.</footer>"
    )
