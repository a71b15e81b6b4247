"""The loss around a network's weights as sentences, JSON and a page: a map, and the two lines through its middle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from archsearch.analysis.report.charts import Canvas, both, label, percent
from archsearch.analysis.report.html import figure, legend, paragraph, section, table
from archsearch.analysis.svg import element
from archsearch.anatomy.landscape import Floats, Grid, flat_share
from archsearch.anatomy.page import Axis, page, scatter

LI = "Li et al. 2018 (arXiv:1712.09913)"
PAPER = (
    "of ResNet-56 without shortcuts the surface is chaotic where with them it is nearly convex; beside it stand test "
    "errors of 13.31 and 5.89 %, of depth 110 16.44 and 5.79 %, of depth 20 8.18 and 7.37 %"
)


def document(values: Floats, grid: Grid, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain JSON values; a loss that is no finite number is null."""
    middle = grid.points // 2
    share = flat_share(values)
    own = float(values[middle, middle])
    finite = values[np.isfinite(values)]
    remarks = [
        f"The loss is {own:.4g} at the trained weights, and below twice its least value in {percent(share, 0)} of the "
        f"square that reaches {grid.span:g} from them in both directions."
    ]
    if finite.size and finite.min() < 0.98 * own:
        remarks.append(f"It is lower elsewhere in the square: {finite.min():.4g}. Training had not ended.")
    remarks.append(_follows(values, grid))
    return {
        **facts,
        "points": grid.points,
        "span": grid.span,
        "loss": own,
        "below_twice_the_least": share,
        "values": [[value if math.isfinite(value) else None for value in row] for row in values.tolist()],
        "remarks": remarks,
    }


def _follows(values: Floats, grid: Grid) -> str:
    """What the two lines through the trained weights mean for changes of the weights that no training follows."""
    middle, steps = grid.points // 2, np.abs(grid.steps)
    lines = np.concatenate([values[middle], values[:, middle]])
    doubled = np.tile(steps, 2)[~(lines < 2 * values[middle, middle])]
    if not doubled.size:
        return f"Along both directions weights may change by {grid.span:g} of their filters' norms before it doubles."
    return (
        f"It doubles where weights change by {doubled.min():.2g} of their filters' norms, or before: pruning and "
        "rounding without further training should change them by less."
    )


BESIDE = ("network", "digest", "weights", "flops", "params", "loss", "below_twice_the_least", "values")


def beside(document: dict[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The document with those of other networks on the same grid and images, to be drawn at one scale."""
    shares = [
        f"{percent(other['below_twice_the_least'], 0)} around {other['network']} (loss {other['loss']:.4g})"
        for other in others
    ]
    return {
        **document,
        "beside": [{key: other[key] for key in BESIDE} for other in others],
        "remarks": [*document["remarks"], f"That share of the square is {', '.join(shares)}."],
    }


def html(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    images = f"{document['images']:,} {document['split']} images of {document['data']}"
    points, span = document["points"], document["span"]
    networks = [document, *document.get("beside", ())]
    values = [value for network in networks for row in network["values"] for value in row if value]
    ends = (min(values), max(values)) if values else (1.0, 1.0)
    scale = f" All maps have one scale, from {ends[0]:.4g} to {ends[1]:.4g}." if len(networks) > 1 else ""
    maps = [
        figure(
            both(partial(_map, rows=network["values"], span=span, ends=ends), wide=620, narrow=360),
            f"{network['network']}: the mean loss on {images}, unaugmented, at {points} x {points} points: the "
            f"stronger the colour, the higher, by the logarithm. In the middle the trained weights.{scale}",
        )
        for network in networks
    ]
    sections = [
        section("map", "Around the weights", *maps),
        section("lines", "Along each direction", *(_lines(networks, name, span) for name in ("first", "second"))),
        section(
            "paper",
            "In the paper",
            paragraph(f"{LI}: {PAPER}. There: 51 x 51 points from -1 to 1."),
            table(
                ["", "loss at the weights", "share of the square below twice the least"],
                [
                    [network["network"], f"{network['loss']:.4g}", percent(network["below_twice_the_least"], 0)]
                    for network in networks
                ],
            ),
        ),
    ]
    headline = f"The loss around the weights of {' and '.join(network['network'] for network in networks)}"
    lede = " ".join(document["remarks"])
    return page(
        f"{document['network']}: landscape", f"archsearch · landscape · {document['network']}", headline, lede, sections
    )


def _lines(networks: Sequence[Mapping[str, Any]], direction: str, span: float) -> str:
    """The loss along a direction from the weights: of the first network with a dot a point, of the others as lines."""

    def line(rows: Sequence[Sequence[float | None]]) -> list[tuple[float, float]]:
        middle = len(rows) // 2
        losses = rows[middle] if direction == "first" else [row[middle] for row in rows]
        return [
            (at, loss) for at, loss in zip(np.linspace(-span, span, len(rows)).tolist(), losses, strict=True) if loss
        ]

    own, *others = [line(network["values"]) for network in networks]
    chart = scatter(
        own, x=Axis("step along the direction"), y=Axis("loss"),
        lines=[*(("curve done", other) for other in others), ("curve best", own)], log=True,
    )  # fmt: skip
    names = [network["network"] for network in networks]
    key = legend(("~curve best", names[0]), ("~curve done", ", ".join(names[1:]))) if others else ""
    return figure(chart, f"The {direction} direction.", key)


def _map(canvas: Canvas, rows: list[list[float | None]], span: float, ends: tuple[float, float]) -> str:
    """A square of cells; opacity from the least to the highest loss, the `ends`, by the logarithm; none where there is
    no number."""
    if not any(value for row in rows for value in row):
        return ""
    size = min(canvas.width - canvas.left - canvas.right, canvas.floor - canvas.top) / len(rows)
    low, width = math.log(ends[0]), math.log(ends[1] / ends[0]) or 1.0
    body = ""
    for number, row in enumerate(reversed(rows)):
        for column, value in enumerate(row):
            place = {"x": canvas.left + column * size, "y": canvas.top + number * size, "width": size, "height": size}
            if value:
                opacity = 0.06 + 0.94 * (math.log(value) - low) / width
                body += element("rect", {**place, "class": "hit-map", "fill-opacity": f"{opacity:.3f}",
                                         "data-tip": f"loss {value:.4g}"})  # fmt: skip
    right, bottom = canvas.left + len(rows) * size, canvas.top + len(rows) * size
    body += label(canvas.left, bottom + 19, f"{-span:g}", "tick", "middle")
    body += label(right, bottom + 19, f"{span:g}", "tick", "middle")
    body += label((canvas.left + right) / 2, bottom + 34, "first direction", "name", "middle")
    body += label(canvas.left, canvas.top - 10, f"second direction, {span:g} above, {-span:g} below", "name")
    return canvas.svg("the loss by the steps along two directions", body)
