"""Two searches, or random samples of two spaces, beside one another: their distributions, their fronts, and whether
they differ by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.analysis.distributions import compared, edf
from archsearch.analysis.report.charts import Canvas, accuracies, both, dot, extent, log_extent, percent, polyline
from archsearch.analysis.report.curves import edfs
from archsearch.analysis.report.document import front
from archsearch.analysis.report.html import figure, frame, legend, paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount
from archsearch.analysis.svg import clean

FEWEST = 5  # scores of each
CERTAIN = 0.05


def compare(one: Reading, other: Reading) -> dict[str, Any]:
    """Plain JSON: each side's scores where both can be compared, and the tests between them.

    They compare after the same number of epochs: the highest that both have at least FEWEST scores at. `why_not` says
    why they do not.
    """
    level = _level(one, other)
    sides = [_side(reading, level) for reading in (one, other)]
    found: dict[str, Any] = {"a": sides[0], "b": sides[1], "epochs": level, "tests": None, "verdict": "", "why_not": ""}
    if level is None:
        return {**found, "why_not": f"there is no number of epochs after which both have {FEWEST} scores"}
    found["tests"] = compared(sides[0]["scores"], sides[1]["scores"])
    found["same_data"] = _data(one) == _data(other)
    return {**found, "verdict": _verdict(found)}


def _level(one: Reading, other: Reading) -> int | None:
    shared = [
        level
        for level, scores in one.scores.items()
        if min(len(scores), len(other.scores.get(level, {}))) >= FEWEST
        and 2 * len(scores) >= len({k.trial for k in one.known})
        and 2 * len(other.scores[level]) >= len({k.trial for k in other.known})
    ]
    return max(shared, default=None)


def _side(reading: Reading, level: int | None) -> dict[str, Any]:
    scores = list(reading.scores.get(level or 0, {}).values())
    finished = [
        {"trial": t.id, "value": t.value, "flops": t.cost["flops"], "params": t.cost["params"]}
        for t in reading.finished
    ]
    return {
        "experiment": reading.name,
        "folder": str(reading.folder.path),
        "state": reading.summary["state"],
        "trials": reading.summary["trials"]["total"],
        "epochs": sum(trial.epochs for trial in reading.trials),
        "lane_hours": reading.lanes / 3600,
        "drawn_at_random": _is_sample(reading, level),
        "scores": scores,
        "edf": edf(scores) if len(scores) >= FEWEST else None,
        "finished": finished,
        "best": finished[0] if finished else None,
        "front": front(reading, "flops"),
    }


def _is_sample(reading: Reading, level: int | None) -> bool:
    """Whether the scores are of networks drawn at random, and of all of them: then they tell of the space, and not of
    who searched it."""
    scored = reading.scores.get(level or 0, {}).keys()
    return scored <= reading.random and len(scored) == len({one.trial for one in reading.known})


def _data(reading: Reading) -> Any:
    began = [event.data.get("data") for event in reading.notes if event.kind == "began"]
    data = reading.resolved.get("data")
    return began[-1] if began and began[-1] else (dict(data) if isinstance(data, Mapping) else None)


def _verdict(found: Mapping[str, Any]) -> str:
    """Two sentences, no stronger than the tests."""
    tests, names = found["tests"], (found["a"]["experiment"], found["b"]["experiment"])
    rank, best = tests["mann_whitney"], tests["best_of_n"]
    said = f"A network of A ({names[0]}) beats one of B ({names[1]}) {percent(rank['superiority'], 0)} of the time; "
    said += "that is more than chance" if rank["p"] < CERTAIN else "that may be chance"
    low, high = 100 * best["low"], 100 * best["high"]
    said += f" (Mann-Whitney, p = {rank['p']:.2g}). The best of {best['n']} of A is expected "
    said += f"{100 * best['difference']:+.2f} points from that of B (95 % interval {low:+.2f} to {high:+.2f}): "
    return said + ("a difference." if low > 0 or high < 0 else "no difference that can be told.")


# ---- as a page


def comparison_page(found: Mapping[str, Any]) -> str:
    """The comparison as one HTML file's text."""
    a, b = found["a"], found["b"]
    names = [f"A: {a['experiment']}", f"B: {b['experiment']}"]
    head = f'<header><div class="kicker">archsearch &#183; two {_what(found)}</div>'
    head += f"<h1>{clean(a['experiment'])} and {clean(b['experiment'])}</h1>"
    head += paragraph(found["verdict"] or f"They do not compare: {found['why_not']}.", "lede")
    head += (
        "" if found.get("same_data", True) else paragraph("Their images are not the same: no score of theirs compares.")
    )
    rows = [
        (name, side["state"], f"{side['trials']:,}", f"{side['epochs']:,}", *_best(side))
        for name, side in zip(names, (a, b), strict=True)
    ]
    head += table(("", "state", "trials", "epochs", "best", "its FLOPs", "trial"), rows) + "</header>"
    body = head + _edf_section(found, names) + _fronts_section(found, names) + _tests(found)
    return frame(f"{a['experiment']} and {b['experiment']}", body, {})


