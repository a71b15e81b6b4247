"""The literature's networks as values of the grammar, with their sources and published figures.

Each file has the rule of its names: `entry(name)`, and the names that are listed, the well-known first: `NAMES`.
"""

from __future__ import annotations

from collections.abc import Callable

from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.zoo import cifar, dense, highway, paths, preactivated, regnets, resnets, vggs
from archsearch.zoo.entry import Entry

__all__ = ["Entry", "entries", "entry", "get", "names"]
RULES: tuple[tuple[tuple[str, ...], Callable[[str], Entry | None]], ...] = (
    (resnets.NAMES, resnets.entry),
    (preactivated.NAMES, preactivated.entry),
    (dense.NAMES, dense.entry),
    (regnets.NAMES, regnets.entry),
    (paths.NAMES, paths.entry),
    (vggs.NAMES, vggs.entry),
    (cifar.NAMES, cifar.entry),
    (highway.NAMES, highway.entry),
)


def entries() -> tuple[Entry, ...]:
    """Every listed network, family by family. Names beyond the list work too: see `entry`."""
    return tuple(entry(name) for name in names())


def names() -> tuple[str, ...]:
    """The listed names."""
    return tuple(name for listed, _ in RULES for name in listed)


def entry(name: str) -> Entry:
    """A listed network, or one whose name follows a family's rule (`resnet74_cifar`, `seresnext26d_32x4d`).

    Raises InputError, with the nearest names, for any other name.
    """
    for _, rule in RULES:
        if follows := rule(name):
            return follows
    raise refuse(
        f"no network is called {name!r}",
        allowed="a name from `archsearch zoo`, or the path of a YAML file",
        hint=nearest(name),
    )


def nearest(name: str) -> str:
    """A hint with the listed names that are spelled like this one; `_cifar` at their ends may be missing."""
    listed = names()
    return did_you_mean(name, listed, aliases={each.removesuffix("_cifar"): each for each in listed}, most=3)


def get(name: str) -> Architecture:
    """The architecture of a name. Raises InputError for a name that is not known."""
    return entry(name).architecture
