"""What the report's charts share: scales, axes, marks. Colours are the page's: marks carry classes and no colours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from archsearch.analysis.outline import short
from archsearch.analysis.svg import clean, element, text_width
from archsearch.experiment.objective import Objective

WIDE, NARROW = 860.0, 358.0  # pixels: drawn twice, for a wide page and for a telephone
LETTER = 12.0
NOTHING = "\u2013"
Write = Callable[[float], str]


def percent(value: float | None, digits: int = 1) -> str:
    """97.2 %."""
    return NOTHING if value is None else f"{100 * value:.{digits}f} %"


def percentages(values: Sequence[float]) -> Write:
    """What writes these shares as percentages, all with the fewest digits that are exact (3 at most)."""
    exact = (d for d in range(3) if all(math.isclose(100 * v, round(100 * v, d), abs_tol=1e-7) for v in values))
    digits = next(exact, 3)
    return lambda value: percent(value, digits)


def numbers(values: Sequence[float]) -> Write:
    """What writes these values as numbers of at most four digits."""
    return lambda value: f"{value:.4g}"


def written(objective: Objective) -> Callable[[Sequence[float]], Write]:
    """How an axis writes values of the objective's metric: as percentages, or as numbers where they are no shares."""
    return percentages if objective.percent else numbers


def epochs(count: int | None) -> str:
    """1 epoch, 3 epochs."""
    return f"{count} epoch{'' if count == 1 else 's'}"


def number(value: object) -> str:
    """A parameter's value, or a count, as a person writes it."""
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
        """The pixel of a value; values beyond the ends are at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        else:
            part = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + part * (self.end - self.start)

    def ticks(self, limit: int = 6) -> list[float]:
        """Round values, at most about so many."""
        if self.log and len(ticks := _log_ticks(self.low, self.high, limit)) > 2:
            return ticks
        span = (self.high - self.low) / max(1, limit)
        if span <= 0:
            return [self.low]
        power = 10 ** math.floor(math.log10(span))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= span * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, limit: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [part * 10.0**power for power in powers for part in parts if low <= part * 10.0**power <= high]
        if len(ticks) <= limit:
            break
    return ticks


@dataclass(frozen=True)
class Canvas:
    """A chart's size, and the room for its marks within the margins."""

    width: float
    height: float
    left: float = 60
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

    def axes(
        self, x: Scale, y: Scale, *, x_name: str, y_name: str, x_text: Write | None = None,
        written: Callable[[Sequence[float]], Write] = percentages,
    ) -> str:  # fmt: skip
        """Hairlines at round values of y, ticks at those of x, and what they are. Values of y, and of x without
        `x_text`, are `written` so, which is given all of an axis."""
        body, ticks = "", y.ticks(4 if self.narrow else 5)
        for value, text in zip(ticks, map(written(ticks), ticks), strict=True):
            pixel = y(value)
            body += line(self.left, pixel, self.width - self.right, pixel, "grid")
            body += label(self.left - 8, pixel + 4, text, "tick", "end")
        ticks = x.ticks(4 if self.narrow else 8)
        pixels = [x(value) for value in ticks]
        for pixel, text in zip(pixels, spaced(pixels, map(x_text or written(ticks), ticks)), strict=True):
            body += line(pixel, self.floor, pixel, self.floor + 5, "axis")
            anchor = "end" if pixel + text_width(text, LETTER) / 2 > self.width else "middle"
            body += label(min(pixel, self.width - 2), self.floor + 19, text, "tick", anchor) if text else ""
        body += line(self.left, self.floor, self.width - self.right, self.floor, "axis")
        body += label(self.width - self.right, self.height - 6, x_name, "name", "end")
        return body + label(4, 11, y_name, "name", "start")

    def svg(self, title: str, body: str) -> str:
        """The chart as an SVG element; `title` says what it shows to those who do not see it."""
        kind = "narrow" if self.narrow else "wide"
        attributes = {"class": f"chart {kind}", "viewBox": f"0 0 {self.width:g} {self.height:g}", "role": "img"}
        attributes |= {"width": f"{self.width:g}", "height": f"{self.height:g}", "aria-label": title}
        return element("svg", attributes, body)


def both(draw: Callable[[Canvas], str], *, wide: float = 420, narrow: float = 340) -> str:
    """A chart at both widths; the page shows one of them."""
    return draw(Canvas(WIDE, wide)) + draw(Canvas(NARROW, narrow, left=52, right=14))


def spaced(pixels: Iterable[float], texts: Iterable[str]) -> list[str]:
    """The texts at so many pixels, from left to right; empty where one would touch the last that stands."""
    kept, last = [], -math.inf
    for pixel, text in zip(pixels, texts, strict=True):
        half = text_width(text, LETTER) / 2
        stands = pixel - half > last + 6
        kept.append(text if stands else "")
        last = pixel + half if stands else last
    return kept


# ---- marks


def label(x: float, y: float, text: str, css: str, anchor: str = "start") -> str:
    """A line of text."""
    return element("text", {"x": x, "y": y, "class": css, "text-anchor": anchor}, clean(text))


