"""One column of a drawing in detail: a unit with its slots, or a section's ops one under another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from archsearch.analysis.outline import Column, label
from archsearch.analysis.svg import HAIR, INK, PAPER, SOFT, Piece, arrow, element, path, rect, text, text_width
from archsearch.architecture.composites import Reweight, Sequence, Unit
from archsearch.architecture.ops import (
    Activation,
    Conv,
    Dropout,
    Gain,
    LayerScale,
    Linear,
    Norm,
    Op,
    PadShortcut,
    Relu,
    Sigmoid,
)

Kind = Literal[
    "conv1x1", "conv", "grouped", "norm", "relu", "activation", "sigmoid", "dropout", "attention", "pad", "scale",
    "other",
]  # fmt: skip


class Look(NamedTuple):
    """How a kind of op is drawn, and what the legend says of it."""

    fill: str
    border: str
    meaning: str
    bar: bool = False
    dashed: bool = False


# Told apart by lightness too, for print and for eyes that see fewer hues. Bars are explained by the legend alone.
LOOKS: dict[Kind, Look] = {
    "conv1x1": Look("#dbe9f8", "#3f78b5", "1x1 convolution"),
    "conv": Look("#a9cbee", "#2c649f", "convolution: kernel, channels, /stride"),
    "grouped": Look("#cfd3f4", "#4d50a8", "grouped convolution"),
    "norm": Look("#f0a63c", "#f0a63c", "norm", bar=True),
    "relu": Look("#3d9a5f", "#3d9a5f", "ReLU", bar=True),
    "activation": Look("#12929b", "#12929b", "other activation function", bar=True),
    "sigmoid": Look("#8e5bb5", "#8e5bb5", "sigmoid", bar=True),
    "dropout": Look("#eceff2", "#7b8794", "dropout", dashed=True),
    "attention": Look("#f8d9e4", "#b8436f", "attention"),
    "pad": Look("#ffffff", "#b4571f", "zero padding", dashed=True),
    "scale": Look("#fff4cf", "#a07b0a", "number on a path"),
    "other": Look("#eceff2", "#7b8794", "pool, classifier"),
}
# Of ops that are always drawn alike; "other" are those that stand neither here nor in `item`.
KINDS: dict[type[Op], Kind] = {
    Norm: "norm", Relu: "relu", Activation: "activation", Sigmoid: "sigmoid", Dropout: "dropout",
    Reweight: "attention", PadShortcut: "pad", Gain: "scale", LayerScale: "scale", Linear: "conv1x1",
}  # fmt: skip
SHORTCUT = "#b4571f"
DASH = {"stroke_dasharray": "3 2"}
BAR, BOX, NARROWEST, GROWTH = 6, 22, 50, 38


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A box or a bar in a lane."""

    kind: Kind
    caption: str
    channels: int = 0

    @property
    def look(self) -> Look:
        """Its kind's."""
        return LOOKS[self.kind]

    @property
    def height(self) -> float:
        """With the gap above it."""
        return BAR + 3 if self.look.bar else BOX + 8

    def width(self, widest: int) -> float:
        """Wide enough for its text; a convolution's grows with its share of the channels of the unit's widest one."""
        grown = NARROWEST + GROWTH * (self.channels / widest) ** 0.5 if self.channels else NARROWEST
        return NARROWEST if self.look.bar else max(grown, text_width(self.caption) + 8)


