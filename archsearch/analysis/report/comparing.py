"""Two searches, or random samples of two spaces, beside one another: their distributions, their fronts, and of random
samples whether they differ by more than chance."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from archsearch.analysis.distributions import BestOfN, Edf, SampleTests, compare_samples, edf
from archsearch.analysis.report.charts import (
    Canvas,
    both,
    dot,
    epochs,
    log_extent,
    percent,
    polyline,
    scores,
    stairs,
    written,
)
from archsearch.analysis.report.curves import edfs
from archsearch.analysis.report.document import front
from archsearch.analysis.report.figures import ConfirmedRow
from archsearch.analysis.report.html import figure, frame, legend, paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.retrained import retrained, retrained_section, rows_of
from archsearch.analysis.report.tradeoff import amount
from archsearch.analysis.svg import clean
from archsearch.experiment.objective import ACCURACY, Objective

FEWEST = 5  # scores of each
SIGNIFICANT = 0.05
BAND = "A band is simultaneous: it holds the whole curve of its space in 95 % of samples (Kolmogorov)."
ADJUSTED = (
    "The p-values are adjusted for two tests (Holm); the interval is by order statistics (Newcombe's difference)."
)
NO_TEST = (
    "a test of significance needs trials that were all drawn at random and trained alike, and those of {} were chosen "
    "by earlier scores or stopped early"
)


class FinishedTrial(TypedDict):
    """A trial that was trained to its end."""

    trial: str
    value: float
    flops: float
    params: float


class Side(TypedDict):
    """One of the two searches; `scores` are those after the epochs at which the two are compared, `retrained` its
    confirmed winner and what that was compared with."""

    experiment: str
    folder: str
    metric: dict[str, Any]
    state: str
    trials: int
    epochs: int
    lane_hours: float
    drawn_at_random: bool
    scores: list[float]
    edf: Edf | None
    finished: list[FinishedTrial]
    best: FinishedTrial | None
    front: list[str]
    retrained: list[ConfirmedRow]


class Comparison(TypedDict):
    """Two searches, compared by `metric` after `epochs`; where they cannot be (None), or cannot be tested, `why_not`
    says why, and `tests` is None."""

    metric: dict[str, Any]
    a: Side
    b: Side
    epochs: int | None
    tests: SampleTests | None
    verdict: str
    why_not: str
    same_data: NotRequired[bool]


def compare(first: Reading, second: Reading) -> Comparison:
    """Plain JSON: each side's scores where both can be compared, and the tests between them where both are random
    samples of spaces. The trials of a search depend on one another: tests that take them for independent draws call
    equal searches different far more often than in 5 % of cases.

    They are compared after the same number of epochs: the highest after which both have at least FEWEST scores, and at
    least half of their trials one.
    """
    level = _level(first, second)
    a, b = (_side(reading, level) for reading in (first, second))
    objective, other = first.objective, second.objective
    comparison: Comparison = {"metric": objective.to_dict(), "a": a, "b": b, "epochs": level, "tests": None,
                              "verdict": "", "why_not": ""}  # fmt: skip
    if objective != other:
        why = f"A was searched by {objective.label} and B by {other.label}, so their scores do not compare"
        return {**comparison, "epochs": None, "why_not": why}
    if level is None:
        return {**comparison, "why_not": f"there is no number of epochs after which both have {FEWEST} scores"}
    comparison["same_data"] = _same_data(first, second)
    if not comparison["same_data"]:
        return {**comparison, "why_not": "their images are not the same, so no score of theirs compares"}
    chosen = [f"{name} ({side['experiment']})" for name, side in (("A", a), ("B", b)) if not side["drawn_at_random"]]
    if chosen:
        return {**comparison, "why_not": NO_TEST.format(" and ".join(chosen))}
    tests = compare_samples(*([objective.key(value) for value in side["scores"]] for side in (a, b)))
    if objective.sense == "min" and (best := tests["best_of_n"]) is not None:  # in the metric's own values again
        turned: BestOfN = {**best, "difference": -best["difference"], "low": -best["high"], "high": -best["low"]}
        tests = {**tests, "best_of_n": turned}
    return {**comparison, "tests": tests, "verdict": _verdict(tests, a["experiment"], b["experiment"], objective)}


def _level(first: Reading, second: Reading) -> int | None:
    shared = [
        level
        for level in first.scores.keys() & second.scores.keys()
        if all(
            len(reading.scores[level]) >= max(FEWEST, len({score.trial for score in reading.history}) / 2)
            for reading in (first, second)
        )
    ]
    return max(shared, default=None)


def _side(reading: Reading, level: int | None) -> Side:
    scores, at_random = list(reading.scores.get(level or 0, {}).values()), _is_sample(reading, level)
    finished: list[FinishedTrial] = [
        {"trial": t.id, "value": t.value or 0.0, "flops": t.cost["flops"], "params": t.cost["params"]}
        for t in reading.finished
    ]
    return {
        "experiment": reading.name,
        "folder": str(reading.folder.path),
        "metric": reading.objective.to_dict(),
        "state": reading.summary["state"],
        "trials": reading.summary["trials"]["total"],
        "epochs": sum(trial.epochs for trial in reading.trials),
        "lane_hours": reading.lanes / 3600,
        "drawn_at_random": at_random,
        "scores": scores,
        "edf": edf(scores, independent=at_random) if len(scores) >= FEWEST else None,
        "finished": finished,
        "best": finished[0] if finished else None,
        "front": front(reading, "flops"),
        "retrained": retrained(reading),
    }


def _is_sample(reading: Reading, level: int | None) -> bool:
    """Whether the scores are of networks drawn at random, and of all of them: then they are a sample of the space, and
    do not depend on the sampler."""
    scored = reading.scores.get(level or 0, {}).keys()
    return scored <= reading.random and len(scored) == len({score.trial for score in reading.history})


def _same_data(first: Reading, second: Reading) -> bool:
    """Whether both searched on the same images, at one size at least: by their digests, or else by the settings."""
    a, b = _digests(first), _digests(second)
    return bool(a & b) if a or b else first.resolved.get("data") == second.resolved.get("data")


def _digests(reading: Reading) -> set[Any]:
    """The digests of the last session's images, at each size."""
    began = [event.data for event in reading.notes if event.kind == "began"]
    return {began[-1]["data"], *began[-1].get("smaller", ())} if began and began[-1].get("data") else set()


