"""What the documentation tells people to type: every command of archsearch's, and the tutorial's steps."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "launch/README.md"))]
)
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:\.venv/bin/)?archsearch [^`]+)`")
_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|\.\.\.|…|HOST:PORT")  # what stands for something else is not to be typed


@dataclass(frozen=True, kw_only=True)
class Command:
    """A line as it stands on a page."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        """Without the program's name."""
        return shlex.split(self.line, comments=True)[1:]

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Its fenced blocks: (language, text)."""
    return [(found[1], found[2]) for found in _FENCE.finditer(page.read_text())]


def indented(page: Path) -> list[str]:
    """Its blocks that are indented by four spaces, without these."""
    text = _ANY_FENCE.sub("", page.read_text())
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in found if block.strip()]


def commands() -> list[Command]:
    """Each that a page gives, in a block, indented or in the text; not those with a word to fill in."""
    found = set()
    for page in PAGES:
        text = page.read_text()
        fenced = "\n".join(block for _, block in _ANY_FENCE.findall(text))
        indented = [line for line in _ANY_FENCE.sub("", text).splitlines() if line.startswith("    ")]
        lines = [line.strip().removeprefix("$ ") for line in [*fenced.splitlines(), *indented]]
        lines += [" ".join(quoted.split()) for quoted in _INLINE.findall(text)]
        for line in lines:
            for part in line.split(" && "):
                typed = part.strip().removeprefix(".venv/bin/")
                if typed.startswith("archsearch ") and not _PLACEHOLDER.search(typed.partition(" #")[0]):
                    found.add(Command(page=page.relative_to(ROOT).as_posix(), line=typed))
    return sorted(found, key=str)
