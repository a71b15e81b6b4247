"""A document that was read: plain values, and the position of each for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import getitem
from typing import Any

from archsearch.reading.errors import Problem, refuse

Loc = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a value was written. Line and column count from 1; 0 where there is no line to speak of."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, kw_only=True)
class Document:
    """Plain values and the position of each. A `loc`, a location, is a path of keys and indices from the top."""

    data: Any
    file: str
    values: Mapping[Loc, Position] = field(default_factory=dict, repr=False, compare=False)
    keys: Mapping[Loc, Position] = field(default_factory=dict, repr=False, compare=False)

    def at(self, loc: Loc) -> Any:
        """The value at a location, which must be there."""
        return reduce(getitem, loc, self.data)

    def position(self, loc: Loc, *, key: bool = False) -> Position:
        """The position of a value, or of its key; of the nearest value around it where it was never written."""
        if key and loc in self.keys:
            return self.keys[loc]
        for end in range(len(loc), -1, -1):
            if (position := self.values.get(loc[:end])) is not None:
                return position
        return Position(file=self.file)

    def problem(self, loc: Loc, message: str, *, allowed: str = "", hint: str = "", key: bool = False) -> Problem:
        """A Problem at the position of a value, or of its key."""
        return Problem(message=message, allowed=allowed, hint=hint, **vars(self.position(loc, key=key)))

    def with_value(self, loc: Loc, value: Any, origin: str) -> Document:
        """This document with one value set from elsewhere; errors about it name `origin` as the file.

        Mappings on the way are made where they are missing. Raises InputError where a key would have to go
        into something that is no mapping.
        """
        position = Position(file=origin)
        data = dict(self.data) if isinstance(self.data, dict) else {}
        inner = data
        values, keys = _without(self.values, loc), _without(self.keys, loc)
        for depth, key in enumerate(loc[:-1], start=1):
            below = inner.get(key, {})
            if not isinstance(below, dict):
                path = ".".join(map(str, loc[:depth]))
                raise refuse(
                    f"{path} is {shorten(below)}, which has no keys below it",
                    allowed="keys that hold a mapping",
                    hint=f"set {path} as a whole",
                    file=origin,
                )
            if key not in inner:
                values[loc[:depth]] = keys[loc[:depth]] = position
            inner[key] = dict(below)
            inner = inner[key]
        inner[loc[-1]] = value
        values[loc] = keys[loc] = position
        return replace(self, data=data, values=values, keys=keys)


def shorten(value: Any, limit: int = 60, depth: int = 2) -> str:
    """A value as one short line for an error message, written much as YAML writes it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            pairs = list(value.items())[:6] if depth else []
            inner = ", ".join(f"{k!s:.20}: {shorten(v, 20, depth - 1)}" for k, v in pairs)
            text = "{" + (inner or "..." * bool(value)) + "}"
        case list() | tuple():
            inner = ", ".join(shorten(v, 20, depth - 1) for v in (list(value)[:12] if depth else []))
            text = "[" + (inner or "..." * bool(value)) + "]"
        case str():
            text = repr(value[:limit])
        case int() | float():
            text = str(value) if isinstance(value, float) or abs(value) < 2**64 else "a huge integer"
        case _:
            text = f"a Python object of type {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _without(positions: Mapping[Loc, Position], loc: Loc) -> dict[Loc, Position]:
    """The positions but for those at or below `loc`."""
    return {at: position for at, position in positions.items() if at[: len(loc)] != loc}
