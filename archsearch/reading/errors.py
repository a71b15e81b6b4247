"""What a person is told when something they gave cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.reading.escaping import in_one_line


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input: `message` says what was found, `allowed` what may stand there instead."""

    message: str
    allowed: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = in_one_line(self.file or "<input>")
        position = ":".join([file, *(str(n) for n in (self.line, self.column) if n)])
        text = f"{position}: {in_one_line(self.message)}"
        if self.allowed:
            text += f"; allowed: {in_one_line(self.allowed)}"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return text


class InputError(ValueError):
    """Bad input. The command line prints its problems and leaves with exit code 2."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def refuse(message: str, *, allowed: str = "", hint: str = "", file: str = "") -> InputError:
    """An InputError about something that stands in no line of a file: an argument, a folder, a name."""
    return InputError(Problem(message=message, allowed=allowed, hint=hint, file=file or "archsearch"))