def item(op: Op) -> Item:
    """An op as it is drawn."""
    if isinstance(op, Conv):
        kind: Kind = "grouped" if op.groups > 1 else "conv1x1" if op.kernel == 1 else "conv"
        return Item(kind=kind, caption=label(op), channels=op.out)
    caption = "times learned w" if isinstance(op, Gain) else label(op)
    return Item(kind=KINDS.get(type(op), "other"), caption=caption)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """Items one under another; `widest` is the most channels that a convolution of the unit has."""

    items: tuple[Item, ...]
    widest: int

    @property
    def width(self) -> float:
        """The widest item's."""
        return max((entry.width(self.widest) for entry in self.items), default=0)

    @property
    def height(self) -> float:
        """All items and their gaps."""
        return sum(entry.height for entry in self.items)

    def at(self, x: float, y: float) -> str:
        """The items, centred on x, from y downwards."""
        drawn = []
        for entry in self.items:
            look = entry.look
            width, height = entry.width(self.widest), BAR if look.bar else BOX
            y += entry.height
            left, top = x - width / 2, y - height
            if look.bar:
                hover = element("title", {}, entry.caption)
                drawn.append(f"<g>{hover}{rect(left, top, width, height, look.fill, rx=2)}</g>")
                continue
            dash = DASH if look.dashed else {}
            corner = BOX / 2 if entry.kind == "scale" else 3
            drawn.append(
                rect(left, top, width, height, look.fill, stroke=look.border, rx=corner, stroke_width=1.1, **dash)
            )
            drawn.append(text(x, top + 15, entry.caption))
        return "".join(drawn)


def lane(ops: Sequence, widest: int, *extra: Item) -> Lane:
    """A slot's ops, and what else stands on their path."""
    return Lane(items=(*(item(op) for _, op in ops.steps), *extra), widest=widest)


def kinds(column: Column) -> set[Kind]:
    """What the legend has to explain of a column."""
    if isinstance(column.op, Sequence):
        return {item(op).kind for _, op in column.op.steps}
    return {entry.kind for entry in _items(column.op)}


def _items(unit: Unit) -> Iterable[Item]:
    for slot in (unit.shared, unit.branch, unit.shortcut, unit.gate, unit.gain, unit.after):
        yield from (item(op) for _, op in slot.steps)
    if (unit.shortcut_scale, unit.branch_scale) != (1, 1):
        yield _scale(0)


def _scale(by: float) -> Item:
    return Item(kind="scale", caption=f"times {by:g}")


def detail(column: Column) -> Piece:
    """The column's frame with its title; behind it more frames where the unit repeats."""
    inner = _unit(column.op) if isinstance(column.op, Unit) else _section(column.op)
    lines = [column.title] if column.title else []
    note = column.training(".3g")
    head = 34
    width = max(inner.width + 12, *(text_width(line) for line in lines), text_width(note), 66)
    inset = (width - inner.width) / 2
    body = "".join(text(width / 2, 12, line, font_weight="600") for line in lines)
    body += text(width / 2, 27, note, fill=SOFT) if note else ""
    copies = min(column.repeats - 1, 2)
    for copy in range(copies, -1, -1):
        corner = inset + 4 * copy, head - 4 * copy + 8
        body += rect(*corner, inner.width, inner.height, PAPER, stroke=SOFT if copies else HAIR, rx=6, stroke_width=0.9)
    body += inner.at(inset, head + 8)
    return Piece(width=width + 4 * copies, height=head + 8 + inner.height, body=body)


def _section(ops: Sequence) -> Piece:
    column = lane(ops, max((op.out for _, op in ops.steps if isinstance(op, Conv)), default=1))
    width, height = column.width + 20, column.height + 28
    flow = arrow(width / 2, 0, width / 2, height)
    return Piece(width=width, height=height, body=flow + column.at(width / 2, 8))


