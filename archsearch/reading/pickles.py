"""Pickles of strangers, read by a machine that knows containers, numbers and texts, and calls a table of names alone.

Python's own reader trusts what it reads: an index of its memo becomes an array of that size, and a key that is a tuple
in a tuple, 400,000 deep, overflows the stack of whoever hashes it. This one is slower by far and has limits.
"""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

MAX_STEPS, MAX_DEPTH = 1_000_000, 20
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_PLAIN = frozenset({
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT, _GET = frozenset({"PUT", "BINPUT", "LONG_BINPUT"}), frozenset({"GET", "BINGET", "LONG_BINGET"})

Calls = Mapping[tuple[str, str], Callable[..., Any]]


class Refused(ValueError):
    """A pickle that is beyond a limit or asks for what is not in the tables; without a text: one that is damaged."""


class Reader:
    """Reads one pickle after another from a stream.

    `calls` are what a pickle may name, by module and name, and are called with what it hands them; the results get
    what belongs into them by `__setstate__`. `persistent` makes a value of a persistent id.
    """

    def __init__(self, stream: BytesIO, calls: Calls, persistent: Callable[[Any], Any] | None = None) -> None:
        self._stream, self._calls, self._persistent = stream, calls, persistent
        self._steps, self._bytes = MAX_STEPS, 2 * len(stream.getbuffer())  # that calls may be handed, in all

    def read(self) -> Any:
        """The next value, from a stack and a memo of its own. Byte strings of Python 2 are bytes. Raises Refused."""
        self._stack: list[Any] = []
        self._depths: dict[int, tuple[int, Any]] = {}  # of tuples, by id; with them, lest an id be used again
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        try:
            while self._next() != "STOP":
                pass
            return self._stack.pop()
        except Refused:
            raise
        except (LookupError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise Refused from error

    def _next(self) -> str:
        """Carries out one opcode; its name."""
        self._steps -= 1
        if self._steps < 0:
            raise Refused(f"more than {MAX_STEPS:,} steps")
        code = self._stream.read(1)
        opcode = _OPCODES[code.decode("latin1")]
        name, argument = str(opcode.name), None
        if name == "STRING":  # pickletools knows those of ASCII alone
            argument = codecs.escape_decode(self._stream.readline().rstrip(b"\n")[1:-1])[0]
        elif opcode.arg is not None:
            argument = opcode.arg.reader(self._stream)
        self._carry_out(name, argument)
        return name

    def _carry_out(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PLAIN:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._tuple(self._last(_TUPLES[name]))
        elif name in _PUT:
            self._memo[argument] = stack[-1]
        elif name in _GET:
            stack.append(self._memo[argument])
        else:
            self._carry_out_other(name, argument)

    def _carry_out_other(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "STRING":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":
                stack.append(argument.encode("latin1"))
            case "MARK":
                self._marks.append(len(stack))
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "TUPLE":
                self._tuple(self._marked())
            case "EMPTY_LIST" | "LIST":
                stack.append(self._marked() if name == "LIST" else [])
            case "EMPTY_DICT" | "DICT":
                pairs = self._marked() if name == "DICT" else []
                stack.append({})
                self._set(pairs)
            case "APPEND" | "APPENDS":
                values = self._marked() if name == "APPENDS" else self._last(1)
                _checked(stack[-1], list).extend(values)
            case "SETITEM" | "SETITEMS":
                self._set(self._marked() if name == "SETITEMS" else self._last(2))
            case "GLOBAL" | "STACK_GLOBAL":
                self._name(*(argument.split(" ", 1) if name == "GLOBAL" else self._last(2)))
            case "REDUCE":
                function, arguments = self._last(2)
                stack.append(_function(function)(*self._handed(_checked(arguments, tuple))))
            case "BUILD":
                (state,) = self._last(1)
                stack[-1].__setstate__(*self._handed((state,)))
            case "BINPERSID" if self._persistent is not None:
                stack.append(self._persistent(stack.pop()))
            case _:
                raise Refused(f"the step {name}, which is not allowed")

    def _last(self, count: int) -> list[Any]:
        """Takes so many values from the stack, none from before the last mark."""
        start = len(self._stack) - count
        if start < (self._marks[-1] if self._marks else 0):
            raise Refused
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _marked(self) -> list[Any]:
        """Takes what stands above the last mark, and the mark."""
        start = self._marks.pop()
        return self._last(len(self._stack) - start)

    def _tuple(self, values: list[Any]) -> None:
        depth = 1 + max((self._depths[id(value)][0] for value in values if id(value) in self._depths), default=0)
        if depth > MAX_DEPTH:
            raise Refused(f"more than {MAX_DEPTH} tuples in each other")
        result = tuple(values)
        self._depths[id(result)] = depth, result
        self._stack.append(result)

    def _set(self, pairs: list[Any]) -> None:
        target = _checked(self._stack[-1], dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str | bytes):
                raise Refused(f"a {type(key).__name__} as a key")
            target[key] = value

    def _name(self, module: Any, name: Any) -> None:
        try:
            self._stack.append(Named(self._calls[module, name]))
        except (KeyError, TypeError):
            raise Refused(f"the name {module!s:.40}.{name!s:.40}, which is not allowed") from None

    def _handed(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values, counted: a call may copy its texts, and a text that is written once can be handed a thousand
        times."""
        self._bytes -= sum(map(_bytes, values))
        if self._bytes < 0:
            raise Refused("more bytes than it has")
        return values


class Named:
    """A name of a pickle, which is no value of anything else."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def _function(value: Any) -> Callable[..., Any]:
    if not isinstance(value, Named):
        raise Refused
    return value.function


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Refused
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, tuple | list):
        return sum(len(part) for part in value if isinstance(part, str | bytes | bytearray))
    return len(value) if isinstance(value, str | bytes | bytearray) else 0
