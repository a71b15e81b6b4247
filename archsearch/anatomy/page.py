"""What the pages of analyses share: the frame with its headline and sentences, and two kinds of charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from archsearch.analysis.report.charts import (
    Canvas,
    both,
    dot,
    extent,
    label,
    line,
    numbers,
    percentages,
    polyline,
)
from archsearch.analysis.report.html import frame, paragraph
from archsearch.analysis.svg import clean, element
from archsearch.version import __version__


def page(title: str, kicker: str, headline: str, lede: str, sections: Sequence[str]) -> str:
    """A whole page that loads nothing from elsewhere."""
    head = (
        f'<header><div class="kicker">{clean(kicker)}</div><h1>{clean(headline)}</h1>{paragraph(lede, "lede")}</header>'
    )
    foot = f"<footer>{clean(f'archsearch {__version__}')}</footer>"
    return frame(title, "\n".join([head, *(section for section in sections if section), foot]), {})


class Axis(NamedTuple):
    """A name, whether its values are shares, written as percentages, and ends that are shown whatever the values."""

    name: str
    shares: bool = False
    shown: tuple[float, ...] = ()


class Bar(NamedTuple):
    """A value with its name, and what is said where it is pointed at; `strong` in another colour."""

    name: str
    value: float
    tip: str
    strong: bool = False


def bars(rows: Sequence[Bar], *, x_name: str, y: Axis, level: float, level_name: str) -> str:
    """A bar a row, from a level at which a line stands."""

    def draw(canvas: Canvas) -> str:
        low, high = extent([level, *(row.value for row in rows), *y.shown])
        scale = canvas.y(max(0.0, low), high)
        across = canvas.x(0, len(rows))
        body = canvas.axes(across, scale, x_name=x_name, y_name=y.name, x_text=lambda _: "", written=_written(y))
        for number, row in enumerate(rows):
            left, right = across(number + 0.15), across(number + 0.85)
            top, bottom = sorted((scale(row.value), scale(level)))
            size = {"x": left, "y": top, "width": right - left, "height": max(1.5, bottom - top)}
            body += element("rect", {**size, "class": "bar strong" if row.strong else "bar", "data-tip": row.tip})
            if row.name:
                body += label((left + right) / 2, canvas.floor + 19, row.name, "tick", "middle")
        body += line(canvas.left, scale(level), canvas.width - canvas.right, scale(level), "limit")
        body += label(canvas.width - canvas.right, scale(level) - 6, level_name, "limit-name", "end")
        return canvas.svg(f"{y.name} by {x_name}", body)

    return both(draw, wide=340, narrow=280)


def scatter(
    points: Sequence[tuple[float, float]],
    *,
    x: Axis,
    y: Axis,
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]] = (),
    log: bool = False,
    whole: bool = False,
) -> str:
    """A dot a point, and lines, each with its class. With `log` values of y, all above 0, by their logarithm; values of
    x are `whole` numbers, or not."""
    every = [*points, *(point for _, corners in lines for point in corners)]

    def draw(canvas: Canvas) -> str:
        across = canvas.x(*_ends([at for at, _ in every], x))
        low, high = _ends([value for _, value in every], y)
        scale = canvas.y(min(value for _, value in every) / 1.3, high, log=True) if log else canvas.y(low, high)
        written = numbers if log else _written(y)
        body = canvas.axes(
            across, scale, x_name=x.name, y_name=y.name, x_text=_whole if whole else "{:g}".format, written=written
        )
        for css, corners in lines:
            body += polyline([(across(at), scale(value)) for at, value in corners], css)
        body += "".join(dot(across(at), scale(value), 3, "dot-a") for at, value in points)
        return canvas.svg(f"{y.name} against {x.name}", body)

    return both(draw, wide=340, narrow=280) if every else ""


def _ends(values: Sequence[float], axis: Axis) -> tuple[float, float]:
    low, high = extent([*values, *axis.shown])
    return (max(0.0, low), min(1.0, high)) if axis.shares else (low, high)


def _whole(value: float) -> str:
    return f"{value:g}" if value == int(value) else ""


def _written(axis: Axis) -> Any:
    return percentages if axis.shares else numbers
