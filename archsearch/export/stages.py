"""Sequences of the plan -> expressions: runs of units that are alike, or differ by their number, become loops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from archsearch.architecture.composites import Sequence, Unit
from archsearch.architecture.ops import Op
from archsearch.architecture.quantities import Shape
from archsearch.export.code import Call, Code, Each, Expression, Number, Word, named
from archsearch.export.layers import layers
from archsearch.export.units import Placed, UnitClass

LOOP = 3  # units from which on a run is a loop


@dataclass(frozen=True)
class Made:
    """A unit's class and what its call says."""

    of: UnitClass
    arguments: dict[str, Number | bool]


class Schedule:
    """Stochastic depth's survival probabilities, where they fall linearly: p = 1 - block / blocks * (1 - last)."""

    def __init__(self, units: list[Placed]) -> None:
        kept = [placed.unit.survival for placed in units if placed.unit.survival != 1]
        self.blocks, self.last = len(kept), kept[-1] if kept else 1.0
        rule = [1 - block / self.blocks * (1 - self.last) for block in range(1, self.blocks + 1)]
        self.linear = self.blocks > 1 and len(set(kept)) > 1 and all(
            abs(p - by_rule) < 1e-12 for p, by_rule in zip(kept, rule, strict=True)
        )  # fmt: skip
        self._block = {p: block for block, p in enumerate(kept, 1)}

    def block(self, survival: Number) -> int:
        """The block with this probability, counted from 1."""
        return self._block[float(survival)]

    def text(self) -> str:
        """The function that the calls name."""
        return (
            "def survival_of(block: int) -> float:\n"
            '    """The probability with which a branch is kept in training (stochastic depth, Huang 2016)."""\n'
            f"    return 1 - block / {self.blocks!r} * (1 - {self.last!r})"
        )


def units(op: Op, x: Shape) -> Iterator[Placed]:
    """All residual units in the plan's order, with what they read."""
    for _, part, into in op.parts(x):
        if isinstance(part, Unit):
            yield Placed(part, into)
        elif isinstance(part, Sequence):
            yield from units(part, into)


def section(op: Sequence, x: Shape, classes: list[UnitClass], schedule: Schedule) -> Call:
    """A stem, a stage or a head as `named(...)`."""
    made_by = {placed: made for made in classes for placed in made.units}
    steps = op.parts(x)
    if not any(isinstance(part, Unit | Sequence) for _, part, _ in steps):
        return named(layers(op, x))
    words: list[tuple[str, Expression] | Each] = []
    run: list[tuple[int, Made]] = []
    for name, part, into in steps:
        if isinstance(part, Unit):
            made = made_by[placed := Placed(part, into)]
            number = re.search(r"\d+$", name)
            assert number is not None, "units are numbered"
            run.append((int(number[0]), Made(made, made.arguments(placed))))
            continue
        words, run = [*words, *_compressed(run, schedule)], []
        assert isinstance(part, Sequence), "a stage holds sections and units"
        words.append((name, named(layers(part, into))))
    return named([*words, *_compressed(run, schedule)])


def _compressed(run: list[tuple[int, Made]], schedule: Schedule) -> list[tuple[str, Expression] | Each]:
    """Units one after another: those alike, or in arithmetic progression, as a loop."""
    found: list[tuple[str, Expression] | Each] = []
    at = 0
    while at < len(run):
        number, made = run[at]
        alike, rising = _alike(run, at), _rising(run, at, schedule)
        if rising >= LOOP and rising > alike:
            call = _call(made, schedule, run[at + 1][1])
            found.append(Each("block", call, 0, rising, number))
            at += rising
        elif alike >= LOOP:
            found.append(Each("block", _call(made, schedule), number, alike))
            at += alike
        else:
            found.append((f"block{number}", _call(made, schedule)))
            at += 1
    return found


def _alike(run: list[tuple[int, Made]], at: int) -> int:
    first, count = run[at][1], 1
    while at + count < len(run) and run[at + count][1] == first:
        count += 1
    return count


def _rising(run: list[tuple[int, Made]], at: int, schedule: Schedule) -> int:
    """How many units from here on are of one class, each argument rising by the same step."""
    if at + 1 == len(run) or run[at][1].of is not run[at + 1][1].of:
        return 1
    first, second = (_whole(run[n][1], schedule) for n in (at, at + 1))
    if first is None or second is None:
        return 1
    count = 2
    while at + count < len(run) and run[at + count][1].of is run[at][1].of:
        wanted = {name: first[name] + count * (second[name] - first[name]) for name in first}
        if _whole(run[at + count][1], schedule) != wanted:
            break
        count += 1
    return count


def _whole(made: Made, schedule: Schedule) -> dict[str, Number] | None:
    """The arguments, a survival probability as its block's number; None where one is no whole number."""
    found = {
        name: schedule.block(value) if name == "survival" and schedule.linear else value
        for name, value in made.arguments.items()
    }
    return found if all(isinstance(value, int) for value in found.values()) else None


def _call(made: Made, schedule: Schedule, second: Made | None = None) -> Call:
    """The unit's call; with the run's second unit, in terms of `n`, which counts from 0."""
    widths: list[Expression] = []
    words: list[Word | Each] = []
    for name, value in made.arguments.items():
        survives = name == "survival" and schedule.linear
        number: Number = schedule.block(value) if survives else value
        expression: Expression = number
        if second is not None:
            other = second.arguments[name]
            expression = _progression(number, (schedule.block(other) if survives else other) - number)
        if survives:
            text = expression.text if isinstance(expression, Code) else repr(expression)
            expression = Code(f"survival_of({text})")
        if name != "projects" and made.of.parameters.is_width(name):
            widths.append(expression)
        else:
            words.append(Word(name, expression, {"stride": 1, "projects": False}.get(name)))
    return Call(made.of.name, tuple(widths), tuple(words))


def _progression(first: Number, step: Number) -> Expression:
    if not step:
        return first
    if step == 1:
        return Code(f"n + {first!r}")
    return Code(f"{first!r} {'+' if step > 0 else '-'} {abs(step)!r} * n")
