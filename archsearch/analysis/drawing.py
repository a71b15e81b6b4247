"""A network as a picture: SVG text from the plan alone, without torch or a plotting library."""

from __future__ import annotations

import math
from functools import partial

from archsearch.analysis.outline import Column, Part, linked, outline, short
from archsearch.analysis.svg import (
    HAIR,
    SOFT,
    Piece,
    arrow,
    document,
    element,
    path,
    rect,
    shorten,
    text,
    text_width,
)
from archsearch.analysis.units import DASH, LOOKS, SHORTCUT, Kind, detail, kinds
from archsearch.architecture.canonical import digest
from archsearch.architecture.composites import Unit
from archsearch.architecture.cost import Cost, Shape
from archsearch.architecture.spec import Architecture

MARGIN, GAP, PAD = 24, 14, 12
TOP, FLOW, SIZES = 84, 168, 20  # the title's height, the flow's, and that of the sizes under it
IMAGE, TALLEST, THICKEST, BAR = 74, 96, 54, 118
TINT, SOLID, SIDE, ADDED = "#f5f7fa", "#a9cbee", "#86b0dc", "#f3c48d"
FLOPS, PARAMS = "#2c649f", "#c8792b"


def draw(architecture: Architecture, room: float = math.inf) -> str:
    """The network as one SVG file's text: its flow on top, every different unit in detail, and what each part costs.

    Equal blocks in a row are drawn once. Parts that would go beyond `room` pixels go on in a new row. The same
    architecture gives the same text. Raises InputError where the image runs out on the way.
    """
    parts = outline(architecture)
    total = sum((part.cost for part in parts), Cost())
    scale = _Scale(architecture, parts)
    rows: list[list[tuple[float, Part, Piece]]] = [[]]
    x, end = float(MARGIN + IMAGE + GAP), 760.0
    for part in parts:
        panel = _panel(part, scale, total)
        if rows[-1] and x + panel.width + MARGIN > room:
            rows.append([])
            x = MARGIN + GAP
        rows[-1].append((x, part, panel))
        x += panel.width + GAP
        end = max(end, x)
    body, y = _image(architecture, scale, TOP + 46 + FLOW / 2), float(TOP)
    for row in rows:
        deepest = max(panel.height for _, _, panel in row)
        for x, part, panel in row:
            body += rect(x, y, panel.width, deepest, TINT, stroke=HAIR, rx=8)
            body += panel.at(x, y) + _bars(part, total, x + PAD, y + deepest - 50, panel.width - 2 * PAD)
        y += deepest + 20
    legend = _legend({kind for part in parts for column in part.columns for kind in kinds(column)}, parts, end - GAP)
    body += legend.at(MARGIN, y)
    width = max(end - GAP + MARGIN, MARGIN * 2 + legend.width)
    name, identity = architecture.name or "a network", digest(architecture)
    facts = (
        f"{short(total.params)} parameters, {short(total.macs)} MACs, {short(total.flops)} FLOPs for an image of "
        f"{_size(Shape(*architecture.input))}, {architecture.classes} classes; digest {identity}"
    )
    body += text(MARGIN, 40, shorten(name, width - 2 * MARGIN, 24 * 1.2), size=24, anchor="start", font_weight="600")
    body += text(MARGIN, 63, facts, size=13, anchor="start", fill=SOFT)
    return document(width, y + legend.height + MARGIN, f"{name}, {identity}", body)


class _Scale:
    """Heights and thicknesses, as roots: 7 pixels and 16 channels stay visible beside 224 and 2048."""

    def __init__(self, architecture: Architecture, parts: tuple[Part, ...]) -> None:
        columns = [column.output for part in parts[:-1] for column in part.columns]
        self.pixels = max(architecture.input[1:])
        self.channels = max(shape.channels for shape in columns)

    def height(self, shape: Shape) -> float:
        """Of the front; the longer side counts."""
        return max(8.0, TALLEST * math.pow(max(shape.height, shape.width) / self.pixels, 0.4))

    def thickness(self, channels: int) -> float:
        """Of the front, left to right."""
        return min(THICKEST, max(3.0, THICKEST * math.sqrt(channels / self.channels)))

    def reach(self, shape: Shape) -> float:
        """Half the width of a volume."""
        return (self.thickness(shape.channels) + self.height(shape) * 0.22) / 2


