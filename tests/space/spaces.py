"""Small spaces, written as their `space:` words."""

from itertools import count
from pathlib import Path

from archsearch.architecture.spec import Architecture
from archsearch.space.choices import RandomChoices
from archsearch.space.loading import load_space
from archsearch.space.sampling import NotInSpace
from archsearch.space.space import SearchSpace

TOP = "archsearch: 1\nname: test\nspace:\n"


def space_of(folder: Path, words: str, rest: str = "") -> SearchSpace:
    path = folder / "space.yaml"
    lines = "".join(f"  {line.strip()}\n" for line in words.strip().split("\n"))
    path.write_text(TOP + lines + rest)
    return load_space(path)


def drawn(space: SearchSpace, number: int) -> list[Architecture]:
    """The networks of the first seeds; with linear widths, of those whose number of stages the space allows."""
    networks: list[Architecture] = []
    for seed in count():
        try:
            networks.append(space.architecture(RandomChoices(seed)))
        except NotInSpace:
            assert seed < 50 * number
        if len(networks) == number:
            return networks
    raise AssertionError
