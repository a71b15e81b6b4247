"""The first sections: accuracy against cost, the best so far, and the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.analysis.report.charts import hours, percent
from archsearch.analysis.report.curves import best_so_far, learning
from archsearch.analysis.report.document import cheapest_first
from archsearch.analysis.report.html import figure, folded, legend, paragraph, section, table
from archsearch.analysis.report.tradeoff import amount, tradeoff, unit


def epochs(count: int | None) -> str:
    """1 epoch, 3 epochs."""
    return f"{count} epoch{'' if count == 1 else 's'}"


# ---- accuracy against cost


def tradeoffs(found: Mapping[str, Any]) -> str:
    """A chart for FLOPs, and one for each other cost that is sought or bounded and was measured."""
    rows = [row for row in found["rows"] if row["value"] is not None]
    if not rows:
        return ""
    others = [name for name in found["objectives"] if name not in ("accuracy", "flops")]
    others += [bound["name"] for bound in found["budget"] if bound["name"] == "latency" and "latency" not in others]
    figures = [_tradeoff(found, "flops", found["front"])]
    for name in others:
        if any(row["cost"].get(name) for row in rows):
            figures.append(_tradeoff(found, name, _front(rows, name)))
    title = "What accuracy costs"
    if len(found["front"]) > 1:
        title = f"What accuracy costs: {len(found['front'])} networks that none beats in both"
    return section("tradeoff", title, paragraph(_tradeoff_words(found)), *figures)


def _front(rows: list[dict[str, Any]], name: str) -> list[str]:
    finished = [row for row in rows if row["state"] == "finished" and row["cost"].get(name)]
    return cheapest_first((row["trial"], row["cost"][name], row["value"]) for row in finished)


def _tradeoff_words(found: Mapping[str, Any]) -> str:
    by_id = {row["trial"]: row for row in found["rows"]}
    front = [by_id[trial] for trial in found["front"]]
    if len(front) < 2:
        return ""
    small, best = front[0], front[-1]
    lost = 100 * (best["value"] - small["value"])
    times = best["cost"]["flops"] / small["cost"]["flops"]
    return (
        f"From {best['trial']} down the front to {small['trial']} the FLOPs fall to one part in {times:.1f}, and "
        f"{lost:.1f} points of validation accuracy go with them."
    )


def _tradeoff(found: Mapping[str, Any], name: str, front: list[str]) -> str:
    partial = any(row["state"] != "finished" and row["value"] is not None for row in found["rows"])
    kinds = {row["kind"] for row in found["baselines"]}
    key = legend(
        ("front", "on the Pareto front"),
        ("trial", "trained to the end"),
        ("trial partial", "score of a rung: fewer epochs" if partial else ""),
        ("<other", "literature, trained here" if "trained" in kinds else ""),
        ("<other", "literature, published test accuracy" if "published" in kinds else ""),
        ("~cost-line", "literature: only the cost is known" if "cost" in kinds else ""),
    )
    caption = (
        "Only trials that were trained to the end are on the front. The scale is theirs: one "
        "below it lies on its floor, hollow, and scores of rungs below it are not drawn."
    )
    if "published" in kinds:
        caption += " Published accuracies are on the test images, after far longer trainings; pointing shows the name."
    elif not kinds:
        caption += (
            " No network of the zoo is shown: none was confirmed here, and none that fits the budget was counted."
        )
    by_id = {row["trial"]: row for row in found["rows"]}
    rows = [
        (
            t,
            percent(by_id[t]["value"], 2),
            amount(name, by_id[t]["cost"][name]),
            amount("params", by_id[t]["cost"]["params"]),
        )
        for t in front
    ]
    said = (
        folded("The front as a table", table(("trial", "accuracy", unit(name), "parameters"), rows, marks=front))
        if rows
        else ""
    )
    return figure(tradeoff(found, name, front), caption, key, said)


# ---- the best so far


def so_far(found: Mapping[str, Any]) -> str:
    """Against trials, and against hours."""
    said = found["progress"]
    trials, spent = best_so_far(found, "trials"), best_so_far(found, "hours")
    if not trials and not spent:
        return ""
    random = said["random"]
    expected = "best" in random
    apart = said["level"] != said["full"]
    at = f"best after {epochs(said['level'])}, so far"
    key = legend(
        ("~steps full-best", "best trained to the end, so far" if said["finished"] else ""),
        ("~steps rung-best", at if apart and said["compared"] else ""),
        ("~expected", f"random draws: expected best after {epochs(said['level'])}" if expected else ""),
        ("~steps random-search", "random search at equal cost, run by confirm" if said["random_search"] else ""),
    )
    how = (
        f"Random's expectation is {random['how']}."
        if expected
        else f"Random search's expectation is not drawn: {random['why_not']}."
    )
    compare = (
        f" It is to be compared with the blue line, which is after {epochs(said['level'])} too."
        if expected and apart
        else ""
    )
    hour_key = legend(
        ("~steps full-best", "best trained to the end, so far" if said["finished"] else ""),
        ("~expected", "random draws: expected best" if expected and not apart else ""),
        ("~steps random-search", "random search at equal cost, run by confirm" if said["random_search"] else ""),
    )
    clock = "Hours are the workers' added up: two at once for an hour are two."
    if expected and apart and not said["random_search"]:
        clock += (
            " What random draws trained in full would cost here is not known; `archsearch confirm` runs that search."
        )
    return section(
        "progress", _so_far_title(said), paragraph(_lead(said)), figure(trials, how + compare, key),
        figure(spent, clock, hour_key) if said["finished"] else "",
    )  # fmt: skip


def _so_far_title(said: Mapping[str, Any]) -> str:
    if not said["finished"]:
        return "The best so far"
    last = said["finished"][-1]
    return f"The best came with trial {last['trials']} of {said['trials']}" + (
        f", after {hours(last['hours'])} of work" if last["hours"] > 0 else ""
    )


def _lead(said: Mapping[str, Any]) -> str:
    """How the search stands to random draws where both are known."""
    random = said["random"]
    if "best" not in random or not said["compared"]:
        return ""
    n, drawn = random["best"]["n"][-1], random["best"]["expected"][-1]
    best, after = said["compared"][-1]["value"], epochs(said["level"])
    if said["compared"][-1]["trials"] <= n:
        return (
            f"{n} trials were drawn at random, and after {after} none of the others was better than the best of them."
        )
    return (
        f"{n} trials were drawn at random; after {after} the best of them had {percent(drawn)}, and the best of all "
        f"has {percent(best)}."
    )


# ---- curves


def learning_curves(found: Mapping[str, Any]) -> str:
    """The curves by rung."""
    chart, left_out = learning(found)
    if not chart:
        return ""
    rungs = sorted({rung["epochs"] for rung in found["rungs"]})
    key = legend(
        ("~curve best", "the winner" if found["winner"] else ""),
        ("~curve done", "trained to the end"),
        ("~curve", "paused or stopped at a rung" if rungs else "not trained to the end"),
    )
    caption = "A dot is where a trial paused. " + (
        "At a rung (dashed) the learning rate has fallen to zero, so scores there are comparable; above it the rate "
        "starts anew, and accuracy may fall for a while. " if rungs else ""
    )  # fmt: skip
    most = max(len(row["curve"]) for row in found["rows"])
    title = f"Learning curves over {epochs(most)}"
    if rungs:
        gone = sum(1 for row in found["rows"] if row["state"] in ("stopped", "paused"))
        title = f"{gone} of {len(found['rows'])} trials went no further than a rung" if gone else title
    return section("curves", title, figure(chart, caption + left_out, key))
