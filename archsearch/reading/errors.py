"""What a person is told when something they gave cannot be used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input: where, what was found, what is allowed, and a hint."""

    found: str
    allowed: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join([self.file or "<input>", *(str(n) for n in (self.line, self.column) if n)])
        text = f"{place}: {self.found}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return text


class InputError(ValueError):
    """Bad input. The command line prints its problems and leaves with exit code 2."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def refuse(found: str, *, allowed: str = "", hint: str = "", file: str = "") -> InputError:
    """An InputError about something that stands in no file's line: an argument, a folder, a name."""
    return InputError(Problem(found=found, allowed=allowed, hint=hint, file=file or "archsearch"))