def _size(shape: Shape) -> str:
    return f"{shape.channels}" + (f" x {shape.height} x {shape.width}" if shape.height * shape.width > 1 else "")


def _volume(x: float, middle: float, shape: Shape, scale: _Scale, entered: int = 0) -> str:
    """A box in oblique view, centred on x. Channels that a block adds to the `entered` ones are in another colour."""
    height, thick = scale.height(shape), scale.thickness(shape.channels)
    dx, dy = height * 0.22, height * 0.16
    left, top = x - (thick + dx) / 2, middle - (height - dy) / 2
    side = partial(path, stroke="#2c649f", width=0.9)
    right, bottom = left + thick, top + height
    body = side(("M", left, top, "l", dx, -dy, "h", thick, "l", -dx, dy, "Z"), fill="#d3e4f6")
    body += side(("M", right, top, "l", dx, -dy, "v", height, "L", right, bottom, "Z"), fill=SIDE)
    body += rect(left, top, thick, height, SOLID, stroke="#2c649f", stroke_width=0.9)
    if 0 < entered < shape.channels:
        old = scale.thickness(entered)
        body += rect(left + old, top, thick - old, height, ADDED, stroke="#2c649f", stroke_width=0.9)
    return body


def _image(architecture: Architecture, scale: _Scale, middle: float) -> str:
    shape, x = Shape(*architecture.input), MARGIN + IMAGE / 2
    body = _volume(x, middle, shape, scale) + text(x, TOP + 22, "image", size=14, font_weight="600")
    body += text(x, middle + FLOW / 2 + 14, _size(shape))
    return body + path(("M", x + scale.reach(shape) + 3, middle, "H", MARGIN + IMAGE))


def _panel(part: Part, scale: _Scale, total: Cost) -> Piece:
    """A part's title, its volumes, and its columns in detail; room is left for the bars at the bottom."""
    details = [detail(column) for column in part.columns]
    sizes = [text_width(_size(column.output)) for column in part.columns]
    widths = [max(piece.width, size) for piece, size in zip(details, sizes, strict=True)]
    inner = sum(widths) + GAP * (len(widths) - 1)
    subtitle = _about(part)
    shares = text_width(f"params under 0.1 %, {short(total.flops)}")
    width = max(inner, text_width(subtitle), shares, BAR) + 2 * PAD
    body = text(width / 2, 22, part.title, size=14, font_weight="600") + text(width / 2, 38, subtitle, fill=SOFT)
    x, middle, below = (width - inner) / 2, 46 + FLOW / 2, 46 + FLOW + SIZES
    centres = []
    for piece, column, lane in zip(details, part.columns, widths, strict=True):
        centre = x + lane / 2
        centres.append(centre)
        grows = isinstance(column.op, Unit) and column.op.join == "concat"
        body += _volume(centre, middle, column.output, scale, column.input.channels if grows else 0)
        body += _links(column, centre, middle, scale)
        body += text(centre, middle + FLOW / 2 + 14, _size(column.output), font_weight="600")
        body += piece.at(centre - piece.width / 2, below)
        x += lane + GAP
    reaches = [scale.reach(column.output) + 3 for column in part.columns]
    starts = (-GAP, *(centre + reach for centre, reach in zip(centres, reaches, strict=True)))
    for start, centre, reach in zip(starts, centres, reaches, strict=False):
        body += arrow(start, middle, centre - reach, middle)
    if part.title != "head":
        body += path(("M", starts[-1], middle, "H", width))
    return Piece(width=width, height=below + max(piece.height for piece in details) + 72, body=body)


