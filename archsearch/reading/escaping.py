"""Text for a terminal, whatever it holds: a name may carry what moves the cursor or turns a line round."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

# C0 but tab and newline, DEL, C1, marks and overrides of direction, separators of lines, half of a surrogate pair
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def printable(text: str) -> str:
    r"""The text with each control character as \u001b is written, which JSON reads back; tabs and newlines stay."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def in_one_line(text: str) -> str:
    r"""`printable`, with newlines as \n."""
    return printable(text).replace("\n", "\\n")


class Escaping:
    """A stream that writes to another what `printable` makes of a text. Colours pass to a terminal; what paints more
    writes to `stream` itself."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes the text; its length."""
        parts = _COLOUR.split(text) if self.stream.isatty() else [text]
        self.stream.write("".join(part if i % 2 else printable(part) for i, part in enumerate(parts)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def unescaped(stream: Any) -> TextIO:
    """The stream below one that escapes, for what paints: texts that go there are made `printable` one by one."""
    below: TextIO = stream.stream if isinstance(stream, Escaping) else stream
    return below


@contextmanager
def escaped_output() -> Iterator[None]:
    """In the block, whatever is printed on stdout or stderr is `printable`."""
    output: Any = Escaping(sys.stdout)
    errors: Any = Escaping(sys.stderr)
    with redirect_stdout(output), redirect_stderr(errors):
        yield
