"""Python expressions as data, and their layout: on one line where it fits, else an argument a line.

The only leaves are numbers and words that archsearch itself has written, so nothing that a user wrote becomes code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

WIDTH = 120
MANY = 3  # layers of one `named` from which on each has a line of its own
Kind = Literal["width", "stride", "groups", "kernel", "rate", "survival", "scale", "bias"]
Number = int | float


@dataclass(frozen=True)
class Code:
    """A piece of source that stands as it is: a parameter's name, `4 * inner`."""

    text: str


@dataclass(frozen=True)
class Hole:
    """A number that may differ between units of one form. `role` is its parameter's name where it needs one."""

    kind: Kind
    role: str
    value: Number


@dataclass(frozen=True)
class Word:
    """A keyword argument, left out where its value is `default`."""

    name: str
    value: Expression
    default: Number | bool | None = None


@dataclass(frozen=True)
class Call:
    """`function(arguments, words)`."""

    function: str
    arguments: tuple[Expression, ...] = ()
    words: tuple[Word | Each, ...] = ()


@dataclass(frozen=True)
class Each:
    """`**{f"{name}{n + offset}": call for n in range(...)}`: layers that differ by their number alone."""

    name: str
    call: Call
    first: int
    count: int
    offset: int = 0


Expression = Code | Hole | Call | bool | int | float


def named(layers: Iterable[tuple[str, Expression] | Each]) -> Call:
    """Layers one after another, by name."""
    return Call("named", (), tuple(each if isinstance(each, Each) else Word(*each) for each in layers))


def literal(value: object) -> str:
    """A number or truth value as Python writes it. Raises TypeError for anything else: nothing else becomes code."""
    if type(value) not in (bool, int, float) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"{value!r:.40} is no number that source may hold")
    return repr(value)


def flat(expression: Expression) -> str:
    """On one line."""
    match expression:
        case Code(text):
            return text
        case Hole(value=value):
            return literal(value)
        case Call():
            return f"{expression.function}({', '.join(_arguments(expression))})"
        case _:
            return literal(expression)


def laid(expression: Expression, *, indent: int, before: int, after: int = 0) -> str:
    """Laid out for a line that begins with `indent` spaces, of which `before` characters precede the expression and
    `after` follow it."""
    text = flat(expression)
    if not isinstance(expression, Call) or (before + len(text) + after <= WIDTH and not _tall(expression)):
        return text
    lines = [f"{expression.function}("]
    inside = indent + 4
    for argument in expression.arguments:
        lines.append(" " * inside + laid(argument, indent=inside, before=inside, after=1) + ",")
    for word in _kept(expression.words):
        if isinstance(word, Each):
            lines.append(_laid_each(word, inside))
            continue
        start = " " * inside + f"{word.name}="
        lines.append(start + laid(word.value, indent=inside, before=len(start), after=1) + ",")
    return "\n".join([*lines, " " * indent + ")"])


def _laid_each(each: Each, indent: int) -> str:
    line = " " * indent + _flat_each(each) + ","
    if len(line) <= WIDTH:
        return line
    start = " " * (indent + 4) + f"{_key(each)}: "
    call = laid(each.call, indent=indent + 4, before=len(start))
    return "\n".join([
        " " * indent + "**{",
        start + call,
        " " * (indent + 4) + f"for n in {_range(each)}",
        " " * indent + "},",
    ])  # fmt: skip


def _tall(call: Call) -> bool:
    """Whether its arguments have lines of their own though they fit on one."""
    inside = (word.value for word in call.words if isinstance(word, Word))
    inside_is_tall = any(isinstance(value, Call) and _tall(value) for value in (*inside, *call.arguments))
    return inside_is_tall or (call.function == "named" and len(call.words) >= MANY)


def _arguments(call: Call) -> list[str]:
    return [*map(flat, call.arguments), *map(_flat_word, _kept(call.words))]


def _flat_word(word: Word | Each) -> str:
    return _flat_each(word) if isinstance(word, Each) else f"{word.name}={flat(word.value)}"


def _flat_each(each: Each) -> str:
    return f"**{{{_key(each)}: {flat(each.call)} for n in {_range(each)}}}"


def _key(each: Each) -> str:
    number = "n" if not each.offset else f"n + {each.offset}"
    return f'f"{each.name}{{{number}}}"'


def _range(each: Each) -> str:
    last = each.first + each.count
    return f"range({last})" if not each.first else f"range({each.first}, {last})"


def _kept(words: tuple[Word | Each, ...]) -> list[Word | Each]:
    return [word for word in words if isinstance(word, Each) or word.default is None or not _is_default(word)]


def _is_default(word: Word) -> bool:
    value = word.value.value if isinstance(word.value, Hole) else word.value
    return value == word.default