def _unit(unit: Unit) -> Piece:
    """Gate, branch and shortcut in lanes from left to right, between the fork and the join."""
    convs = [op for slot in (unit.branch, unit.shortcut, unit.gate) for _, op in slot.steps if isinstance(op, Conv)]
    widest = max((op.out for op in convs), default=1)
    shared, after = lane(unit.shared, widest), lane(unit.after, widest)
    scaled = (_scale(unit.branch_scale),) if unit.branch_scale != 1 else ()
    gains = tuple(item(op) for _, op in unit.gain.steps)
    branch = lane(unit.branch, widest, *gains, *scaled)
    gate = lane(unit.gate, widest)
    shortcut = lane(unit.shortcut, widest, *((_scale(unit.shortcut_scale),) if unit.shortcut_scale != 1 else ()))
    joined, formula = unit.join != "replace", _formula(unit)

    middle = max(shared.width, branch.width, after.width)
    before = gate.width + 14 if gate.items else 6
    right = (shortcut.width + 14 if shortcut.items else 18) if joined else 6
    width = 12 + before + middle + right
    spare = max(0.0, text_width(formula) + 12 - width)
    x, width = 6 + before + middle / 2 + spare / 2, width + spare
    fork = 10 + shared.height + (8 if shared.items else 0)
    span = max(branch.height, shortcut.height, gate.height) + (16 if joined else 6)
    join = fork + span + (12 if joined else 0)
    bottom = join + (10 if joined else 0) + (18 if formula else 0)
    height = bottom + after.height + 20

    body = arrow(x, 0, x, height)
    if joined:
        side = x + middle / 2 + (8 + shortcut.width / 2 if shortcut.items else 12)
        body += _around(x, side, fork, join, SHORTCUT, dashed=any(i.kind == "pad" for i in shortcut.items))
        body += shortcut.at(side, fork + (join - fork - shortcut.height) / 2 - 4)
    if gate.items:
        side = x - middle / 2 - 8 - gate.width / 2
        body += _around(x, side, fork, join, LOOKS["sigmoid"].border)
        body += gate.at(side, fork + (join - fork - gate.height) / 2 - 4)
    body += shared.at(x, 6) + branch.at(x, fork + (span - branch.height) / 2 - (2 if joined else 0))
    if joined:
        body += _symbol(x, join, unit)
        if formula:
            centre = max(x, text_width(formula) / 2 + 4)
            body += rect(x - 4, join + 11, 8, 13, PAPER) + text(centre, join + 21, formula, fill=SOFT)
    return Piece(width=width, height=height, body=body + after.at(x, bottom - 2))


def _formula(unit: Unit) -> str:
    """F and h are what reaches the join: what scales them is drawn on their way."""
    if unit.gated != "none":
        return "g F + (1 - g) h" if unit.gated == "both" else "F + (1 - g) h"
    return f"{unit.residual} added" if unit.join == "concat" and unit.residual else ""


def _around(x: float, side: float, top: float, bottom: float, stroke: str, *, dashed: bool = False) -> str:
    """From the fork to the side, down, and into the join."""
    turn = 8 if side > x else -8
    d = ("M", x, top, "H", side - turn, "Q", side, top, side, top + 8, "V", bottom - 8)
    attributes = {"stroke_dasharray": "5 3"} if dashed else {}
    return path((*d, "Q", side, bottom, side - turn, bottom, "H", x), stroke=stroke, width=2, **attributes)


def _symbol(x: float, y: float, unit: Unit) -> str:
    """+ adds, two bars concatenate, both do both; g weighs the two sides by a gate."""
    circle = element("circle", {"cx": x, "cy": y, "r": 10, "fill": PAPER, "stroke": INK, "stroke-width": 1.4})
    if unit.gated != "none":
        return circle + text(x, y + 4, "g", size=13, font_weight="600", font_style="italic")
    plus = ("M", x - 5, y, "H", x + 5, "M", x, y - 5, "V", y + 5)
    bars = ("M", x - 2.5, y - 5, "V", y + 5, "M", x + 2.5, y - 5, "V", y + 5)
    if unit.join == "concat" and unit.residual:
        plus = ("M", x - 7, y, "H", x - 1, "M", x - 4, y - 3, "V", y + 3)
        bars = ("M", x + 2, y - 5, "V", y + 5, "M", x + 5, y - 5, "V", y + 5)
        return circle + path((*plus, *bars), stroke=INK, width=1.6)
    return circle + path(plus if unit.join == "add" else bars, stroke=INK, width=1.8)
