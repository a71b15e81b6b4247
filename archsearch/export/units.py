"""Residual units -> classes: units of one form share a class, whose parameters are the numbers in which they differ.

Two forms that differ by their shortcut alone, which one of them lacks, are one class with a condition.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from archsearch.architecture.composites import Sequence, Unit
from archsearch.architecture.ops import Conv, Norm, Relu
from archsearch.architecture.quantities import Shape
from archsearch.export.code import Code, Expression, Hole, Number, flat
from archsearch.export.layers import is_relu, sequence, single
from archsearch.export.parameters import Parameters, parametrised, skeleton

SLOTS = ("shared", "branch", "gate", "gain", "after")


@dataclass(frozen=True)
class Placed:
    """A unit and what it reads."""

    unit: Unit
    x: Shape

    @property
    def s(self) -> Shape:
        """What both of its sides read."""
        return self.unit.shared.shape(self.x)

    def slot(self, name: str) -> Expression | None:
        """What fills a slot; None where nothing does, or a ReLU that `forward` applies by itself."""
        filling: Sequence = getattr(self.unit, name)
        if filling == Sequence() or (name in ("shared", "after") and is_relu(filling)):
            return None
        reads = {"shared": self.x, "after": self.unit.joined(self.x), "gain": self.unit.branch.shape(self.s)}
        return single(sequence(filling, reads.get(name, self.s)), filling)

    def numbers(self) -> dict[str, Hole]:
        """What `forward` and the initialisation need to know beside the layers."""
        unit, found = self.unit, {}
        if unit.residual:
            found["residual"] = Hole("width", "residual", unit.residual)
        if unit.survival != 1:
            found["survival"] = Hole("survival", "survival", unit.survival)
            if unit.join == "concat" and unit.survival_per == "batch":
                grown = unit.branch.shape(self.s).channels - unit.residual
                found["growth"] = Hole("width", "growth", grown)
        for name in ("shortcut_scale", "branch_scale"):
            if getattr(unit, name) != 1:
                found[name] = Hole("scale", name, getattr(unit, name))
        for _, op in unit.gate.steps:
            if isinstance(op, Conv) and op.bias_init:
                found["gate_bias"] = Hole("bias", "gate_bias", op.bias_init)
        return found

    def form(self) -> tuple[object, ...]:
        """Equal for units that one class can make, their shortcuts apart."""
        unit = self.unit
        slots = tuple(None if (e := self.slot(name)) is None else skeleton(e) for name in SLOTS)
        relus = is_relu(unit.shared), is_relu(unit.after)
        survives = (unit.survival != 1, unit.survival_per, unit.survival_rescale)
        return slots, relus, unit.join, unit.gated, survives, tuple(self.numbers()), self.zeroed()

    def zeroed(self) -> tuple[str, ...]:
        """The branch's norms whose scale starts at 0."""
        return tuple(name for name, op in self.unit.branch.steps if isinstance(op, Norm) and op.scale_init == 0)


@dataclass
class UnitClass:
    """One class: its name, the units that it makes, and its slots over its parameters.

    `when` is the condition on which it has its shortcut; None where it always has it (or never).
    """

    name: str
    units: list[Placed]
    parameters: Parameters
    slots: dict[str, Expression]
    numbers: dict[str, Expression]
    when: Expression | None = None
    flag: list[bool] = field(default_factory=list)  # who has a shortcut, where that follows from no number

    @property
    def first(self) -> Placed:
        """The others differ from it by their numbers, and perhaps by the shortcut."""
        return self.units[0]

    def arguments(self, placed: Placed) -> dict[str, Number | bool]:
        """What the unit's call says: by parameter."""
        number = self.units.index(placed)
        values = {name: self.parameters.values[name][number] for name in self.parameters.ordered()}
        found: dict[str, Number | bool] = {name: value for name, value in values.items() if value is not None}
        if self.flag:
            found["projects"] = self.flag[number]
        return found


