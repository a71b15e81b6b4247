"""The paths of a network as sentences, JSON and a page, with the paper's figures redrawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from archsearch.analysis.report.charts import percent
from archsearch.analysis.report.html import figure, paragraph, section, table
from archsearch.anatomy.page import Axis, page, scatter
from archsearch.anatomy.paths import EFFECTIVE, Gradients, smallest_interval
from archsearch.anatomy.steps import Row

VEIT_BLOCKS = 54
PAPER = (
    "Veit et al. 2016 (arXiv:1605.06431), of a pre-activated ResNet-110: 98 % of the paths pass 19 to 35 of its 54 "
    "blocks, and nearly all of the gradient comes by the far fewer of 5 to 17. Trained with 23 random blocks a batch "
    "it had a test error of 5.96 %, with all of them 6.10 %."
)


def document(row: Row, result: Gradients, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain JSON values; counts of paths are exact."""
    lengths = result.lengths
    shares = [count / lengths.total for count in lengths.counts]
    most, effective, (factor, explained) = smallest_interval(shares), result.effective, result.decay()
    means, contributions = result.means, result.contributions
    return {
        **facts,
        "blocks": len(row.blocks),
        "with_shortcut": sum(row.steps[number].has_shortcut for number in row.blocks),
        "paths": lengths.total,
        "lengths": [
            {
                "length": length,
                "paths": count,
                "share": shares[length],
                "gradient": None if np.isnan(means[length]) else float(means[length]),
                "drawn": len(result.norms[length]),
                "contribution": float(contributions[length]),
            }
            for length, count in enumerate(lengths.counts)
        ],
        "most_paths": {"from": most[0], "to": most[1], "share": lengths.share(*most)},
        "effective": {
            "from": effective[0],
            "to": effective[1],
            "contribution": float(contributions[effective[0] : effective[1] + 1].sum()),
            "share": lengths.share(*effective),
        },
        "decay": {"factor": _number(factor), "r_squared": _number(explained)},
        "published": [
            {"source": "Veit et al. 2016, figure 6", "blocks": VEIT_BLOCKS, "from": 5, "to": 17, "share": 0.004537},
            {"source": "quoted elsewhere", "blocks": VEIT_BLOCKS, "from": 9, "to": 18, "share": 0.009917},
        ],
        "remarks": _remarks(row, result),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _remarks(row: Row, result: Gradients) -> list[str]:
    lengths, (first, last) = result.lengths, result.effective
    remarks = [
        f"{lengths.total:,} paths. {percent(EFFECTIVE, 0)} of the gradient at the image comes by those of {first} to "
        f"{last} of {len(row.blocks)} blocks, which are {_share(lengths.share(first, last))} of the paths."
    ]
    factor, explained = result.decay()
    if np.isfinite(factor):
        remarks.append(f"With each block more a path's gradient is {factor:.2f} times as large (R² {explained:.3f}).")
    if lengths.total > 1:
        remarks.append(_follows(lengths.share(first, last), first, last, len(row.blocks)))
    links = {step.words.link for step in row.steps if step.words is not None}
    gated = any(step.words.gate != "none" for step in row.steps if step.words is not None)
    if "highway" in links or gated:
        remarks.append(
            "Gates weigh branch and shortcut by the image: paths are counted as if they were open, and what a gate "
            "learns of its input is no part of a path's gradient."
        )
    if lengths.total == 1:
        remarks.append("Without shortcuts there is one path, through every block.")
    return remarks


def _follows(share: float, first: int, last: int, blocks: int) -> str:
    """What the effective paths mean for the network."""
    if share >= 0.5:
        return (
            "Most of its paths take part in learning: at this depth its shortcuts do not make short paths of it, and "
            "each block is likely to be missed."
        )
    return (
        f"It learns by its short paths: those of more than {last} blocks carry at most 5 % of the gradient, so it is "
        f"trained as many networks of {first} to {last} blocks rather than one of {blocks}. `archsearch analyze "
        "lesion` shows which of its blocks can go."
    )


def _share(share: float) -> str:
    return percent(share, 2) if share >= 1e-4 else f"{share:.1e}"


def html(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    lengths, effective = document["lengths"], document["effective"]
    measured = [row for row in lengths if row["gradient"]]
    shares = [(row["length"], row["share"]) for row in lengths]
    norms = [(row["length"], row["gradient"]) for row in measured]
    contributions = [(row["length"], row["contribution"]) for row in lengths]
    x = Axis("branches on the path")
    images = f"{document['images']:,} {document['split']} images of {document['data']}"
    sections = [
        section("lengths", "How long paths are", figure(
            scatter(shares, x=x, y=Axis("share of the paths", True, (0.0,)), lines=[("curve best", shares)],
                    whole=True),
            f"{document['paths']:,} paths; {percent(document['most_paths']['share'])} of them pass "
            f"{document['most_paths']['from']} to {document['most_paths']['to']} branches.")),
        section("gradient", "The gradient by a path", figure(
            scatter(norms, x=x, y=Axis("norm at the image, mean"), lines=[("curve best", norms)], log=True, whole=True),
            f"Of random paths of each length, on {images}: forward the whole network, backward one path alone.")),
        section("effective", "Where the gradient comes from", figure(
            scatter(contributions, x=x, y=Axis("share of the gradient", True, (0.0,)),
                    lines=[("curve best", contributions)], whole=True),
            f"Share of the paths times their mean norm. {percent(effective['contribution'])} comes by paths of "
            f"{effective['from']} to {effective['to']} branches."),
            paragraph(PAPER),
            table(["", "blocks", "effective lengths", "share of the paths"], [
                [document["network"], f"{document['blocks']}", f"{effective['from']} to {effective['to']}",
                 _share(effective["share"])],
                *([row["source"], f"{row['blocks']}", f"{row['from']} to {row['to']}", _share(row["share"])]
                  for row in document["published"])])),
        section("follows", "What follows", *(paragraph(text) for text in document["remarks"][1:])),
    ]  # fmt: skip
    return page(
        f"{document['network']}: paths",
        f"archsearch · paths · {document['network']}",
        f"Most of the gradient passes {effective['from']} to {effective['to']} of {document['blocks']} blocks",
        document["remarks"][0],
        sections,
    )
