"""The literature's networks as values of the grammar, with their sources and published figures."""

from __future__ import annotations

from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.zoo import cifar, highway, imagenet
from archsearch.zoo.entry import Entry

__all__ = ["Entry", "entries", "entry", "get", "names"]


def entries() -> tuple[Entry, ...]:
    """Every listed network. CIFAR names beyond the list work too: see `entry`."""
    listed = (cifar.entry(name) for name in cifar.NAMES)
    return (*filter(None, listed), *highway.entries(), *imagenet.entries())


def names() -> tuple[str, ...]:
    """The listed names."""
    return tuple(listed.name for listed in entries())


def entry(name: str) -> Entry:
    """A listed network, or one whose name follows a CIFAR family's rule (`resnet74_cifar`, `wrn22_6_cifar`).

    Raises InputError, with the nearest names, for any other name.
    """
    for listed in (*imagenet.entries(), *highway.entries()):
        if listed.name == name:
            return listed
    if follows := cifar.entry(name):
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
