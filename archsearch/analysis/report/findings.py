"""The networks as drawings, and the later statistics: influential choices, distributions, rungs, failures."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

from archsearch.analysis.drawing import draw
from archsearch.analysis.report import curves, parallel
from archsearch.analysis.report.charts import NOTHING, epochs, number, percent
from archsearch.analysis.report.figures import Document, Range, RungRow, TrialRow, winner_of
from archsearch.analysis.report.html import figure, folded, legend, paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount, costs, unit
from archsearch.analysis.svg import clean
from archsearch.architecture.spec import Architecture
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.records import FEWEST_RANKED, number_of
from archsearch.reading.errors import InputError

BAND = "The band is simultaneous: it holds the whole curve of the space in 95 % of samples (Kolmogorov)."
DRAWN = 3  # of the best networks; the others are in the leaderboard
ROOM = 810  # pixels of a drawing's width: the page's column, so that it is shown as large as it is drawn


def networks(reading: Reading, report: Document) -> str:
    """The section with the winner's drawing and choices, and below it, folded, those of the next best."""
    by_id = {row["trial"]: row for row in report["rows"]}
    winner = winner_of(report)
    order = list(dict.fromkeys([*([winner] if winner in by_id else []), *report["top"]]))[:DRAWN]
    if not order:
        return ""
    first, *others = order
    title = "The best network so far" if winner is None else "The network" if first == winner else "The search's best"
    objective = Objective.of(report)
    also = [
        folded(f"{trial}: {_summary(by_id[trial], objective)}", _network(reading, by_id[trial])) for trial in others
    ]
    heading = f'<div class="screen"><h3>The next best</h3>{"".join(also)}</div>' if also else ""
    row = by_id[first]
    return section(
        "networks",
        f"{title}: {first}",
        paragraph(_summary(row, objective)),
        _network(reading, row),
        _analyses(report, row["digest"]),
        heading,
    )


def _analyses(report: Document, digest: str) -> str:
    """Links to the pages that show what the parts of the network with this digest do, where there are such."""
    items = "".join(
        f'<li><a href="{clean(quote(row["page"]))}">{clean(row["kind"])}</a>: {clean(row["remark"])}</li>'
        for row in report["analyses"]
        if row["digest"] == digest
    )
    return f"<h3>What its parts do</h3><ul>{items}</ul>" if items else ""


def _summary(row: TrialRow, objective: Objective) -> str:
    value = NOTHING if row["value"] is None else objective.named(row["value"])
    return f"{value} after {epochs(row['epochs'])}, {costs(row)}"


def _network(reading: Reading, row: TrialRow) -> str:
    choices = ", ".join(f"{name} {number(value)}" for name, value in row["choices"].items())
    text = f"{choices}; digest {row['digest']}" if choices else f"digest {row['digest']}"
    return f'<div class="net">{_drawing(reading, row["trial"])}{paragraph(f"Choices: {text}.", "note")}</div>'


def _drawing(reading: Reading, trial: str) -> str:
    with suppress(InputError, KeyError):
        network = Architecture.from_dict(dict(reading.by_number[number_of(trial) or 0].architecture))
        svg = draw(network.model_copy(update={"name": trial}), ROOM)
        named = f'class="drawing" tabindex="0" role="group" aria-label="drawing of {clean(trial)}"'
        return f"<div {named}>{svg.split('?>', 1)[-1].strip()}</div>"
    return ""


# ---- statistics


def importance(report: Document) -> str:
    """The section on importance: a bar for each parameter, where one is influential beyond chance."""
    result = report["importance"]
    if result["why_not"]:
        reason = paragraph(f"{result['why_not'].capitalize()}.")
        return section("importance", "Which choices are influential is not known", reason)
    rows = result["words"]
    text = f"On trials left out of the fit, the choices explain {percent(max(0.0, result['explained'] or 0.0), 0)} of "
    text += f"the variance in {Objective.of(report).label} after {epochs(report['common'])} ({result['n']} trials)."
    cells = [
        (r["word"], percent(r["share"]), f"{percent(r['low'])} to {percent(r['high'])}", percent(r["chance"]))
        for r in rows
    ]
    listed = folded("As a table", table(("choice", "share", "95 % interval", "by chance up to"), cells))
    caption = f"Method: {result['method']}."
    influential = [row["word"] for row in rows if row["share"] > row["chance"]]
    if not influential:
        text += " No choice has a larger share than chance gives it: their influence is too small to be seen here."
        title = "No choice is more influential than chance"
        return section("importance", title, paragraph(text), listed, paragraph(caption, "note"))
    title = f"Most influential choice{'s' if len(influential) > 1 else ''}: {', '.join(influential[:3])}"
    key = legend(("~chance", "the largest share by chance (95 %, over all choices)"))
    return section("importance", title, paragraph(text), figure(parallel.bars(rows), caption, key, listed))