def _links(column: Column, x: float, middle: float, scale: _Scale) -> str:
    """The shortcuts over a volume: an arc adds, several arcs concatenate; above it how often the unit stands."""
    top = middle - scale.height(column.output) * 0.58
    body = ""
    if isinstance(column.op, Unit) and column.op.join != "replace":
        half = scale.reach(column.output) + 9
        for arc in range(3 if column.op.join == "concat" else 1):
            end, rise = half - arc * half * 0.55, 20 - 4 * arc
            d = ("M", x - half, middle - 4, "C", x - half, top - rise, x + end, top - rise, x + end, middle - 4)
            body += path(d, stroke=SHORTCUT, width=1.3)
        top -= 14
    return body + (text(x, top - 6, f"x {column.repeats}", font_weight="600") if column.repeats > 1 else "")


def _about(part: Part) -> str:
    units = [(column.op, column.repeats) for column in part.columns if isinstance(column.op, Unit)]
    blocks = sum(repeats for _, repeats in units)
    links = " and ".join(dict.fromkeys(linked(unit) for unit, _ in units))
    return f"{blocks} {links} block{'s' if blocks > 1 else ''}" if units else ""


def _bars(part: Part, total: Cost, x: float, y: float, room: float) -> str:
    """What a part takes of the network's FLOPs and parameters; a full bar is all of them, equally long in all parts."""
    x += (room - BAR) / 2
    body = ""
    for number, (name, count, sum_, fill) in enumerate(
        (("FLOPs", part.cost.flops, total.flops, FLOPS), ("params", part.cost.params, total.params, PARAMS))
    ):
        share, top = count / max(1, sum_), y + number * 23
        percent = "under 0.1" if share < 0.001 else f"{100 * share:.1f}"
        body += text(x, top, f"{name} {percent} %, {short(count)}", anchor="start", fill=SOFT)
        body += rect(x, top + 4, BAR, 6, "#e3e8ee", rx=2) + rect(x, top + 4, max(1.0, BAR * share), 6, fill, rx=2)
    return body


def _legend(used: set[Kind], parts: tuple[Part, ...], width: float) -> Piece:
    """Swatches of what this drawing holds, in lines."""
    entries: list[tuple[str, str]] = []
    for look in (look for kind, look in LOOKS.items() if kind in used):
        top, height = (-8, 6) if look.bar else (-11, 13)
        box = {"x": 0, "y": top, "width": 22, "height": height, "rx": 2}
        dash = DASH if look.dashed else {}
        swatch = element("rect", {**box, "fill": look.fill, "stroke": look.border, **dash})
        entries.append((swatch, look.meaning))
    units = [column.op for part in parts for column in part.columns if isinstance(column.op, Unit)]
    joins = {unit.join for unit in units}
    if joins & {"add", "concat"}:
        entries.append((path(("M", 0, -4, "H", 22), stroke=SHORTCUT, width=2), "shortcut"))
    if any(unit.join == "add" and unit.gated == "none" for unit in units):
        entries.append(("", "+ addition"))
    if "concat" in joins:
        entries.append(("", "‖ concatenation; added channels orange"))
    if any(unit.join == "concat" and unit.residual for unit in units):
        entries.append(("", "n added: the first n channels"))
    if any(unit.gated != "none" for unit in units):
        entries.append(("", "g: gate, F: branch, h: shortcut"))
    entries.append(("", "height: resolution, thickness: channels (not to scale)"))
    x, y, body = 0.0, 10.0, ""
    for swatch, meaning in entries:
        room = text_width(meaning) + (28 if swatch else 0)
        if x and x + room > width - MARGIN:
            x, y = 0.0, y + 20
        entry = swatch + text(28 if swatch else 0, 0, meaning, anchor="start")
        body += Piece(width=room, height=20, body=entry).at(x, y)
        x += room + 18
    return Piece(width=min(width - MARGIN, 900), height=y + 6, body=body)
