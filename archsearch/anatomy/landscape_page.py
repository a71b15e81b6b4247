"""The loss around a network's weights as sentences, JSON and a page: a map, and the two lines through its middle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from archsearch.analysis.report.charts import Canvas, both, label, percent
from archsearch.analysis.report.html import figure, paragraph, section, table
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
    return {
        **facts,
        "points": grid.points,
        "span": grid.span,
        "loss": own,
        "below_twice_the_least": share,
        "values": [[value if math.isfinite(value) else None for value in row] for row in values.tolist()],
        "remarks": remarks,
    }


def html(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    images = f"{document['images']:,} {document['split']} images of {document['data']}"
    points, span = document["points"], document["span"]
    steps = np.linspace(-span, span, points).tolist()
    rows, middle = document["values"], points // 2
    lines = {
        "first": [(step, value) for step, value in zip(steps, rows[middle], strict=True) if value],
        "second": [(step, row[middle]) for step, row in zip(steps, rows, strict=True) if row[middle]],
    }
    x, y = Axis("step along the direction"), Axis("loss")
    sections = [
        section(
            "map",
            "Around the weights",
            figure(
                both(lambda canvas: _map(canvas, rows, span), wide=620, narrow=360),
                f"The mean loss on {images}, unaugmented, at {points} x {points} points: the darker, the higher, by "
                "the logarithm. In the middle the trained weights.",
            ),
        ),
        section(
            "lines",
            "Along each direction",
            *(
                figure(scatter(line, x=x, y=y, lines=[("curve best", line)], log=True), f"The {name} direction.")
                for name, line in lines.items()
            ),
        ),
        section(
            "paper",
            "In the paper",
            paragraph(f"{LI}: {PAPER}. There: 51 x 51 points from -1 to 1."),
            table(
                ["", "loss at the weights", "share of the square below twice the least"],
                [[document["network"], f"{document['loss']:.4g}", percent(document["below_twice_the_least"], 0)]],
            ),
        ),
    ]
    headline = f"The loss around the weights of {document['network']}"
    lede = " ".join(document["remarks"])
    return page(
        f"{document['network']}: landscape", f"archsearch · landscape · {document['network']}", headline, lede, sections
    )


def _map(canvas: Canvas, rows: list[list[float | None]], span: float) -> str:
    """A square of cells; opacity from the least to the highest loss by the logarithm; none where there is no number."""
    values = [value for row in rows for value in row if value]
    if not values:
        return ""
    size = min(canvas.width - canvas.left - canvas.right, canvas.floor - canvas.top) / len(rows)
    low, width = math.log(min(values)), math.log(max(values) / min(values)) or 1.0
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
