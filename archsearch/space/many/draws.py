"""Networks of a space, drawn uniformly from those within its budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.space.budget import Price
from archsearch.space.choices import RecordedChoices
from archsearch.space.many.feasible import Feasible

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

PATIENCE = 10_000  # draws in a row that give no new network, before the space counts as used up


def draws(space: SearchSpace, *, seed: int) -> Iterator[Architecture]:
    """Every combination of choices within the budget once, in an order that the seed gives; the training's parameters
    play no part. Two combinations may give the same network."""
    feasible = Feasible(space.networks_alone(), seed=seed)
    return (space.architecture(RecordedChoices(feasible.grid.choices(row))) for row in feasible)


def typical(space: SearchSpace) -> Architecture | None:
    """A network of median FLOPs within the budget, always the same; None where there is none."""
    feasible = Feasible(space, seed=0)
    row = feasible.typical()
    return None if row is None else space.architecture(RecordedChoices(feasible.grid.choices(row)))


def distinct(space: SearchSpace, number: int, *, seed: int) -> Iterator[tuple[str, Architecture, Price]]:
    """(digest, network, price) of `number` networks that differ; fewer where the space is used up."""
    digests, misses = set[str](), 0
    for network in draws(space, seed=seed):
        identity = digest(network)
        misses += 1
        if identity not in digests:
            digests.add(identity)
            misses = 0
            yield identity, network, space.price(cost(network))
        if len(digests) == number or misses == PATIENCE:
            return
