"""The later sections: what mattered, the best networks, what failed, what to search next, and how to do it again."""

from __future__ import annotations

from contextlib import suppress

from archsearch.analysis.drawing import draw
from archsearch.analysis.report import curves, parallel
from archsearch.analysis.report.charts import NOTHING, epochs, number, percent
from archsearch.analysis.report.figures import Document, MeanInterval, Range
from archsearch.analysis.report.html import cell, copied, figure, folded, legend, paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount, costs, unit
from archsearch.analysis.svg import clean
from archsearch.architecture.spec import Architecture
from archsearch.experiment.records import number_of, spell
from archsearch.reading.errors import InputError

BAND = "The band is simultaneous: it holds the whole curve of the space in 95 % of samples (Kolmogorov)."
DRAWN = 3  # of the best networks; the others are in the table


def importance(report: Document) -> str:
    """The section on importance: a bar for each parameter."""
    result = report["importance"]
    if result["why_not"]:
        reason = paragraph(f"{result['why_not'].capitalize()}.")
        return section("importance", "Which words mattered is not known", reason)
    rows, explained = result["words"], result["explained"]
    sure = explained is not None and explained > 0.1
    title = f"Of all words {rows[0]['word']} mattered most" if sure and rows[0]["low"] > 0 else "Which words mattered"
    text = f"Out of sample the forests explain {percent(max(0.0, explained or 0.0), 0)} of the variance in accuracy"
    text += f" after {epochs(report['common'])}, over {result['n']} trials."
    if not sure:
        text += " That is next to nothing: take the shares below for noise."
    cells = [(r["word"], percent(r["share"]), f"{percent(r['low'])} to {percent(r['high'])}") for r in rows]
    listed = folded("As a table", table(("word", "share", "95 % interval"), cells))
    caption = f"Method: {result['method']}."
    return section("importance", title, paragraph(text), figure(parallel.bars(rows), caption, "", listed))


def every_trial(report: Document) -> str:
    """The section with parallel coordinates and the table of all trials."""
    chart, omitted = parallel.parallel(report)
    if not report["rows"]:
        return ""
    key = legend(
        ("~thread best", "the winner" if report["winner"] else ""),
        ("~thread top", "the best tenth"),
        ("~thread", "the others"),
    )
    caption = "A line is a trial, from its words at the top to its cost and its accuracy. " + omitted
    ranked = sorted(report["rows"], key=lambda row: (-(row["value"] or -1), row["trial"]))
    rows = [
        (row["trial"], row["state"], cell(row["epochs"]), percent(row["value"], 2),
         amount("flops", row["cost"]["flops"]), amount("params", row["cost"]["params"]), f"{row['seconds']:.1f}")
        for row in ranked
    ]  # fmt: skip
    head = ("trial", "state", "epochs", "accuracy", "FLOPs", "parameters", "seconds")
    listed = folded(
        f"All {len(rows):,} trials as a table", table(head, rows, left=(0, 1), marks=[row["trial"] for row in ranked])
    )
    return section("all", "Every trial, through all of its words", figure(chart, caption, key, listed) or listed)


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
    caption = f"Accuracy after {epochs(edfs['level'])}. "
    caption += "A curve further right is a better set of networks."
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
    return section("space", "How good the space's networks are", figure(chart, caption, key), listed)


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


def networks(reading: Reading, report: Document) -> str:
    """The section with the best networks, drawn, and their choices."""
    by_id = {row["trial"]: row for row in report["rows"]}
    parts = []
    for rank, trial in enumerate(report["top"]):
        row = by_id[trial]
        summary = f"{percent(row['value'], 2)} after {epochs(row['epochs'])}, {costs(row)}, digest {row['digest']}"
        choices = ", ".join(f"{word} {number(value)}" for word, value in row["choices"].items())
        drawing = _drawing(reading, trial, rank) if rank < DRAWN else ""
        parts.append(
            f'<article class="net"><h3>{clean(trial)}</h3>{paragraph(summary, "note")}'
            f"{paragraph(choices, 'note') if choices else ''}{drawing}</article>"
        )
    title = "The best network" if len(parts) == 1 else f"The {len(parts)} best networks"
    if parts and not reading.finished:
        title += ", by the highest rung that they reached"
    return section("networks", title, *parts)


def _drawing(reading: Reading, trial: str, rank: int) -> str:
    with suppress(InputError, KeyError):
        network = Architecture.from_dict(dict(reading.by_number[number_of(trial) or 0].architecture))
        svg = draw(network.model_copy(update={"name": trial}))
        named = f'class="drawing" tabindex="0" role="group" aria-label="drawing of {clean(trial)}"'
        return f"<div {named}>{svg.split('?>', 1)[-1].strip()}</div>"
    return ""


