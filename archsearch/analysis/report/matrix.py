"""The charts of mistakes: the confusion matrix, written out or compact, and the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.mistakes import Mistakes
from archsearch.analysis.report.charts import (
    NARROW,
    WIDE,
    Canvas,
    both,
    dot,
    label,
    line,
    percent,
    points,
    polyline,
)
from archsearch.analysis.svg import element, shorten, text_width
from archsearch.analysis.trust import Level, Trust
from archsearch.training.calibration import SMALLEST_BIN

WRITTEN = 12  # classes of a matrix with its counts in it
DRAWN = 60  # classes of the compact one: of more, those with the most mistakes
SHADES = 0.5  # opacity of a cell that holds its whole row: ink is legible on it
STRONGER = 2.0  # times, of a mistake: a tenth of a class is to be seen
ACROSS, DOWN = 64.0, 36.0  # pixels of a cell, at most
TALLEST = 72.0  # pixels of a name that is read from below


def confusion(figures: Mistakes) -> str:
    """The confusion matrix at both widths; empty where there is none."""
    matrix = figures["matrix"]
    if matrix is None:
        return ""
    names = [row["name"] for row in figures["classes"]]
    members = list(range(len(names)))
    if len(names) > DRAWN:
        wrong = sorted(members, key=lambda i: (figures["classes"][i]["right"] - figures["classes"][i]["count"], i))
        members = sorted(wrong[:DRAWN])
    return "".join(_confusion(width, names, matrix, members) for width in (WIDE, NARROW))


def _confusion(width: float, names: Sequence[str], matrix: Sequence[Sequence[int]], members: Sequence[int]) -> str:
    count, written = len(members), len(members) <= WRITTEN
    left = (150.0 if width == WIDE else 84.0) if written else 26.0
    across = min(ACROSS, (width - left - 14) / count)
    down = min(DOWN, across) if written else across
    upright = written and width == NARROW  # the columns' names, which are then read from below
    longest = min(TALLEST, max(text_width(names[i], 11) for i in members))
    top = 32 + longest if upright else 46.0 if written else 40.0
    canvas = Canvas(width, top + down * count + 16, left=left, right=width - left - across * count, top=top, bottom=16)
    body = label(left, 14, "predicted as", "name") + label(4, top - 8, "class", "name")
    for row, i in enumerate(members):
        total, y = sum(matrix[i]), top + down * row
        for column, j in enumerate(members):
            x, number = left + across * column, matrix[i][j]
            if number:
                body += _cell((x, y, across, down), number / total, names[i], names[j], number, i == j)
            if written:
                css = "cell-count" if number else "cell-count none"
                body += label(x + across / 2, y + down / 2 + 4, str(number) if number else "·", css, "middle")
        if written:
            body += label(left - 8, y + down / 2 + 4, shorten(names[i], left - 12, 12), "bar-name", "end")
            body += _column(
                left + across * (row + 0.5), top - 8, names[i], TALLEST if upright else across, upright=upright
            )
    frame = {"x": left, "y": top, "width": across * count, "height": down * count}
    body += element("rect", {**frame, "fill": "none", "class": "axis"})
    right = sum(matrix[i][i] for i in range(len(names)))
    images = sum(map(sum, matrix))
    return canvas.svg(f"confusion matrix of {len(names)} classes: {right} of {images} images on the diagonal", body)


def _column(x: float, y: float, name: str, room: float, *, upright: bool) -> str:
    """The name of a column, above it."""
    text = label(0 if upright else x, 0 if upright else y, shorten(name, room, 11), "cell-name",
                 "start" if upright else "middle")  # fmt: skip
    return f'<g transform="translate({x + 4:.1f} {y:.1f}) rotate(-90)">{text}</g>' if upright else text


def _cell(
    box: tuple[float, float, float, float], share: float, name: str, predicted: str, number: int, hit: bool
) -> str:
    tip = f"{number} of class {name} predicted as {predicted} ({percent(share)})"
    opacity = SHADES * (share if hit else min(1.0, STRONGER * share))
    size = dict(zip(("x", "y", "width", "height"), box, strict=True))
    css = "hit" if hit else "miss"
    return element("rect", {**size, "class": css, "style": f"fill-opacity:{max(0.06, opacity):.2f}", "data-tip": tip})


def reliability(trust: Trust) -> str:
    """The reliability diagram, with the counts of its bins below it, at both widths."""
    return both(lambda canvas: _reliability(canvas, trust), wide=440, narrow=390)


def _reliability(canvas: Canvas, trust: Trust) -> str:
    bars = 56.0  # pixels of the counts, below the diagram
    upper = Canvas(canvas.width, canvas.height - bars, canvas.left, canvas.right, canvas.top, canvas.bottom)
    x, y = upper.x(0, 1), upper.y(0, 1)
    body = upper.axes(x, y, x_name="predicted probability", y_name="share that came true")
    body += line(x(0), y(0), x(1), y(1), "expected")
    body += _levels(upper, [row for row in trust["levels"] if row["count"] >= SMALLEST_BIN], "seen", "as trained")
    if trust["temperature"] != 1:
        rows = [row for row in trust["levels_scaled"] if row["count"] >= SMALLEST_BIN]
        drawn = points(x, y, [row["probability"] for row in rows], [row["share"] for row in rows])
        body += polyline(drawn, "line-b")
        body += "".join(dot(*point, 3.4, "tested") for point in drawn)
    most = max(row["count"] for row in trust["levels"])
    for row in trust["levels"]:
        height = max(1.0, (bars - 18) * row["count"] / most)
        middle, wide = x(row["probability"]), max(6.0, (x.end - x.start) / 30)
        spot = {"x": middle - wide / 2, "y": canvas.height - height, "width": wide, "height": height}
        body += element("rect", {**spot, "class": "bar", "data-tip": f"{row['count']} predictions"})
    body += label(4, canvas.height - bars + 14, "predictions", "tick")
    text = f"expected calibration error {percent(trust['error'])}"
    return canvas.svg(f"reliability diagram of {sum(r['count'] for r in trust['levels'])} predictions; {text}", body)


def _levels(canvas: Canvas, levels: Sequence[Level], css: str, title: str) -> str:
    x, y = canvas.x(0, 1), canvas.y(0, 1)
    body = ""
    for row in levels:
        pixel = x(row["probability"])
        for end in (row["low"], row["high"]):
            body += line(pixel - 4, y(end), pixel + 4, y(end), "whisker")
        body += line(pixel, y(row["low"]), pixel, y(row["high"]), "whisker")
        tip = f"{title}: predicted {percent(row['probability'])}, right {percent(row['share'])}, n = {row['count']}"
        body += dot(pixel, y(row["share"]), 4.5, css, tip=tip)
    return body
