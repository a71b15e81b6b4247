"""The page: its sections in the order in which a reader asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from archsearch.analysis.report import findings, story
from archsearch.analysis.report.certainty import certainty
from archsearch.analysis.report.charts import epochs, number, percent
from archsearch.analysis.report.document import seeds_of
from archsearch.analysis.report.figures import Document
from archsearch.analysis.report.html import frame, paragraph
from archsearch.analysis.report.leaderboard import leaderboard
from archsearch.analysis.report.next_steps import next_steps, reproduce
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount, costs, unit
from archsearch.analysis.report.wrong import wrong
from archsearch.analysis.svg import clean
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.remarks import floor_of
from archsearch.reading.durations import spell_duration
from archsearch.version import __version__

BUDGETS = {"flops": "FLOPs", "params": "Parameter", "macs": "MACs"}  # as a person names the budget


def page(reading: Reading, report: Document) -> str:
    """The report as one HTML file's text; `report` is what `document` made of the reading."""
    sections = [
        ("sure", "How sure", certainty(report)),
        ("leaderboard", "Leaderboard", leaderboard(report)),
        ("networks", "The network", findings.networks(reading, report)),
        ("wrong", "Where it is wrong", wrong(reading, report)),
        ("next", "What to do next", next_steps(reading, report)),
        ("tradeoff", f"{Objective.of(report).title} and cost", story.tradeoffs(report)),
        ("progress", "Best so far", story.so_far(report)),
        ("curves", "Curves", story.learning_curves(report)),
        ("importance", "Influential choices", findings.importance(report)),
        ("all", "Choices", findings.every_trial(report)),
        ("space", "Distribution", findings.distribution(report)),
        ("rungs", "Early stopping", findings.rungs(report)),
        ("failures", "Failures", findings.failures(report)),
        ("facts", "Reproduce", reproduce(reading, report)),
    ]
    links = " ".join(f'<a href="#{name}">{clean(title)}</a>' for name, title, content in sections if content)
    nav = f'<nav aria-label="Sections">{links}</nav>'
    body = "\n".join([_header(report, nav), *(content for _, _, content in sections if content), _footer(report)])
    return frame(f"{report['experiment']}: what the search found", body, _tips(report))


def _header(report: Document, nav: str) -> str:
    trials, spent = report["trials"], report["spent"]
    kicker = f"archsearch · {report['experiment']} · {report['state']}"
    lede = f"{trials['total']:,} trial{'s' if trials['total'] != 1 else ''}"
    lede += f", {spent['epochs']:,} epochs of training in {spell_duration(spent['seconds'])}"
    if spent["gpu_hours"]:
        lede += f", {spell_duration(3600 * spent['gpu_hours'])} of GPU time"
    lede += "."
    if report["state"] in ("running", "interrupted"):
        lede += " The search has not ended: this is how it stood when the report was written."
    if report["reason"]:
        lede += f" The search failed: {report['reason']}."
    return (
        f'<header><div class="kicker">{clean(kicker)}</div><h1>{clean(_headline(report))}</h1>'
        f"{paragraph(lede, 'lede')}{_remarks(report)}{_figures(report)}{_budget(report)}{nav}</header>"
    )


def _remarks(report: Document) -> str:
    """What the result calls for, before anything else is read."""
    return "".join(f'<p class="remark">{clean(sentence)}</p>' for sentence in report["remarks"])


def _headline(report: Document) -> str:
    winner, trials = report["winner"], report["trials"]
    if winner is None:
        if trials["total"] and trials["failed"] == trials["total"]:
            return f"All {trials['total']} trials failed" if trials["total"] > 1 else "The only trial failed"
        return "No trial was trained to its end" if trials["total"] else "No trial has begun"
    if (compared := report["pretrained"]) is not None and compared["better"]:
        return f"{compared['best']}, pretrained and fine-tuned, is better than the search's {winner['trial']}"
    flops = amount("flops", winner["cost"]["flops"])
    objective = Objective.of(report)
    value = objective.text(winner["value"], 1)
    if objective.name == ACCURACY:
        return f"{winner['trial']} gets {value} of the validation images right with {flops} FLOPs"
    return f"{winner['trial']} has a validation {objective.label} of {value} with {flops} FLOPs"


def _figures(report: Document) -> str:
    winner, objective = report["winner"], Objective.of(report)
    if winner is None:
        return ""
    interval = ""
    if winner["low"] is not None and winner["high"] is not None:
        ends = f"{objective.text(winner['low'], 1)} to {objective.text(winner['high'], 1)}"
        interval = f"95 % interval {ends} ({winner['of']})"
    elif winner["of"]:
        interval = f"of {winner['of']}"
    cost = winner["cost"]
    rows = [(f"Validation {objective.label}", objective.text(winner["value"], 1), interval)]
    if test := winner["test"]:
        spread = f"of {seeds_of(test, objective)}" if test.get("values") else "measured once"
        if test["half"] is not None:
            spread = f"± {objective.points(test['half'])}, {test['n']} seeds"
        rows.append((f"Test {objective.label}", objective.text(test["mean"], 1), spread))
    if report["floor"] is not None and (baseline := _floor(report["floor"], objective)):
        rows.append(("Simple baseline", *baseline))
    rows.append(
        ("FLOPs", amount("flops", cost["flops"]), f"{amount('macs', cost['macs'])} MACs" if "macs" in cost else "")
    )
    rows.append(("Parameters", amount("params", cost["params"]), f"{cost['params']:,}"))
    if "latency" in cost:
        rows.append(("Latency", f"{cost['latency']:.3g} ms", "median, measured as the budget says"))
    cells = "".join(
        f"<div><dt>{clean(name)}</dt><dd>{clean(value)}<small>{clean(note)}</small></dd></div>"
        for name, value, note in rows
    )
    return f'<dl class="figures">{cells}</dl>'


def _floor(floor: Mapping[str, Any], objective: Objective) -> tuple[str, str] | None:
    """The best value of simple models on the validation images, and by which model; None where none was measured by
    the search's metric."""
    values = floor_of(floor, objective)
    if (reference := floor.get("reference")) and not reference.get("stopped"):
        values[f"{reference['name']}, {epochs(reference['epochs'])}"] = reference[objective.name]
    if not values:
        return None
    best = max(values, key=lambda label: objective.key(values[label]))
    return objective.text(values[best], 1), f"{best}, on the validation images"


def _budget(report: Document) -> str:
    rows = []
    for bound in report["budget"]:
        used, high, name = bound["used"], bound["high"], bound["name"]
        if used is None or not high:
            continue
        share = min(1.0, used / high)
        title = f"{BUDGETS.get(name, name.capitalize())} budget"
        text = f"{amount(name, used)} of {amount(name, high)} {unit(name)} ({percent(share, 0)})"
        rows.append(
            f'<div><span>{clean(title)}</span><span class="meter" role="img" aria-label="{percent(share, 0)} used">'
            f'<i style="width:{100 * share:.1f}%"></i></span><span>{clean(text)}</span></div>'
        )
    return f'<div class="budget">{"".join(rows)}</div>' if rows else ""


def _tips(report: Document) -> dict[str, list[str]]:
    """What is shown of each trial when it is pointed at."""
    tips, objective = {}, Objective.of(report)
    for row in report["rows"]:
        head = f"{row['trial']}  {objective.named(row['value'])}" if row["value"] is not None else row["trial"]
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
        "convolutions and linear layers alone. This page works offline.</footer>"
    )
