"""Random networks of a space with their costs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from archsearch.reading.errors import InputError

if TYPE_CHECKING:
    from archsearch.architecture.cost import Cost
    from archsearch.architecture.spec import Architecture
    from archsearch.space import SearchSpace


def draws(space: SearchSpace, seed: int) -> Iterator[tuple[Architecture, Cost] | None]:
    """Without end; None for a draw whose image runs out of pixels, which is no network."""
    from archsearch.architecture.cost import cost
    from archsearch.space import RandomChoices

    choices = RandomChoices(random.Random(seed))
    while True:
        try:
            network = space.sample(choices)
            yield network, cost(network)
        except InputError:
            yield None


def share_within(space: SearchSpace, number: int) -> float:
    """Of `number` random draws, the share that keeps the budget."""
    drawn = itertools.islice(draws(space, 0), number)
    return sum(item is not None and space.budget.admits(item[1]) for item in drawn) / number