def callout(canvas: Canvas, x: float, y: float, text: str, css: str, marks: list[tuple[float, float]]) -> str:
    """The name of the mark at (x, y), where it covers none of the `marks` (pixels): beside it, or further away with a
    line to it. The name's ends and middle are added to them."""
    half = text_width(text, LETTER + 1) / 2
    spots = []
    for gap in (15, 30, 48, 70):
        for right, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)):
            middle, height = x + right * (gap + half), y + down * (gap + 2)
            inside = canvas.left <= middle - half and middle + half <= canvas.width
            inside = inside and canvas.top <= height <= canvas.floor - 8
            covered = sum(abs(other - middle) < half + 7 and abs(level - height) < 14 for other, level in marks)
            spots.append((covered + (0 if inside else len(marks) + 1), gap, middle, height, middle - right * half))
    _, gap, middle, height, edge = min(spots, key=lambda spot: spot[:2])
    marks += [(middle + shift, height) for shift in (-half, 0, half)]
    lead = line(x, y, edge, height, "lead") if gap > 15 else ""
    return lead + label(middle, height + 4, text, css, "middle")


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css})


def points(x: Scale, y: Scale, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
    """The pixels of so many values, pair by pair."""
    return list(zip(map(x, xs), map(y, ys), strict=True))


def polyline(corners: Sequence[tuple[float, float]], css: str, trial: str = "") -> str:
    """A line through points, none through fewer than two; `trial` is the id of the trial that it is of."""
    if len(corners) < 2:
        return ""
    data = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return element("polyline", {"points": data, "class": css, **_hover(trial)})


def steps(points: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """The corners of a staircase that goes on level until `end`."""
    return [*stairs(points), *((end, y) for _, y in points[-1:])]


def stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a line that is level from each point to the next one's x, and then steps to its y."""
    corners = list(points[:1])
    for x, y in points[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return corners


def along(corners: Sequence[tuple[float, float]], step: float = 12) -> list[tuple[float, float]]:
    """Points of a line through these corners, at most `step` pixels apart: what a label should not cover."""
    points = list(corners)
    for (x, y), (to_x, to_y) in itertools.pairwise(corners):
        count = int(max(abs(to_x - x), abs(to_y - y)) // step)
        points += [(x + (to_x - x) * i / (count + 1), y + (to_y - y) * i / (count + 1)) for i in range(1, count + 1)]
    return points


def band(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], css: str) -> str:
    """The area between two lines."""
    data = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*upper, *reversed(lower)))
    return element("polygon", {"points": data, "class": css})


def dot(x: float, y: float, radius: float, css: str, trial: str = "", tip: str = "") -> str:
    """A disc: of a trial, whose figures are shown when it is pointed at, or with a text of its own."""
    return element("circle", {"cx": x, "cy": y, "r": radius, "class": css, **_hover(trial, tip)})


def diamond(x: float, y: float, radius: float, css: str, tip: str = "") -> str:
    """A square on its corner."""
    points = f"{x:.1f},{y - radius:.1f} {x + radius:.1f},{y:.1f} {x:.1f},{y + radius:.1f} {x - radius:.1f},{y:.1f}"
    return element("polygon", {"points": points, "class": css, **_hover(tip=tip)})


def _hover(trial: str = "", tip: str = "") -> dict[str, str]:
    """What the page's script shows of a mark."""
    return {key: value for key, value in (("data-t", trial), ("data-tip", tip)) if value}


def extent(values: Iterable[float], *, margin: float = 0.06) -> tuple[float, float]:
    """From the least to the most, with a margin; of equal values a little around them."""
    sample = list(values)
    low, high = min(sample), max(sample)
    room = (high - low) * margin or max(abs(high) * 0.02, 1e-3)
    return low - room, high + room


def log_extent(values: Iterable[float]) -> tuple[float, float]:
    """The same for a logarithmic scale: a margin of a few percent of its length."""
    positive = [max(value, 1e-9) for value in values]
    low, high = min(positive), max(positive)
    room = (high / low) ** 0.05 if high > low else 1.2
    return low / room, high * room


def scores(objective: Objective, values: Sequence[float], shown: Sequence[float] = ()) -> tuple[float, float]:
    """A scale of values of the objective's metric: the worst tenth is left beyond its end where it would press the
    others flat, but none of those that must be `shown`."""
    ascending = sorted(map(objective.key, values))
    low, high = ascending[len(ascending) // 10], ascending[-1]
    if ascending[0] > low - 0.5 * (high - low):
        low = ascending[0]
    floor, top = sorted(map(objective.key, extent((min([low, *map(objective.key, shown)]), high))))
    return within(objective, floor, top)


def within(objective: Objective, low: float, high: float) -> tuple[float, float]:
    """The ends of a scale, no further than the metric's values can be: shares are 0 to 1, errors 0 or more."""
    low = max(0.0, low) if objective.is_never_negative else low
    return low, min(1.0, high) if objective.percent else high
