"""Numbers that differ between the units of one class -> its parameters, and what follows from them.

A number that all units share is a literal. One that differs is a parameter; equal ones share it, and a width that is
always a multiple or a whole part of another is written as that: `4 * inner`, `out // 16`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from archsearch.export.code import Call, Code, Expression, Hole, Kind, Number, Word, flat

Values = Sequence[Number | None]  # one a unit; None where a unit has no such number
ORDER = ("channels", "inner", "out", "residual", "growth", "hidden", "stride", "groups", "kernel")


class Parameters:
    """The parameters of one class, found one number after another. `channels` and `out` are what each unit reads, and
    what its branch emits; `residual` how many of those a dual path adds."""

    def __init__(self, channels: Values, out: Values, residual: Values = ()) -> None:
        self.values: dict[str, Values] = {}
        self._kinds: dict[str, Kind] = {}
        self._known = {"channels": channels, "out": out}
        self._residual = residual
        self._growth = [o - r for o, r in zip(out, residual, strict=False) if o is not None and r is not None]
        self._keeps = list(channels) == list(out)

    def expression(self, hole: Hole, values: Values, *, may_add: bool = True) -> Expression | None:
        """What stands for this number in the class; None where it takes a parameter that may not be added."""
        if len({value for value in values if value is not None}) == 1:
            return next(value for value in values if value is not None)
        for name, kind in self._kinds.items():
            if kind == hole.kind and _agree(values, self.values[name]):
                return Code(name)
        if hole.kind == "width":
            if _agree(values, self._known["channels"]):
                return self._add("channels", hole.kind, self._known["channels"])
            if derived := self._derived(values) or self._summed(values):
                return derived
            if _agree(values, self._known["out"]):
                return self._add("out", hole.kind, self._known["out"])
        if not may_add or any(value is None for value in values):
            return None
        return self._add(self._free(hole.role), hole.kind, values)

    def ordered(self) -> list[str]:
        """Widths first, then what has a name in a call."""
        return sorted(self.values, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def is_width(self, name: str) -> bool:
        """Whether a call gives it by its position."""
        return self._kinds[name] == "width"

    def is_whole(self, name: str) -> bool:
        """Whether it is a whole number."""
        return all(isinstance(value, int) for value in self.values[name])

    def _derived(self, values: Values) -> Expression | None:
        """A multiple or a whole part of a width that the class has; of its input's only where units keep that."""
        bases = [name for name, kind in self._kinds.items() if kind == "width"]
        for name in bases:
            if name == "channels" and not self._keeps:
                continue
            pairs = [(v, b) for v, b in zip(values, self.values[name], strict=True) if v is not None and b is not None]
            (value, base), *_ = pairs
            times, parts = int(value // base), int(base // value)
            if times > 1 and all(v == times * b for v, b in pairs):
                return Code(f"{times} * {name}")
            if parts > 1 and all(v * parts == b for v, b in pairs):
                return Code(f"{name} // {parts}")
        return None

    def _summed(self, values: Values) -> Expression | None:
        """What a dual path emits: the channels that it adds, and once or twice those that it appends."""
        for times in (1, 2) if any(self._growth) else ():
            sums = [r + times * g for r, g in zip(self._residual, self._growth, strict=True) if r is not None]
            if _agree(values, sums):
                residual = self.expression(Hole("width", "residual", 0), self._residual)
                growth = self.expression(Hole("width", "growth", 0), self._growth)
                if isinstance(residual, Code | int) and isinstance(growth, Code | int):
                    return Code(f"{flat(residual)} + {'' if times == 1 else '2 * '}{flat(growth)}")
        return None

    def _add(self, name: str, kind: Kind, values: Values) -> Code:
        self.values[name], self._kinds[name] = values, kind
        return Code(name)

    def _free(self, role: str) -> str:
        taken, number = set(self.values), 2
        name = role
        while name in taken or name in ("channels", "out"):
            name, number = f"{role}{number}", number + 1
        return name


def _agree(values: Values, others: Values) -> bool:
    return all(value is None or value == other for value, other in zip(values, others, strict=True))


def holes(expression: Expression) -> Iterator[Hole]:
    """In the order of the source."""
    match expression:
        case Hole():
            yield expression
        case Call():
            for part in (*expression.arguments, *(word.value for word in expression.words if isinstance(word, Word))):
                yield from holes(part)


def filled(expression: Expression, given: Iterator[Expression]) -> Expression:
    """Each hole replaced by the next of `given`."""
    match expression:
        case Hole():
            return next(given)
        case Call():
            arguments = tuple(filled(part, given) for part in expression.arguments)
            words = tuple(
                Word(word.name, filled(word.value, given), word.default) if isinstance(word, Word) else word
                for word in expression.words
            )
            return Call(expression.function, arguments, words)
        case _:
            return expression


def skeleton(expression: Expression) -> Expression:
    """The expression without its numbers: equal for units of one form."""
    return filled(expression, (Code(hole.kind) for hole in holes(expression)))


def parametrised(
    expressions: Iterable[Expression | None], parameters: Parameters, *, may_add: bool = True
) -> Expression | None:
    """Expressions of one skeleton as a single one over the parameters; None where it takes one that may not be added.
    A unit without the expression is None among them."""
    given = list(expressions)
    first = next(expression for expression in given if expression is not None)
    columns = zip(*(list(holes(e)) if e is not None else [None] * len(list(holes(first))) for e in given), strict=True)
    resolved: list[Expression] = []
    for hole, column in zip(holes(first), columns, strict=True):
        found = parameters.expression(hole, [each.value if each else None for each in column], may_add=may_add)
        if found is None:
            return None
        resolved.append(found)
    return filled(first, iter(resolved))
