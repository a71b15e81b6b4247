"""Random search: every candidate that is left is as likely as the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.face import Field
from archsearch.space.many.columns import IntArray


@dataclass(frozen=True)
class Uniform:
    """Bergstra & Bengio 2012; the yardstick of every other sampler."""

    def propose(self, history: History, feasible: Field, rng: np.random.Generator) -> IntArray | None:
        """One uniform draw."""
        drawn = feasible.draw(1, rng)
        return drawn[0] if len(drawn) else None
