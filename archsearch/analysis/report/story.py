"""The first sections: the search's metric against cost, the best so far, and the curves."""

from __future__ import annotations

from archsearch.analysis.report.charts import epochs
from archsearch.analysis.report.curves import best_so_far, learning
from archsearch.analysis.report.document import cheapest_first
from archsearch.analysis.report.figures import Document, Progress, TrialRow
from archsearch.analysis.report.html import figure, legend, paragraph, section
from archsearch.analysis.report.tradeoff import tradeoff
from archsearch.experiment.objective import Objective
from archsearch.experiment.records import trial_id
from archsearch.reading.durations import spell_duration

# ---- the metric against cost


def tradeoffs(report: Document) -> str:
    """A chart for FLOPs, and one for each other cost that is an objective or in the budget and was measured."""
    rows = [row for row in report["rows"] if row["value"] is not None]
    if not rows:
        return ""
    objective = Objective.of(report)
    costs = dict.fromkeys([*report["objectives"], *(bound["name"] for bound in report["budget"])])
    figures = [_tradeoff(report, "flops", report["front"], _tradeoff_caption(report))]
    for name in costs:
        if name not in (objective.name, "flops") and any(row["cost"].get(name) for row in rows):
            figures.append(_tradeoff(report, name, _front(rows, name, objective), ""))
    title = f"{objective.title} and cost"
    if len(report["front"]) > 1:
        title += f": {len(report['front'])} networks on the Pareto front"
    return section("tradeoff", title, paragraph(_tradeoff_text(report)), *figures)


def _front(rows: list[TrialRow], name: str, objective: Objective) -> list[str]:
    finished = [row for row in rows if row["state"] == "finished" and row["cost"].get(name)]
    return cheapest_first((row["trial"], row["cost"][name], objective.key(row["value"] or 0.0)) for row in finished)


def _tradeoff_text(report: Document) -> str:
    by_id = {row["trial"]: row for row in report["rows"]}
    front = [by_id[trial] for trial in report["front"]]
    if len(front) < 2:
        return ""
    small, best, objective = front[0], front[-1], Objective.of(report)
    lost = objective.gain(best["value"] or 0.0, small["value"] or 0.0)
    change = f"{100 * lost:.1f} percentage points" if objective.percent else f"{lost:.3g}"
    verb = "" if objective.sense == "max" else "rises "
    times = best["cost"]["flops"] / small["cost"]["flops"]
    return (
        f"Along the front from {best['trial']} down to {small['trial']}, FLOPs fall by a factor of {times:.1f} and "
        f"validation {objective.label} {verb}by {change}."
    )


def _tradeoff(report: Document, name: str, front: list[str], caption: str) -> str:
    chart = tradeoff(report, name, front)
    kinds = {row["kind"] for row in report["baselines"]}
    key = legend(
        ("front", "on the Pareto front"),
        ("trial", "trained to the end"),
        ("trial partial", "score at a rung, after fewer epochs" if 'class="trial partial' in chart else ""),
        ("<other", "literature, trained here" if "trained" in kinds else ""),
        ("<other", "literature, published test accuracy" if "published" in kinds else ""),
        ("~cost-line", "literature: only the cost is known" if "cost" in kinds else ""),
    )
    return figure(chart, caption, key)


def _tradeoff_caption(report: Document) -> str:
    kinds = {row["kind"] for row in report["baselines"]}
    beyond, edge = ("below", "bottom") if Objective.of(report).sense == "max" else ("above", "top")
    caption = (
        f"Only trials that were trained to the end can be on the front, and the axes show their range: one far "
        f"{beyond} the others is drawn hollow at the {edge}, and scores at rungs {beyond} the range are left out."
    )
    if "published" in kinds:
        caption += " Published accuracies are test accuracies after much longer training; pointing shows the name."
    elif not kinds:
        caption += " No network from the literature is shown: none was trained here or is known to fit the budget."
    return caption


# ---- the best so far


