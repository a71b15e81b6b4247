"""`python -m scripts.pages`, from the project's root: writes the pages of docs/ that are made from the code."""

from __future__ import annotations

from pathlib import Path

from scripts.pages import commands, grammar, python, search_space, timm

DOCS = Path(__file__).parents[2] / "docs"

if __name__ == "__main__":
    for name, text in (
        ("cli.md", commands.page()),
        ("search-space.md", search_space.page()),
        ("grammar.md", grammar.page()),
        ("python.md", python.page()),
        ("timm.md", timm.page()),
    ):
        (DOCS / name).write_text(text, encoding="utf-8")