def _what(found: Mapping[str, Any]) -> str:
    return "spaces" if all(found[key]["drawn_at_random"] for key in ("a", "b")) else "searches"


def _best(side: Mapping[str, Any]) -> tuple[str, str, str]:
    best = side["best"]
    return (percent(best["value"], 2), amount("flops", best["flops"]), best["trial"]) if best else ("none", "", "")


def _edf_section(found: Mapping[str, Any], names: list[str]) -> str:
    drawn = [(css, found[key]["edf"]) for css, key in (("edf-a", "a"), ("edf-b", "b")) if found[key]["edf"]]
    if found["epochs"] is None or not drawn:
        return ""
    key = legend(*((f"~steps {css}", name) for css, name in zip(("edf-a", "edf-b"), names, strict=True)))
    after = after_epochs(found["epochs"])
    caption = f"Validation accuracy {after}; the bands are a bootstrap's 95 %. These are the networks that the "
    caption += (
        "spaces hold, drawn at random within the budgets: what the curves tell is the spaces'."
        if _what(found) == "spaces"
        else "searches chose, not a sample of their spaces: a better sampler moves its curve too."
    )
    return section("edf", "How good their networks are", figure(edfs(drawn, f"accuracy {after}"), caption, key))


def _fronts_section(found: Mapping[str, Any], names: list[str]) -> str:
    rows = [(css, row) for css, key in (("a", "a"), ("b", "b")) for row in found[key]["finished"]]
    if not rows:
        return ""

    def draw(canvas: Canvas) -> str:
        x = canvas.x(*log_extent(row["flops"] for _, row in rows), log=True)
        low, high = accuracies([row["value"] for _, row in rows])
        members = [row["value"] for css, row in rows if row["trial"] in found[css]["front"]]
        y = canvas.y(min(low, extent(members)[0]), high)
        body = canvas.axes(x, y, x_name="FLOPs, log scale", y_name="validation accuracy",
                           x_text=lambda v: amount("flops", v), y_text=lambda v: percent(v, 1))  # fmt: skip
        for css, row in rows:
            tip = f"{css.upper()} {row['trial']}: {percent(row['value'], 2)}, {amount('flops', row['flops'])} FLOPs"
            body += dot(x(row["flops"]), y(row["value"]), 4.5, f"dot-{css}", tip=tip) if row["value"] >= y.low else ""
        for css in ("a", "b"):
            front_ = set(found[css]["front"])
            own = sorted((row["flops"], row["value"]) for c, row in rows if c == css and row["trial"] in front_)
            corners: list[tuple[float, float]] = []
            for flops, value in own:
                corners += [(x(flops), corners[-1][1])] if corners else []
                corners.append((x(flops), y(value)))
            body += polyline(corners, f"line-{css}") if len(corners) > 1 else ""
        return canvas.svg("accuracy against FLOPs of the trials that finished, and both Pareto fronts", body)

    key = legend(("dot-a", names[0]), ("dot-b", names[1]), ("~line-a", "Pareto front of A"), ("~line-b", "of B"))
    return section("fronts", "What accuracy costs", figure(both(draw), "Trials that were trained to the end.", key))


def _tests(found: Mapping[str, Any]) -> str:
    if found["tests"] is None:
        return ""
    head = ("test", "statistic", "p, or 95 % interval", "what it asks")
    return section(
        "tests", "Is the difference more than chance?", table(head, figures_of(found), left=(0, 3), wide=(3,))
    )


def after_epochs(epochs: int) -> str:
    """As in `after 1 epoch`."""
    return f"after {epochs} epoch{'' if epochs == 1 else 's'}"


def figures_of(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The tests' figures, in words."""
    rank, shape, best = (found["tests"][name] for name in ("mann_whitney", "kolmogorov_smirnov", "best_of_n"))
    return [
        ("Mann-Whitney", f"{percent(rank['superiority'], 0)}", f"p = {rank['p']:.2g}",
         "does one of A beat one of B more often than not"),
        ("Kolmogorov-Smirnov", f"D = {shape['d']:.2f}", f"p = {shape['p']:.2g}", "do the distributions differ at all"),
        (f"best of {best['n']}", f"{100 * best['difference']:+.2f} points",
         f"{100 * best['low']:+.2f} to {100 * best['high']:+.2f}", "is the best of so many draws better (bootstrap)"),
    ]  # fmt: skip