def confirmation(report: Document) -> str:
    """The section on the networks that `archsearch confirm` retrained."""
    confirmed = report["confirmed"]
    if confirmed is None:
        return ""
    rows, wins = [], []
    for i, row in enumerate(confirmed["rows"]):
        wins += [i] if row["winner"] else []
        seeds = row["validation"]["n"] if row["validation"] else 0
        costs = amount("flops", row["flops"]), amount("params", row["params"])
        rows.append((row["name"], _spread(row["validation"]), _spread(row["test"]), str(seeds), *costs, row["note"]))
    head = ("network", "validation", "test", "seeds", "FLOPs", "parameters", "")
    leads = [
        (d["of"], d["over"], _points(d["validation"]), _points(d["test"]), "yes" if d["told_apart"] else "no")
        for d in confirmed["differences"] or ()
    ]
    lead = ""
    if leads:
        as_table = table(("of", "over", "validation", "test", "told apart"), leads, left=(0, 1))
        lead = f"<h3>The lead, seed by seed</h3>{as_table}"
    key = legend(("seen", "validation"), ("tested", "test"))
    caption = "A line is a 95 % interval over seeds (Student's t). "
    caption += "The test split is seen for the winner and what it is compared with."
    notes = "".join(paragraph(f"Note: {note}.", "note") for note in confirmed["notes"] or ())
    chart = figure(parallel.confirmed(confirmed["rows"]), caption, key)
    title = f"Retrained over new seeds: {confirmed['winner']}"
    as_table = table(head, rows, wins=wins, wide=(6,))
    return section("confirmed", title, paragraph(confirmed["chosen"]), chart, as_table, lead, notes)


def _spread(interval: MeanInterval | None, form: str = ".2f", unit: str = " %") -> str:
    """A mean in percent with half of its interval, such as `93.00 ± 1.00 %`."""
    if interval is None:
        return NOTHING
    half = f" ± {100 * interval['half']:.2f}" if interval["half"] is not None else ""
    return f"{100 * interval['mean']:{form}}{half}{unit}"


def _points(interval: MeanInterval | None) -> str:
    """A difference in points of a percent, such as `+3.00 ± 1.00`."""
    return _spread(interval, "+.2f", "")


def rungs(report: Document) -> str:
    """The section on the rungs: whether the order at one is that of the next."""
    if not report["rungs"]:
        return ""
    brackets = any(rung["bracket"] for rung in report["rungs"])
    rows = []
    for rung in report["rungs"]:
        name = epochs(rung["epochs"]) + (f", bracket {rung['bracket'] + 1}" if brackets else "")
        rows.append((name, str(rung["trials"]), str(rung["promoted"]), _correlation(rung["correlation"]),
                     _correlation(rung["corrected"]), str(rung["n"])))  # fmt: skip
    compared = [r["corrected"] for r in report["rungs"] if r["corrected"] is not None and r["n"] >= 6]
    lowest = min(compared, default=None)
    title = "Can the rungs be trusted?"
    if lowest is not None:
        well, part, little = "foretell the end well", "foretell the end only in part", "say little of the end"
        title = f"The rungs {well if lowest >= 0.7 else part if lowest > 0.3 else little}"
    text = (
        "Spearman's rank correlation between a rung and the next, over the n trials with both scores. Those were the "
        "better ones, so it is also given corrected for that choice (Thorndike 1949). The lower, the more were let "
        "through."
    )
    head = ("rung", "trials", "promoted", "correlation", "corrected", "n")
    return section("rungs", title, table(head, rows), paragraph(text, "note"))


def _correlation(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


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
    text = f"{count} of {report['trials']['total']} trials failed, {epochs(spent)} of training with them."
    return section(
        "failures", "What failed, and why", paragraph(text), table(("trials", "reason", "which"), rows, wide=(1, 2))
    )


def next_space(report: Document) -> str:
    """The section with the narrower space, to be copied."""
    narrower = report["narrower"]
    if not report["rows"]:
        return ""
    if narrower["yaml"] is None:
        reason = narrower["why_not"]
        return section("next", "No narrower space to propose", paragraph(f"{reason[:1].upper()}{reason[1:]}."))
    size = narrower["size"]
    text = "Each word is kept to the range in which the best networks fall; everything else is as it was. "
    if narrower["checked"]:
        text += "The file was read and checked; "
        if size and size[0] is not None and size[1] is not None:
            text += f"it allows {number(int(size[1]))} combinations, not {number(int(size[0]))}. "
    else:
        text += "It could not be checked here, since the search's own space cannot be read on this machine; "
    text += "`archsearch check` says what of it fits the budget. "
    text += "A narrower space cannot hold what the search has overlooked."
    changes = [(row["word"], row["from"], row["to"]) for row in narrower["changes"]]
    listed = table(("word", "was", "is"), changes, left=(0, 1, 2))
    save = "Save it as narrower.yaml, then `archsearch run narrower.yaml --warm-start` and this experiment's name."
    yaml = copied(narrower["yaml"])
    return section(
        "next",
        "A narrower space to search next",
        paragraph(text),
        listed,
        "<h3>narrower.yaml</h3>",
        yaml,
        paragraph(save, "note"),
    )


def facts(report: Document) -> str:
    """The section with versions, seeds, digests, the machine and the winner's training."""
    rows = [(row["what"], row["value"]) for row in report["facts"]]
    winner = report["winner"]
    if winner is not None:
        rows.append(("winner's digest", str(winner["digest"])))
        seed = next((row["seed"] for row in report["rows"] if row["trial"] == winner["trial"]), None)
        rows += [("winner's seed", str(seed))] if seed is not None else []
        rows += [("winner's training", spell(winner["training"], digits=4))] if winner["training"] else []
    return section("facts", "To do it again", table(("what", ""), rows, left=(0, 1), wide=(1,)))
