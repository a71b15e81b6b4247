"""The later sections: what mattered, what was found, what failed, what to search next, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from archsearch.analysis.drawing import draw
from archsearch.analysis.report import curves, parallel
from archsearch.analysis.report.charts import NOTHING, number, percent
from archsearch.analysis.report.html import cell, copied, figure, folded, legend, paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.story import epochs
from archsearch.analysis.report.tradeoff import amount, unit
from archsearch.analysis.svg import clean
from archsearch.architecture.spec import Architecture
from archsearch.experiment.records import number_of, spell
from archsearch.reading.errors import InputError

DRAWN = 3  # of the best networks; the others are in the table


def importance(found: Mapping[str, Any]) -> str:
    """A bar a word."""
    said = found["importance"]
    if said["why_not"]:
        return section("importance", "Which words mattered is not known", paragraph(f"{said['why_not'].capitalize()}."))
    rows, explained = said["words"], said["explained"]
    sure = explained is not None and explained > 0.1
    title = f"Of all words {rows[0]['word']} mattered most" if sure and rows[0]["low"] > 0 else "Which words mattered"
    words = f"Out of sample the forests explain {percent(max(0.0, explained or 0.0), 0)} of the variance in accuracy"
    words += f" after {epochs(found['common'])}, over {said['n']} trials."
    if not sure:
        words += " That is next to nothing: take the shares below for noise."
    cells = [(r["word"], percent(r["share"]), f"{percent(r['low'])} to {percent(r['high'])}") for r in rows]
    listed = folded("As a table", table(("word", "share", "95 % interval"), cells))
    caption = f"Method: {said['method']}."
    return section("importance", title, paragraph(words), figure(parallel.bars(rows), caption, "", listed))


def every_trial(found: Mapping[str, Any]) -> str:
    """Parallel coordinates, and the table of all trials."""
    chart, left_out = parallel.parallel(found)
    if not found["rows"]:
        return ""
    key = legend(
        ("~thread best", "the winner" if found["winner"] else ""),
        ("~thread top", "the best tenth"),
        ("~thread", "the others"),
    )
    caption = "A line is a trial, from its words at the top to its cost and its accuracy. " + left_out
    ranked = sorted(found["rows"], key=lambda row: (-(row["value"] or -1), row["trial"]))
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


def distribution(found: Mapping[str, Any]) -> str:
    """The EDF, and the ranges in which the best networks fall."""
    said, ranges = found["distribution"], found["narrower"]["ranges"]
    chart = curves.distributions(found)
    if not chart:
        return ""
    key = legend(
        ("~edf-space", f"the space: {said['space']['n']} trials drawn at random" if said["space"] else ""),
        (
            "~steps edf-search",
            f"the search: all {said['search']['n']} trials" if said["search"] and not said["all_random"] else "",
        ),
    )
    caption = f"Accuracy after {epochs(said['level'])}. "
    caption += "A curve further right is a better set of networks; bands are a bootstrap's 95 %."
    if said["space"] is None:
        why = said["why_not"] or "too few trials were drawn at random"
        caption += f" The space's own curve is not drawn: {why}. What a search has chosen says little of the space."
    rows = []
    for row in ranges:
        name = unit(row["name"]) if row["kind"] == "cost" else row["name"]
        if row["low"] is None:
            rows.append(
                (name, ", ".join(number(v) for v in row["kept"]), "", ", ".join(number(v) for v in row["whole"]))
            )
            continue
        text = (lambda v, n=row["name"]: amount(n, v)) if row["kind"] == "cost" else number
        whole = f"{text(row['whole'][0])} to {text(row['whole'][-1])}"
        rows.append((name, f"{text(row['low'])} to {text(row['high'])}", text(row["median"]), whole))
    listed = ""
    if rows:
        listed = "<h3>Where the best networks lie</h3>" + table(("", "95 % range", "median", "all trials"), rows)
        listed += paragraph(f"Method: {found['narrower']['method']}. The sample is the search's own trials.", "note")
    return section("space", "How good the space's networks are", figure(chart, caption, key), listed)


def networks(reading: Reading, found: Mapping[str, Any]) -> str:
    """The best networks drawn, with their words."""
    by_id = {row["trial"]: row for row in found["rows"]}
    parts = []
    for place, trial in enumerate(found["top"]):
        row = by_id[trial]
        said = (
            f"{percent(row['value'], 2)} after {epochs(row['epochs'])}, {amount('flops', row['cost']['flops'])} FLOPs, "
        )
        said += f"{amount('params', row['cost']['params'])} parameters, digest {row['digest']}"
        words = ", ".join(f"{word} {number(value)}" for word, value in row["choices"].items())
        drawing = _drawing(reading, trial, place) if place < DRAWN else ""
        parts.append(
            f'<article class="net"><h3>{clean(trial)}</h3>{paragraph(said, "note")}'
            f"{paragraph(words, 'note') if words else ''}{drawing}</article>"
        )
    title = "The best network" if len(parts) == 1 else f"The {len(parts)} best networks"
    if parts and not reading.finished:
        title += ", by the highest rung that they reached"
    return section("networks", title, *parts)


def _drawing(reading: Reading, trial: str, place: int) -> str:
    number_ = number_of(trial)
    with suppress(InputError, KeyError):
        network = Architecture.from_dict(dict(reading.by_number[number_ or 0].architecture))
        svg = draw(network.model_copy(update={"name": trial}))
        named = f'class="drawing" tabindex="0" role="group" aria-label="drawing of {clean(trial)}"'
        return f"<div {named}>{svg.split('?>', 1)[-1].strip()}</div>"
    return ""


def confirmation(found: Mapping[str, Any]) -> str:
    """What `archsearch confirm` came to."""
    said = found["confirmed"]
    if said is None:
        return ""
    rows, wins = [], []
    for place, row in enumerate(said["rows"]):
        wins += [place] if row["winner"] else []
        seeds = row["validation"]["n"] if row["validation"] else 0
        costs = amount("flops", row["flops"]), amount("params", row["params"])
        rows.append((row["name"], _spread(row["validation"]), _spread(row["test"]), str(seeds), *costs, row["note"]))
    head = ("network", "validation", "test", "seeds", "FLOPs", "parameters", "")
    leads = [
        (d["of"], d["over"], _points(d["validation"]), _points(d["test"]), "yes" if d["told_apart"] else "no")
        for d in said["differences"] or ()
    ]
    lead = (
        "<h3>The lead, seed by seed</h3>"
        + table(("of", "over", "validation", "test", "told apart"), leads, left=(0, 1))
        if leads
        else ""
    )
    key = legend(("seen", "validation"), ("tested", "test"))
    caption = "A line is a 95 % interval over seeds (Student's t). "
    caption += "The test split is seen for the winner and what it is compared with."
    notes = "".join(paragraph(f"Note: {note}.", "note") for note in said["notes"] or ())
    chart = figure(parallel.confirmed(said["rows"]), caption, key)
    return section("confirmed", f"Retrained over new seeds: {said['winner']}", paragraph(said["chosen"]), chart,
                   table(head, rows, wins=wins, wide=(6,)), lead, notes)  # fmt: skip


def _spread(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOTHING
    return f"{100 * found['mean']:.2f}" + (f" ± {100 * found['half']:.2f} %" if found["half"] is not None else " %")


def _points(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOTHING
    return f"{100 * found['mean']:+.2f}" + (f" ± {100 * found['half']:.2f}" if found["half"] is not None else "")


def rungs(found: Mapping[str, Any]) -> str:
    """Whether the order at a rung is that of the next."""
    if not found["rungs"]:
        return ""
    brackets = any(rung["bracket"] for rung in found["rungs"])
    rows = []
    for rung in found["rungs"]:
        place = epochs(rung["epochs"]) + (f", bracket {rung['bracket'] + 1}" if brackets else "")
        rows.append((place, str(rung["trials"]), str(rung["promoted"]), _correlation(rung["correlation"]),
                     _correlation(rung["corrected"]), str(rung["n"])))  # fmt: skip
    known = [rung for rung in found["rungs"] if rung["corrected"] is not None and rung["n"] >= 6]
    lowest = min((rung["corrected"] for rung in known), default=None)
    title = "Can the rungs be trusted?"
    if lowest is not None:
        well, part, little = "foretell the end well", "foretell the end only in part", "say little of the end"
        title = f"The rungs {well if lowest >= 0.7 else part if lowest > 0.3 else little}"
    words = (
        "Spearman's rank correlation between a rung and the next, over the n trials with both scores. Those were the "
        "better ones, so it is also given corrected for that choice (Thorndike 1949). The lower, the more were let "
        "through."
    )
    head = ("rung", "trials", "promoted", "correlation", "corrected", "n")
    return section("rungs", title, table(head, rows), paragraph(words, "note"))


def _correlation(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def failures(found: Mapping[str, Any]) -> str:
    """What failed, and why."""
    rows = [
        (str(row["count"]), row["reason"][:300], ", ".join(row["trials"][:6]) + (" …" if row["count"] > 6 else ""))
        for row in found["failures"]
    ]
    if not rows:
        return ""
    count = sum(row["count"] for row in found["failures"])
    spent = sum(row["epochs"] for row in found["failures"])
    words = f"{count} of {found['trials']['total']} trials failed, {epochs(spent)} of training with them."
    return section(
        "failures", "What failed, and why", paragraph(words), table(("trials", "reason", "which"), rows, wide=(1, 2))
    )


def next_space(found: Mapping[str, Any]) -> str:
    """The narrower space, to be copied."""
    said = found["narrower"]
    if said["yaml"] is None:
        why = said["why_not"]
        return (
            section("next", "No narrower space to propose", paragraph(f"{why[:1].upper()}{why[1:]}."))
            if found["rows"]
            else ""
        )
    size = said["size"]
    words = "Each word is kept to the range in which the best networks fall; everything else is as it was. "
    if said["checked"]:
        words += "The file was read and checked; "
        words += (
            f"it allows {number(int(size[1]))} combinations, not {number(int(size[0]))}. "
            if size and None not in size
            else ""
        )
    else:
        words += "It could not be checked here, since the search's own space cannot be read on this machine; "
    words += "`archsearch check` says what of it fits the budget. "
    words += "A narrower space cannot hold what the search has overlooked."
    changes = [(row["word"], row["from"], row["to"]) for row in said["changes"]]
    listed = table(("word", "was", "is"), changes, left=(0, 1, 2))
    save = "Save it as narrower.yaml, then `archsearch run narrower.yaml --warm-start` and this experiment's name."
    yaml = copied(said["yaml"])
    return section(
        "next",
        "A narrower space to search next",
        paragraph(words),
        listed,
        "<h3>narrower.yaml</h3>",
        yaml,
        paragraph(save, "note"),
    )


def facts(found: Mapping[str, Any]) -> str:
    """Versions, seeds, hashes, machine; the winner's training."""
    rows = [(row["what"], row["value"]) for row in found["facts"]]
    winner = found["winner"]
    if winner is not None:
        rows.append(("winner's digest", str(winner["digest"])))
        seed = next((row["seed"] for row in found["rows"] if row["trial"] == winner["trial"]), None)
        rows += [("winner's seed", str(seed))] if seed is not None else []
        rows += [("winner's training", spell(winner["training"], digits=4))] if winner["training"] else []
    return section("facts", "To do it again", table(("what", ""), rows, left=(0, 1), wide=(1,)))