def every_trial(report: Document) -> str:
    """The section with parallel coordinates."""
    chart, omitted = parallel.parallel(report)
    if not chart:
        return ""
    key = legend(
        ("~thread best", "the winner" if report["winner"] else ""),
        ("~thread top", "the best tenth"),
        ("~thread", "the others"),
    )
    metric = Objective.of(report)
    better = "more accurate" if metric.name == ACCURACY else "better"
    caption = f"A line is a trial, from its choices at the top to its FLOPs and its {metric.label}. Of trials with the "
    caption += f"same value the {better} ones are further right; n/a: the choice does not apply. {omitted}"
    return section("all", f"Choices, cost and {metric.label} of all trials", figure(chart, caption.strip(), key))


def distribution(report: Document) -> str:
    """The section with the EDFs and the ranges in which the best networks fall."""
    edfs, ranges = report["distribution"], report["narrower"]["ranges"]
    chart = curves.distributions(report)
    if not chart:
        return ""
    space, search = edfs["space"], edfs["search"] if not edfs["all_random"] else None
    key = legend(
        ("~edf-space", f"the space: {space['n']} trials drawn at random" if space else ""),
        ("~steps edf-search", f"the search: all {search['n']} trials" if search else ""),
    )
    objective = Objective.of(report)
    caption = f"{objective.title} after {epochs(edfs['level'])}. "
    caption += f"A curve further {'right' if objective.sense == 'max' else 'left'} is a better set of networks."
    if space is not None:
        caption += f" {BAND}"
    else:
        reason = edfs["why_not"] or "too few trials were drawn at random"
        caption += f" The space's own curve is not drawn: {reason}. What a search has chosen says little of the space."
    listed = ""
    if ranges:
        head = ("", "95 % range", "median", "all trials")
        listed = "<h3>Where the best networks lie</h3>" + table(head, [_range(row) for row in ranges])
        listed += paragraph(f"Method: {report['narrower']['method']}. The sample is the search's own trials.", "note")
    return section("space", f"Distribution of {objective.plural}", figure(chart, caption, key), listed)


def _range(row: Range) -> tuple[str, str, str, str]:
    """A row of the table of ranges."""
    name, values = row["name"], row["whole"]
    if row["kind"] == "cost":
        low, median, high, least, most = (
            amount(name, value) for value in (row["low"], row["median"], row["high"], values[0], values[-1])
        )
        return (unit(name), f"{low} to {high}", median, f"{least} to {most}")
    if row["low"] is None:
        return (name, ", ".join(map(number, row["kept"] or ())), "", ", ".join(map(number, values)))
    extent = f"{number(values[0])} to {number(values[-1])}"
    return (name, f"{number(row['low'])} to {number(row['high'])}", number(row["median"]), extent)


def rungs(report: Document) -> str:
    """The section on the rungs: whether the ranking at one is that of the next."""
    if not report["rungs"]:
        return ""
    brackets = any(rung["bracket"] for rung in report["rungs"])
    rows = []
    for rung in report["rungs"]:
        name = epochs(rung["epochs"]) + (f", bracket {rung['bracket'] + 1}" if brackets else "")
        rows.append((name, str(rung["trials"]), str(rung["promoted"]), _correlation(rung, rung["correlation"]),
                     _correlation(rung, rung["corrected"]), str(rung["n"])))  # fmt: skip
    known = [r["corrected"] for r in report["rungs"] if r["corrected"] is not None and r["n"] >= FEWEST_RANKED]
    title = "Early stopping: does the ranking at a rung agree with the next?"
    if known:
        agree = "agrees" if min(known) >= 0.7 else "agrees in part" if min(known) > 0.3 else "hardly agrees"
        title = f"Early stopping: the ranking at a rung {agree} with the next"
    text = (
        f"Spearman's rank correlation over the n trials that reached both rungs, from {FEWEST_RANKED} trials on. Only "
        "the better trials go on, which lowers it; the estimate for all trials corrects for that (Thorndike 1949). The "
        "lower it is, the more trials are let through."
    )
    head = ("rung", "trials", "promoted", "rank correlation with the next", "estimate for all trials", "n")
    return section("rungs", title, table(head, rows), paragraph(text, "note"))


def _correlation(rung: RungRow, value: float | None) -> str:
    return NOTHING if value is None or rung["n"] < FEWEST_RANKED else f"{value:.2f}"


def failures(report: Document) -> str:
    """The section on failures."""
    rows = [
        (str(row["count"]), row["reason"][:300], ", ".join(row["trials"][:6]) + (" …" if row["count"] > 6 else ""))
        for row in report["failures"]
    ]
    if not rows:
        return ""
    count = sum(row["count"] for row in report["failures"])
    spent = sum(row["epochs"] for row in report["failures"])
    text = f"{count} of {report['trials']['total']} trials failed, after {epochs(spent)} of training in all."
    return section("failures", "Failures", paragraph(text), table(("trials", "reason", "which"), rows, wide=(1, 2)))
