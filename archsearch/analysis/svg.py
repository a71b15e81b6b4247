"""The few SVG elements that drawings are made of, as text. Every text is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, SOFT, HAIR, PAPER = "#1d2733", "#5c6b7a", "#cdd5dd", "#ffffff"
# Wide enough for the widest of the usual system fonts: a label may have room left, and is never cut.
EM = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a drawing with its size, to be placed by `at`."""

    width: float
    height: float
    body: str

    def at(self, x: float, y: float) -> str:
        """The piece with its upper left corner at (x, y)."""
        return f'<g transform="translate({_n(x)} {_n(y)})">{self.body}</g>'


def _n(value: float) -> str:
    """At most one decimal: the same text on every machine."""
    return f"{value:.1f}".removesuffix(".0")


def clean(text: str) -> str:
    """Text as XML may hold it: the characters that XML knows, with markup escaped."""
    printable = "".join(
        c if c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and c not in "\ufffe\uffff" else " " for c in text
    )
    return escape(printable, {'"': "&quot;"})


def text_width(text: str, size: float = 11) -> float:
    """An upper estimate of a text's width."""
    return len(text) * size * EM


def shorten(text: str, width: float, size: float = 11) -> str:
    """The text, or as much of it as fits, and an ellipsis."""
    limit = max(1, int(width / (size * EM)))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def element(tag: str, attributes: Mapping[str, str | float], content: str | None = None) -> str:
    """<tag key="value">content</tag>, or an empty one; stroke_width is written stroke-width."""
    pairs = "".join(
        f' {key.replace("_", "-")}="{_n(value) if isinstance(value, (int, float)) else clean(value)}"'
        for key, value in attributes.items()
    )
    return f"<{tag}{pairs}/>" if content is None else f"<{tag}{pairs}>{content}</{tag}>"


def text(
    x: float, y: float, content: str, *, size: float = 11, fill: str = INK, anchor: str = "middle", **attributes: str
) -> str:
    """A line of text with its baseline at y."""
    return element(
        "text",
        {"x": x, "y": y, "font-size": size, "fill": fill, "text-anchor": anchor, **attributes},
        clean(content),
    )


def rect(
    x: float, y: float, width: float, height: float, fill: str, *, stroke: str = "none", **attributes: str | float
) -> str:
    """A rectangle; `rx` rounds its corners."""
    return element(
        "rect", {"x": x, "y": y, "width": width, "height": height, "fill": fill, "stroke": stroke, **attributes}
    )


def path(
    d: Iterable[str | float], *, stroke: str = SOFT, fill: str = "none", width: float = 1.4, **attributes: str
) -> str:
    """A path; letters and numbers as they come."""
    data = " ".join(_n(part) if isinstance(part, (int, float)) else part for part in d)
    return element("path", {"d": data, "stroke": stroke, "fill": fill, "stroke-width": width, **attributes})


def arrow(x1: float, y1: float, x2: float, y2: float, stroke: str = SOFT) -> str:
    """A straight line with a small head; horizontal or vertical."""
    if y1 == y2:
        head = ("M", x2 - 5, y2 - 3.5, "L", x2, y2, "L", x2 - 5, y2 + 3.5)
    else:
        head = ("M", x2 - 3.5, y2 - 5, "L", x2, y2, "L", x2 + 3.5, y2 - 5)
    return path(("M", x1, y1, "L", x2, y2, *head), stroke=stroke)


def document(width: float, height: float, title: str, body: str) -> str:
    """A whole file: its own background, so that it reads on a dark page too, and nothing from elsewhere."""
    attributes: dict[str, str | float] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {_n(width)} {_n(height)}",
        "width": width,
        "height": height,
        "font-family": FONT,
        "role": "img",
        "style": "color-scheme: light",
    }
    paper = rect(0, 0, width, height, PAPER)
    content = f"\n<title>{clean(title)}</title>\n{paper}\n{body}\n"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element("svg", attributes, content)}\n'
