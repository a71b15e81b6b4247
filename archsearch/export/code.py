"""Calls as Python: on one line where that fits, else an argument a line, as ruff lays code out.

The leaves are numbers, truth values, and names that archsearch itself has written: no text of a user becomes source.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, repeat

import torch
from torch import nn

from archsearch.network.calls import Call
from archsearch.network.layers import GlobalMean, PointwiseConv, StridedPointwiseConv, named

WIDTH = 120
TALL = 3  # layers of one sequence from which on each has a line of its own


@dataclass(frozen=True)
class Code:
    """A piece of source that stands as it is: a parameter's name, `24 + 12 * n`."""

    text: str


@dataclass(frozen=True)
class Argument:
    """An argument of a call by its parameter's name, which is written unless it is `positional`. It is left out where
    it is the `default`."""

    name: str
    value: Value
    positional: bool = False
    default: object = None


@dataclass(frozen=True)
class Node:
    """A call as source: `function(arguments)`. `origin` is what the function is, where it is not torch's."""

    function: str
    arguments: tuple[Argument, ...] = ()
    origin: Callable[..., nn.Module] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Loop:
    """`**{f"block{n}": call for n in range(start, stop)}`; where `offset` is not 0, of block n + offset."""

    call: Node
    start: int
    stop: int
    offset: int = 0


Value = Node | Loop | Code | bool | int | float


def node(call: Call) -> Node:
    """The call's source, its default arguments still among the arguments."""
    if (equivalent := _equivalent(call)) is not None:
        return node(equivalent)
    parameters = inspect.signature(call.function).parameters
    names = chain(parameters, repeat("layer"))
    arguments = [
        Argument(name, _value(argument), positional=True) for name, argument in zip(names, call.arguments, strict=False)
    ]
    for name, argument in call.keywords:
        default = parameters[name].default if name in parameters else None
        arguments.append(Argument(name, _value(argument), default=default))
    if call.function.__module__.startswith("torch.nn."):
        return Node(f"nn.{call.function.__name__}", tuple(arguments))
    return Node(call.function.__name__, tuple(arguments), call.function)


def _equivalent(call: Call) -> Call | None:
    """torch's own layer for a class of network/ that computes the same in another way."""
    if call.function in (PointwiseConv, StridedPointwiseConv):
        return replace(call, function=nn.Conv2d)
    if call.function is GlobalMean:
        pool = Call(nn.AdaptiveAvgPool2d, (1,))
        return Call(nn.Sequential, (pool, Call(nn.Flatten))) if dict(call.keywords)["flat"] else pool
    return None


def _value(argument: Call | bool | int | float) -> Value:
    """A single layer without weights stands for itself, without a name."""
    if not isinstance(argument, Call):
        return argument
    if argument.function is named and len(argument.keywords) == 1:
        ((_, layer),) = argument.keywords
        with torch.device("meta"):
            if isinstance(layer, Call) and next(layer.module().parameters(), None) is None:
                return node(layer)
    return node(argument)


def walk(value: Value) -> Iterator[Node]:
    """A call and all calls within it, in the order of the source."""
    if isinstance(value, Node):
        yield value
        for argument in value.arguments:
            yield from walk(argument.value)


def substituted(value: Value, by: Mapping[Node, Node]) -> Value:
    """The value, in which other calls stand for those that are among the keys."""
    if not isinstance(value, Node):
        return value
    arguments = (replace(argument, value=substituted(argument.value, by)) for argument in value.arguments)
    return by[value] if value in by else replace(value, arguments=tuple(arguments))


def literal(value: object) -> str:
    """A number or truth value as Python writes it. Raises TypeError for anything else: nothing else becomes code."""
    if type(value) not in (bool, int, float) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"{value!r:.40} is no number that source may hold")
    return repr(value)


def flat(value: Value) -> str:
    """On one line."""
    match value:
        case Code(text):
            return text
        case Node():
            return f"{value.function}({', '.join(map(_flat_argument, _written(value)))})"
        case Loop():
            return f"**{{{_key(value)}: {flat(value.call)} {_range(value)}}}"
        case _:
            return literal(value)


def laid(value: Value, *, indent: int, before: int, after: int = 0) -> str:
    """Laid out for a line that begins with `indent` spaces, of which `before` characters precede the value and `after`
    follow it."""
    text = flat(value)
    if isinstance(value, Code | bool | int | float) or (before + len(text) + after <= WIDTH and not _tall(value)):
        return text
    inside = " " * (indent + 4)
    if isinstance(value, Loop):
        start = f"{inside}{_key(value)}: "
        lines = ["**{", start + laid(value.call, indent=indent + 4, before=len(start)), inside + _range(value)]
        return "\n".join([*lines, " " * indent + "}"])
    lines = [f"{value.function}("]
    for argument in _written(value):
        start = inside if argument.positional else f"{inside}{argument.name}="
        lines.append(start + laid(argument.value, indent=indent + 4, before=len(start), after=1) + ",")
    return "\n".join([*lines, " " * indent + ")"])


def _tall(value: Value) -> bool:
    """Whether its arguments have lines of their own though they fit on one."""
    if not isinstance(value, Node):
        return False
    layers = [argument for argument in value.arguments if isinstance(argument.value, Node | Loop)]
    return len(layers) >= TALL or any(_tall(argument.value) for argument in layers)


def _written(call: Node) -> list[Argument]:
    return [argument for argument in call.arguments if argument.default is None or argument.value != argument.default]


def _flat_argument(argument: Argument) -> str:
    return flat(argument.value) if argument.positional else f"{argument.name}={flat(argument.value)}"


def _key(loop: Loop) -> str:
    return f'f"block{{n + {loop.offset}}}"' if loop.offset else 'f"block{n}"'


def _range(loop: Loop) -> str:
    return f"for n in range({loop.start}, {loop.stop})" if loop.start else f"for n in range({loop.stop})"
