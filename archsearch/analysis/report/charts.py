"""What the report's charts share: scales, axes, marks. Colours are the page's: marks carry classes and no colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from archsearch.analysis.outline import short
from archsearch.analysis.svg import clean, element, text_width

WIDE, NARROW = 860.0, 358.0  # pixels: drawn twice, for a wide page and for a telephone
LETTER = 12.0
NOTHING = "\u2013"
Write = Callable[[float], str]


def percent(value: float | None, digits: int = 1) -> str:
    """97.2 %."""
    return NOTHING if value is None else f"{100 * value:.{digits}f} %"


def hours(value: float) -> str:
    """90 s, 12 min, 3.4 h."""
    if value < 1 / 30:
        return f"{3600 * value:.0f} s"
    return f"{60 * value:.0f} min" if value < 2 else f"{value:,.1f} h"


def number(value: object) -> str:
    """A value of a word, or a count, as a person writes it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return short(value) if value >= 10_000 else f"{value}"
    return str(value)


@dataclass(frozen=True)
class Scale:
    """Values to pixels, on a line or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Its place; values beyond the ends are at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        else:
            part = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values, at most about so many."""
        if self.log:
            return _log_ticks(self.low, self.high, most)
        span = (self.high - self.low) / max(1, most)
        if span <= 0:
            return [self.low]
        power = 10 ** math.floor(math.log10(span))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= span * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [part * 10.0**power for power in powers for part in parts if low <= part * 10.0**power <= high]
        if len(found) <= most:
            break
    return found if len(found) > 1 else [low, high]


@dataclass(frozen=True)
class Canvas:
    """A chart's size, and the room for its marks within the margins."""

    width: float
    height: float
    left: float = 56
    right: float = 20
    top: float = 28
    bottom: float = 46

    @property
    def narrow(self) -> bool:
        """Whether it is a telephone's."""
        return self.width < WIDE / 2

    @property
    def floor(self) -> float:
        """Where the x axis lies."""
        return self.height - self.bottom

    def x(self, low: float, high: float, *, log: bool = False) -> Scale:
        """A scale along the width."""
        return Scale(low, high, self.left, self.width - self.right, log)

    def y(self, low: float, high: float, *, log: bool = False) -> Scale:
        """A scale up the height."""
        return Scale(low, high, self.floor, self.top, log)

    def axes(self, x: Scale, y: Scale, *, x_name: str, y_name: str, x_text: Write, y_text: Write) -> str:
        """Hairlines at round values of y, ticks at those of x, and what they are."""
        body = ""
        for value in y.ticks(4 if self.narrow else 5):
            at = y(value)
            body += line(self.left, at, self.width - self.right, at, "grid")
            body += label(self.left - 8, at + 4, y_text(value), "tick", "end")
        last = -math.inf
        for value in x.ticks(4 if self.narrow else 8):
            at, said = x(value), x_text(value)
            body += line(at, self.floor, at, self.floor + 5, "axis")
            half = text_width(said, LETTER) / 2
            if at - half > last + 6:
                anchor = "end" if at + half > self.width else "middle"
                body += label(min(at, self.width - 2), self.floor + 19, said, "tick", anchor)
                last = at + half
        body += line(self.left, self.floor, self.width - self.right, self.floor, "axis")
        body += label(self.width - self.right, self.height - 6, x_name, "name", "end")
        return body + label(4, 11, y_name, "name", "start")

    def svg(self, title: str, body: str) -> str:
        """The whole, with what it shows in words for those who do not see it."""
        kind = "narrow" if self.narrow else "wide"
        attributes = {"class": f"chart {kind}", "viewBox": f"0 0 {self.width:g} {self.height:g}", "role": "img"}
        attributes |= {"width": f"{self.width:g}", "height": f"{self.height:g}", "aria-label": title}
        return element("svg", attributes, body)


def both(draw: Callable[[Canvas], str], *, wide: float = 420, narrow: float = 340) -> str:
    """A chart at both widths; the page shows one of them."""
    return draw(Canvas(WIDE, wide)) + draw(Canvas(NARROW, narrow, left=46, right=14))


# ---- marks


def label(x: float, y: float, said: str, css: str, anchor: str = "start") -> str:
    """A line of text."""
    return element("text", {"x": x, "y": y, "class": css, "text-anchor": anchor}, clean(said))


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css})


def polyline(points: Iterable[tuple[float, float]], css: str, trial: str = "") -> str:
    """A line through points; one of a trial's tells which."""
    data = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", {"points": data, "class": css, **_of(trial)})


def steps(points: Sequence[tuple[float, float]], end: float, css: str) -> str:
    """Level from each point to the next one's x, then up; until `end`."""
    path: list[tuple[float, float]] = []
    for place, (x, y) in enumerate(points):
        if place:
            path.append((x, points[place - 1][1]))
        path.append((x, y))
    if points:
        path.append((end, points[-1][1]))
    return polyline(path, css)


def band(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], css: str) -> str:
    """The area between two lines."""
    data = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*upper, *reversed(lower)))
    return element("polygon", {"points": data, "class": css})


def dot(x: float, y: float, radius: float, css: str, trial: str = "", tip: str = "") -> str:
    """A disc: of a trial, whose figures are shown when it is pointed at, or with a text of its own."""
    said = {"data-tip": tip} if tip else {}
    return element("circle", {"cx": x, "cy": y, "r": radius, "class": css, **_of(trial), **said})


def diamond(x: float, y: float, radius: float, css: str, tip: str = "") -> str:
    """A square on its corner."""
    points = f"{x:.1f},{y - radius:.1f} {x + radius:.1f},{y:.1f} {x:.1f},{y + radius:.1f} {x - radius:.1f},{y:.1f}"
    return element("polygon", {"points": points, "class": css, **({"data-tip": tip} if tip else {})})


def _of(trial: str) -> dict[str, str | float]:
    return {"data-t": trial} if trial else {}


def spread(labels: Sequence[tuple[float, str]], room: float, low: float, high: float) -> list[tuple[float, str]]:
    """The labels moved apart to `room` between one another, within low and high, in their order; what finds no room is
    left out."""
    fitting = sorted(labels)[: max(0, int((high - low) / room) + 1)]
    placed: list[float] = []
    for at, _ in fitting:
        placed.append(max(at, placed[-1] + room) if placed else max(at, low))
    over = placed[-1] - high if placed else 0.0
    for place in range(len(placed) - 1, -1, -1):
        limit = high if place == len(placed) - 1 else placed[place + 1] - room
        if over > 0 or placed[place] > limit:
            placed[place] = min(placed[place], limit)
    return [(at, said) for at, (_, said) in zip(placed, fitting, strict=True)]


def extent(values: Iterable[float], *, margin: float = 0.06) -> tuple[float, float]:
    """From the least to the most, with a margin; of equal values a little around them."""
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * margin or max(abs(high) * 0.02, 1e-3)
    return low - room, high + room


def log_extent(values: Iterable[float]) -> tuple[float, float]:
    """The same for a logarithmic scale: a margin of a few percent of its length."""
    found = [max(value, 1e-9) for value in values]
    low, high = min(found), max(found)
    room = (high / low) ** 0.05 if high > low else 1.2
    return low / room, high * room


def accuracies(values: Sequence[float]) -> tuple[float, float]:
    """A scale of accuracies: the worst tenth is left below the floor where it would press the others flat."""
    found = sorted(values)
    low, high = found[len(found) // 10], found[-1]
    if found[0] > low - 0.5 * (high - low):
        low = found[0]
    floor, top = extent((low, high))
    return max(0.0, floor), min(1.0, top)
