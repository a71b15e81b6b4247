"""`python -m scripts.pages`, from the project's root: writes docs/cli.md, docs/search-space.md and docs/grammar.md."""

from __future__ import annotations

from pathlib import Path

from scripts.pages import commands, grammar, search_space

DOCS = Path(__file__).parents[2] / "docs"

if __name__ == "__main__":
    for name, text in (
        ("cli.md", commands.page()),
        ("search-space.md", search_space.page()),
        ("grammar.md", grammar.page()),
    ):
        (DOCS / name).write_text(text, encoding="utf-8")