def _verdict(tests: SampleTests, a: str, b: str, objective: Objective) -> str:
    """Two sentences, no stronger than the tests; `a` and `b` are the experiments' names."""
    rank, best = tests["mann_whitney"], tests["best_of_n"]
    share = percent(rank["superiority"], 0)
    better = "is more accurate" if objective.name == ACCURACY else f"has a better {objective.label}"
    text = f"A network of A ({a}) {better} than one of B ({b}) in {share} of pairs: "
    text += "a significant difference" if rank["adjusted"] < SIGNIFICANT else "no significant difference"
    text += f" (Mann-Whitney, adjusted p = {rank['adjusted']:.2g})."
    if best is None:
        return text
    text += f" The best of {best['n']} networks of A is {_points(best, objective)} from that of B (medians; "
    text += f"95 % interval {_interval(best, objective)}): "
    significant = best["low"] > 0 or best["high"] < 0
    return text + ("a significant difference." if significant else "no significant difference.")


def _points(best: BestOfN, objective: Objective) -> str:
    return objective.number(best["difference"], "+") + (" points" if objective.percent else "")


def _interval(best: BestOfN, objective: Objective) -> str:
    return f"{objective.number(best['low'], '+')} to {objective.number(best['high'], '+')}"


# ---- as a page


def comparison_page(comparison: Comparison) -> str:
    """The comparison as one HTML file's text."""
    a, b = comparison["a"], comparison["b"]
    names = [f"A: {a['experiment']}", f"B: {b['experiment']}"]
    head = f'<header><div class="kicker">archsearch &#183; two {_kind(comparison)}</div>'
    head += f"<h1>{clean(a['experiment'])} and {clean(b['experiment'])}</h1>"
    head += paragraph(comparison["verdict"] or why_not(comparison), "lede")
    rows = [
        (name, side["state"], f"{side['trials']:,}", f"{side['epochs']:,}", *_best(side, Objective.of(side)))
        for name, side in zip(names, (a, b), strict=True)
    ]
    head += table(("", "state", "trials", "epochs", "best", "its FLOPs", "trial"), rows) + "</header>"
    body = head + _edf_section(comparison, names) + _fronts_section(comparison, names) + _tests(comparison)
    body += retrained_section(retrained_rows(comparison))
    return frame(f"{a['experiment']} and {b['experiment']}", body, {})


