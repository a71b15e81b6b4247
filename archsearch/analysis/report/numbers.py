"""The section on where a network that predicts numbers is wrong: predicted against true, and the residuals."""

from __future__ import annotations

from archsearch.analysis.report.charts import NOTHING, Canvas, both, dot, extent, label, line, number
from archsearch.analysis.report.html import figure, legend, paragraph, section, table
from archsearch.analysis.report.pictures import Pictures, gallery, item
from archsearch.analysis.residuals import Miss, Residuals, Target
from archsearch.analysis.svg import clean, element

CHARTS = 4  # targets that are drawn; the others are in the table
BARS = 84.0  # pixels of the residuals, below the chart


def off(figures: Residuals, pictures: Pictures, title: str) -> str:
    """The section for a regression."""
    text = (
        f"All figures are of {figures['images']:,} {figures['split']} images. A residual is the predicted number less "
    )
    text += "the true one."
    head = ("target", "mean absolute error", "root mean square error", "R\u00b2")
    rows = [
        (row["name"], number(row["mean_absolute_error"]), number(row["root_mean_square_error"]),
         NOTHING if row["r2"] is None else f"{row['r2']:.3f}")
        for row in figures["targets"]
    ]  # fmt: skip
    charts = [part for row in figures["targets"][:CHARTS] for part in _target(row)]
    listed = [f"<h3>The largest errors</h3>{gallery(_item(row, pictures) for row in figures['worst'])}"]
    note = f"No pictures: {pictures.why_not}." if pictures.why_not else ""
    return section("wrong", title, paragraph(text), table(head, rows), *charts, *listed, paragraph(note, "note"))


def _target(row: Target) -> list[str]:
    chart = both(lambda canvas: _chart(canvas, row), wide=470, narrow=400)
    key = legend(("trial", "an image"), ("~expected", "predicted is true"))
    caption = "Below: how many images have a residual of so much, from the lowest to the highest."
    return [f"<h3>{clean(row['name'])}</h3>", figure(chart, caption, key)]


def _chart(canvas: Canvas, row: Target) -> str:
    upper = Canvas(canvas.width, canvas.height - BARS, canvas.left, canvas.right, canvas.top, canvas.bottom)
    low, high = extent([value for point in row["points"] for value in point])
    x, y = upper.x(low, high), upper.y(low, high)
    body = upper.axes(x, y, x_name="true", y_name="predicted", x_text=number, written=lambda _: number)
    body += line(x(low), y(low), x(high), y(high), "expected")
    for true, predicted in row["points"]:
        body += dot(x(true), y(predicted), 3, "trial", tip=f"true {number(true)}, predicted {number(predicted)}")
    most, wide = max(row["counts"]), (x.end - x.start) / len(row["counts"])
    for index, count in enumerate(row["counts"]):
        height = (BARS - 34) * count / most
        tip = f"{count} residuals from {number(row['edges'][index])} to {number(row['edges'][index + 1])}"
        spot = {"x": x.start + wide * index + 1, "y": canvas.height - 18 - height, "width": wide - 2, "height": height}
        body += element("rect", {**spot, "class": "bar", "data-tip": tip}) if count else ""
    body += label(4, canvas.height - BARS + 14, "residuals", "tick")
    for at, value, anchor in ((x.start, row["edges"][0], "start"), (x.end, row["edges"][-1], "end")):
        body += label(at, canvas.height - 4, number(value), "tick", anchor)
    text = f"mean absolute error {number(row['mean_absolute_error'])}"
    return canvas.svg(f"{row['name']}: predicted against true of {len(row['points'])} images; {text}", body)


def _item(row: Miss, pictures: Pictures) -> str:
    name = row["name"] or f"{row['split']} image {row['image']}"
    text = f"predicted {number(row['predicted'])}"
    return item(pictures, (row["split"], row["image"]), f"{row['target']} {number(row['label'])}", text, name)
