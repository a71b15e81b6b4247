"""The page: its sections in the order in which a reader asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from archsearch import __version__
from archsearch.analysis.report import findings, story
from archsearch.analysis.report.charts import hours, number, percent
from archsearch.analysis.report.html import copied, frame, paragraph
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount, unit
from archsearch.analysis.svg import clean


def page(reading: Reading, found: Mapping[str, Any]) -> str:
    """The report as one HTML file's text, from what `document` found."""
    sections = [
        ("tradeoff", "Accuracy and cost", story.tradeoffs(found)),
        ("progress", "How soon", story.so_far(found)),
        ("curves", "Curves", story.learning_curves(found)),
        ("importance", "What mattered", findings.importance(found)),
        ("all", "Every trial", findings.every_trial(found)),
        ("space", "The space", findings.distribution(found)),
        ("networks", "The best networks", findings.networks(reading, found)),
        ("confirmed", "Confirmed", findings.confirmation(found)),
        ("rungs", "The rungs", findings.rungs(found)),
        ("failures", "Failures", findings.failures(found)),
        ("next", "Next", findings.next_space(found)),
        ("facts", "To do it again", findings.facts(found)),
    ]
    links = " ".join(f'<a href="#{name}">{clean(word)}</a>' for name, word, said in sections if said)
    nav = f'<nav aria-label="Sections">{links}</nav>'
    body = "\n".join([_header(found, nav), *(said for _, _, said in sections if said), _footer(found)])
    return frame(f"{found['experiment']}: what the search found", body, _tips(found))


def _header(found: Mapping[str, Any], nav: str) -> str:
    trials, spent = found["trials"], found["spent"]
    kicker = f"archsearch · {found['experiment']} · {found['state']}"
    lede = f"{trials['total']:,} trial{'s' if trials['total'] != 1 else ''}"
    lede += f", {spent['epochs']:,} epochs, {hours(spent['seconds'] / 3600)} by the clock"
    if spent["gpu_hours"]:
        lede += f", {hours(spent['gpu_hours'])} of GPU time"
    lede += "."
    if found["state"] in ("running", "interrupted"):
        lede += " The search has not ended: this is how it stood when the report was written."
    if found["reason"]:
        lede += f" The search failed: {found['reason']}."
    return (
        f'<header><div class="kicker">{clean(kicker)}</div><h1>{clean(_headline(found))}</h1>'
        f"{paragraph(lede, 'lede')}{nav}{_figures(found)}{_budget(found)}"
        f"<h3>How the winner was picked</h3>{paragraph(found['picked'])}"
        f"<h3>Next</h3>{copied(chr(10).join(found['next']))}{_in_mlflow(found)}</header>"
    )


def _in_mlflow(found: Mapping[str, Any]) -> str:
    """The way to the trials' own pages."""
    if not found["mlflow"]:
        return ""
    where = f'<a href="{clean(found["mlflow"])}">MLflow\'s page of this search</a>'
    local = found["mlflow"].startswith("http://127.0.0.1")
    return (
        f"<p>Every trial's curves, drawing and config: {where}{', while the last command runs' if local else ''}.</p>"
    )


def _headline(found: Mapping[str, Any]) -> str:
    winner, trials = found["winner"], found["trials"]
    if winner is None:
        if trials["total"] and trials["failed"] == trials["total"]:
            return f"All {trials['total']} trials failed" if trials["total"] > 1 else "The only trial failed"
        return "No trial was trained to its end" if trials["total"] else "No trial has begun"
    flops = amount("flops", winner["cost"]["flops"])
    return f"{winner['trial']} gets {percent(winner['value'])} of the validation images right with {flops} FLOPs"


def _figures(found: Mapping[str, Any]) -> str:
    winner = found["winner"]
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
    rows.append(
        ("FLOPs", amount("flops", cost["flops"]), f"{amount('macs', cost['macs'])} MACs" if "macs" in cost else "")
    )
    rows.append(("Parameters", amount("params", cost["params"]), f"{cost['params']:,}"))
    if "latency" in cost:
        rows.append(("Latency", f"{cost['latency']:.3g} ms", "median, as the budget measures it"))
    said = "".join(
        f"<div><dt>{clean(name)}</dt><dd>{clean(value)}<small>{clean(more)}</small></dd></div>"
        for name, value, more in rows
    )
    return f'<dl class="figures">{said}</dl>'


def _budget(found: Mapping[str, Any]) -> str:
    rows = []
    for bound in found["budget"]:
        used, high, name = bound["used"], bound["high"], bound["name"]
        if used is None or not high:
            continue
        share = min(1.0, used / high)
        said = f"{amount(name, used)} of {amount(name, high)} {unit(name)}"
        rows.append(
            f'<div><span>Budget</span><span class="meter" role="img" aria-label="{percent(share, 0)} used">'
            f'<i style="width:{100 * share:.1f}%"></i></span><span>{clean(said)} ({percent(share, 0)})</span></div>'
        )
    return f'<div class="budget">{"".join(rows)}</div>' if rows else ""


def _tips(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is shown of each trial when it is pointed at."""
    tips = {}
    for row in found["rows"]:
        cost = row["cost"]
        head = f"{row['trial']}  {percent(row['value'], 2)}" if row["value"] is not None else row["trial"]
        epochs = row["epochs"] or row["trained"]
        lines = [
            f"{row['state']}, {epochs} epoch{'s' if epochs != 1 else ''}{', drawn at random' if row['random'] else ''}"
        ]
        lines.append(f"{amount('flops', cost['flops'])} FLOPs, {amount('params', cost['params'])} parameters")
        if row["choices"]:
            lines.append(", ".join(f"{word} {number(value)}" for word, value in row["choices"].items()))
        tips[row["trial"]] = [head, *lines]
    return tips


def _footer(found: Mapping[str, Any]) -> str:
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (
        f"<footer>Written by archsearch {clean(__version__)} on {written} from the ledger in {clean(found['folder'])}. "
        "FLOPs are fvcore's total (a multiply-add is one, norms and pooling included); MACs are convolutions and "
        "linear layers alone. This file needs no network.</footer>"
    )