def retrained_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row for each network that the searches were confirmed with, under `retrained.HEAD`."""
    return rows_of(*((Objective.of(side), side["retrained"]) for side in (comparison["a"], comparison["b"])))


def why_not(comparison: Comparison) -> str:
    """Why there is no verdict, in a sentence."""
    reason = comparison["why_not"]
    return f"{'They do not compare' if comparison['epochs'] is None else 'No verdict'}: {reason}."


def _kind(comparison: Comparison) -> str:
    return "spaces" if comparison["a"]["drawn_at_random"] and comparison["b"]["drawn_at_random"] else "searches"


def _best(side: Side, objective: Objective) -> tuple[str, str, str]:
    best = side["best"]
    return (objective.named(best["value"]), amount("flops", best["flops"]), best["trial"]) if best else ("none", "", "")


def _edf_section(comparison: Comparison, names: list[str]) -> str:
    sides = (("edf-a", comparison["a"]["edf"]), ("edf-b", comparison["b"]["edf"]))
    drawn = [(css, curve) for css, curve in sides if curve is not None]
    if comparison["epochs"] is None or not drawn:
        return ""
    key = legend(*((f"~steps {css}", name) for css, name in zip(("edf-a", "edf-b"), names, strict=True)))
    after = f"after {epochs(comparison['epochs'])}"
    objective = Objective.of(comparison)
    caption = f"Validation {objective.label} {after}. "
    if any(curve["low"] for _, curve in drawn):
        caption += f"{BAND} "
    caption += "These are the networks that the " + (
        "spaces hold, drawn at random within the budgets: what the curves tell is the spaces'."
        if _kind(comparison) == "spaces"
        else "searches chose, not a sample of their spaces: a better sampler moves its curve too."
    )
    return section("edf", "How good their networks are", figure(edfs(drawn, after, objective), caption, key))


def _fronts_section(comparison: Comparison, names: list[str]) -> str:
    sides, objective = {"a": comparison["a"], "b": comparison["b"]}, Objective.of(comparison)
    rows = [(css, row) for css, side in sides.items() for row in side["finished"]]
    if not rows:
        return ""

    def draw(canvas: Canvas) -> str:
        x = canvas.x(*log_extent(row["flops"] for _, row in rows), log=True)
        fronts = {css: set(side["front"]) for css, side in sides.items()}
        shown = [row["value"] for css, row in rows if row["trial"] in fronts[css]]
        y = canvas.y(*scores(objective, [row["value"] for _, row in rows], shown))
        end = y.low if objective.sense == "max" else y.high
        body = canvas.axes(x, y, x_name="FLOPs, log scale", y_name=f"validation {objective.label}",
                           x_text=lambda v: amount("flops", v), written=written(objective))  # fmt: skip
        for css, row in rows:
            tip = f"{css.upper()} {row['trial']}: {objective.text(row['value'])}, {amount('flops', row['flops'])} FLOPs"
            drawn = not objective.better(end, row["value"])
            body += dot(x(row["flops"]), y(row["value"]), 4.5, f"dot-{css}", tip=tip) if drawn else ""
        for css in ("a", "b"):
            members = sorted((r["flops"], r["value"]) for c, r in rows if c == css and r["trial"] in fronts[css])
            body += polyline(stairs([(x(flops), y(value)) for flops, value in members]), f"line-{css}")
        return canvas.svg(f"{objective.label} against FLOPs of the trials that finished, and both Pareto fronts", body)

    key = legend(("dot-a", names[0]), ("dot-b", names[1]), ("~line-a", "Pareto front of A"), ("~line-b", "of B"))
    return section(
        "fronts", f"What {objective.label} costs", figure(both(draw), "Trials that were trained to the end.", key)
    )


def _tests(comparison: Comparison) -> str:
    if comparison["tests"] is None:
        return ""
    head = ("test", "statistic", "adjusted p, or 95 % interval", "what it asks")
    figures = table(head, figures_of(comparison["tests"], Objective.of(comparison)), left=(0, 3), wide=(3,))
    return section("tests", "Is the difference significant?", figures, paragraph(ADJUSTED, "note"))


def figures_of(tests: SampleTests, objective: Objective) -> list[tuple[str, str, str, str]]:
    """A row for each test: its name, its statistic, its adjusted p-value or interval, and the question that it
    answers."""
    rank, shape, best = tests["mann_whitney"], tests["kolmogorov_smirnov"], tests["best_of_n"]
    more = "more accurate" if objective.name == ACCURACY else "better"
    rows = [
        ("Mann-Whitney", f"{percent(rank['superiority'], 0)}", f"p = {rank['adjusted']:.2g}",
         f"is a network of A {more} than one of B more often than not"),
        ("Kolmogorov-Smirnov", f"D = {shape['d']:.2f}", f"p = {shape['adjusted']:.2g}",
         "do the distributions differ at all"),
    ]  # fmt: skip
    if best is not None:
        rows.append((f"best of {best['n']}", _points(best, objective), _interval(best, objective),
                     f"is the best of so many draws {more} (difference of the medians)"))  # fmt: skip
    return rows
