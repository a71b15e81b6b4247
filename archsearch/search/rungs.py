"""Asynchronous successive halving (ASHA, Li et al. 2018, arXiv:1810.05934), the stopping variant.

Pure bookkeeping: the ledger's epochs, reported again in their order, bring the same rungs back.
"""

from __future__ import annotations

import math


class Rungs:
    """Who goes on. Rungs lie at grace, grace * reduction, grace * reduction^2, ... epochs.

    A trial that reaches a rung goes on while it is among the best ceil(n / reduction) of the n trials
    that were there so far, itself included; so the first one always does.
    """

    def __init__(self, *, grace: int, reduction: int, epochs: int) -> None:
        self.reduction = reduction
        self.levels = tuple(grace * reduction**k for k in range(64) if grace * reduction**k < epochs)
        self._scores: dict[int, dict[int, float]] = {level: {} for level in self.levels}

    def goes_on(self, trial: int, epoch: int, score: float) -> bool:
        """Records a score (higher is better) and decides. Reporting the same trial again replaces its score."""
        rung = self._scores.get(epoch)
        if rung is None:
            return True
        rung[trial] = score
        better = sum(other > score for other in rung.values())
        return better < math.ceil(len(rung) / self.reduction)

    def sizes(self) -> dict[int, int]:
        """How many trials reached each rung."""
        return {level: len(rung) for level, rung in self._scores.items()}