def classes(units: Many[Placed]) -> list[UnitClass]:
    """A class a form, in the order of their first units."""
    forms: dict[object, list[Placed]] = {}
    for placed in units:
        forms.setdefault(placed.form(), []).append(placed)
    found: list[UnitClass] = []
    for alike in forms.values():
        found += _of_one_form(alike)
    found.sort(key=lambda made: min(units.index(placed) for placed in made.units))
    taken: dict[str, int] = {}
    for made in found:
        taken[made.name] = taken.get(made.name, 0) + 1
        made.name += str(taken[made.name]) if taken[made.name] > 1 else ""
    return found


def _of_one_form(units: list[Placed]) -> list[UnitClass]:
    """One class, where all have the same kind of shortcut or none; else one a kind."""
    kinds: dict[Expression | None, list[Placed]] = {}
    for placed in units:
        found = placed.slot("shortcut")
        kinds.setdefault(None if found is None else skeleton(found), []).append(placed)
    if len(kinds) == 1 or (len(kinds) == 2 and None in kinds):
        made = _made(units)
        if made is not None:
            return [made]
    separate = (_made(alike) for alike in kinds.values())
    return [made for made in separate if made is not None]


def _made(units: list[Placed]) -> UnitClass | None:
    """None where the shortcut that some of them have takes parameters that the others lack."""
    residual = [placed.unit.residual for placed in units]
    parameters = Parameters(
        [placed.x.channels for placed in units],
        [placed.unit.branch.shape(placed.s).channels for placed in units],
        residual if all(residual) else (),
    )
    slots: dict[str, Expression] = {}
    for name in SLOTS:
        if units[0].slot(name) is not None:
            slots[name] = _required(parametrised([placed.slot(name) for placed in units], parameters))
    numbers = {
        name: _required(parametrised([placed.numbers()[name] for placed in units], parameters))
        for name in units[0].numbers()
    }
    made = UnitClass(_name(units[0].unit), units, parameters, slots, numbers)
    shortcuts = [placed.slot("shortcut") for placed in units]
    has = [shortcut is not None for shortcut in shortcuts]
    if any(has):
        found = parametrised(shortcuts, parameters, may_add=all(has))
        if found is None:
            return None
        slots["shortcut"] = found
        if not all(has):
            made.when = _condition(made, has)
    return made


def _condition(made: UnitClass, has: list[bool]) -> Expression:
    """When a unit has its shortcut: where the shape changes, as a rule."""
    parameters = made.parameters
    channels = [placed.x.channels for placed in made.units]
    out = [placed.unit.branch.shape(placed.s).channels for placed in made.units]
    strides = parameters.values.get("stride")
    width = parameters.expression(Hole("width", "out", 0), out, may_add=False)
    changes = [c != o for c, o in zip(channels, out, strict=True)]
    test = f"channels != {flat(width)}" if width is not None and "channels" in parameters.values else ""
    if test and changes == has:
        return Code(test)
    if strides is not None:
        strided = [stride != 1 for stride in strides]
        if strided == has:
            return Code("stride != 1")
        if test and [a or b for a, b in zip(strided, changes, strict=True)] == has:
            return Code(f"stride != 1 or {test}")
    made.flag = has
    return Code("projects")


def _required(expression: Expression | None) -> Expression:
    assert expression is not None, "every unit of a form has all of its numbers"
    return expression


def _name(unit: Unit) -> str:
    """What such a block is called in the literature, as far as its form says."""
    joins = {"replace": "Plain", "add": "Residual", "concat": "DualPath" if unit.residual else "Dense"}
    name = "Gated" if unit.gated != "none" else joins[unit.join]
    convs = [op for _, op in unit.branch.steps if isinstance(op, Conv)]
    if unit.join == "concat" and not unit.residual:
        name += "Layer"
    else:
        name += "Bottleneck" if len(convs) == 3 else "Block"
    if unit.shared != Sequence():
        return f"Preactivated{name}Entry"
    return f"Preactivated{name}" if isinstance(unit.branch.steps[0][1], Norm | Relu) else name