def so_far(report: Document) -> str:
    """The section on the best so far: against trials, and against hours."""
    progress = report["progress"]
    trials, spent = best_so_far(report, "trials"), best_so_far(report, "hours")
    if not trials and not spent:
        return ""
    random = progress["random"]
    expected = "best" in random
    apart = progress["level"] != progress["full"]
    after = epochs(progress["level"])
    full = ("~steps full-best", "best trial trained to the end" if progress["finished"] else "")
    equal_cost = "random search at equal cost, run by confirm" if progress["random_search"] else ""
    key = legend(
        full,
        ("~steps rung-best", f"best after {after}" if apart and progress["compared"] else ""),
        ("~expected", f"random search: median best after {after}" if expected else ""),
        ("~steps random-search", equal_cost),
    )
    explained = f"Random search: {random['how']}." if expected else f"Random search is not drawn: {random['why_not']}."
    compare = f" Compare it with the blue line, which is after {after} too." if expected and apart else ""
    hour_key = legend(
        full,
        ("~expected", "random search: median best" if expected and not apart else ""),
        ("~steps random-search", equal_cost),
    )
    clock = "Worker time is added up: two workers for an hour are two hours."
    if expected and apart and not progress["random_search"]:
        clock += " Random search trained to the end is not drawn; `archsearch confirm` runs one at equal cost."
    return section(
        "progress", _so_far_title(progress), paragraph(_lead(progress, Objective.of(report))),
        figure(trials, explained + compare, key),
        figure(spent, clock, hour_key) if progress["finished"] else "",
    )  # fmt: skip


def _so_far_title(progress: Progress) -> str:
    if not progress["finished"]:
        return "The best so far"
    last = progress["finished"][-1]
    return f"The best of {progress['trials']} trials in the search: {trial_id(last['trial'])}" + (
        f", after {spell_duration(3600 * last['hours'])} of worker time" if last["hours"] > 0 else ""
    )


def _lead(progress: Progress, objective: Objective) -> str:
    """The search beside random draws, where both are known."""
    random = progress["random"]
    if "best" not in random or not progress["compared"]:
        return ""
    n, drawn = random["best"]["n"][-1], random["best"]["expected"][-1]
    best, after = progress["compared"][-1]["value"], epochs(progress["level"])
    if progress["compared"][-1]["trials"] <= n:
        return f"After {after} the search has nothing better than the best of the {n} trials that were drawn at random."
    return (
        f"{n} trials were drawn at random; after {after} the best of them had {objective.named(drawn, 1)}, and the "
        f"best of all has {objective.named(best, 1)}."
    )


# ---- curves


def learning_curves(report: Document) -> str:
    """The section of learning curves."""
    chart, omitted = learning(report)
    if not chart:
        return ""
    trained, _ = learning(report, training=True)
    rungs = sorted({rung["epochs"] for rung in report["rungs"]})
    key = legend(
        ("~curve best", "the winner" if report["winner"] else ""),
        ("~curve best training", "the winner on the training images" if trained and report["winner"] else ""),
        ("~curve done", "trained to the end"),
        ("~curve", "paused or stopped at a rung" if rungs else "not trained to the end"),
    )
    metric, worsen = Objective.of(report).label, "fall" if Objective.of(report).sense == "max" else "rise"
    caption = "A dot is where a trial paused. " + (
        "At a rung (dashed) the learning rate has fallen to zero, so scores there can be compared; after it the rate "
        f"restarts, and {metric} may {worsen} for a while. " if rungs else ""
    )  # fmt: skip
    beside = (
        "Measured while training, on augmented images and with weights that still change: it may lie below validation."
    )
    longest = max(len(row["curve"]) for row in report["rows"])
    title = f"Learning curves over {epochs(longest)}"
    if rungs:
        halted = sum(1 for row in report["rows"] if row["state"] in ("stopped", "paused"))
        title = f"{halted} of {len(report['rows'])} trials were stopped early" if halted else title
    return section("curves", title, figure(chart, (caption + omitted).strip(), key), figure(trained, beside))
