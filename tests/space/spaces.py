"""Small spaces, written as their `space:` words."""

from pathlib import Path

from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace

TOP = "archsearch: 1\nname: test\nspace:\n"


def space_of(folder: Path, words: str, rest: str = "") -> SearchSpace:
    path = folder / "space.yaml"
    lines = "".join(f"  {line.strip()}\n" for line in words.strip().split("\n"))
    path.write_text(TOP + lines + rest)
    return load_space(path)
