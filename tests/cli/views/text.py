"""Text as a terminal gets it."""

import io
import re


class Terminal(io.StringIO):
    """A text that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def coloured(text: str) -> str:
    """ANSI codes as <numbers>, and no blanks at the ends of lines."""
    plain = re.sub("\x1b\\[([0-9;]*)m", r"<\1>", text)
    return "\n".join(line.rstrip() for line in plain.splitlines())
