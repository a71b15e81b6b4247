"""Which leads a number of seeds detects, and whether more of them would pay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.analysis.intervals import POWER, SIGNIFICANT, FoldInterval, detectable, enough
from archsearch.experiment.confirmed import FEWEST_SEEDS
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.search.confirming.verdict import Difference, Row, comparisons

NEAR = 4  # times the seeds: with no more than so many a lead is near enough to be detected


def power(leads: Sequence[Difference], rows: Sequence[Row], *, looks: int = 1) -> dict[str, Any] | None:
    """What the seeds can tell, as plain JSON values: the `lead` (in the metric's unit, of accuracies from 0 to 1) that
    so many `seeds` detect with a `probability` of 80 %, given the number of `comparisons` and the spread of the leads
    that were measured (`deviation`); and with how many (`more_seeds`) a lead that is not significant yet would be. None
    without spread."""
    measured = [
        (lead, lead.decisive) for lead in leads
        if lead.decisive is not None and lead.decisive.deviation and not isinstance(lead.decisive, FoldInterval)
    ]  # fmt: skip
    if not measured:
        return None
    n, count = min(interval.n for _, interval in measured), comparisons(rows) * looks
    deviation = math.sqrt(sum((interval.deviation or 0.0) ** 2 for _, interval in measured) / len(measured))
    level = SIGNIFICANT / count
    sought = [enough(interval.mean / deviation, level, NEAR * n) for lead, interval in measured if not lead.told_apart]
    more = min((max(seeds, n + 2) for seeds in sought if seeds is not None), default=None)
    return {"seeds": n, "comparisons": count, "probability": POWER, "deviation": deviation,
            "lead": detectable(n, level) * deviation, "more_seeds": more}  # fmt: skip


def precision(
    detects: Mapping[str, Any] | None, seeds: int, folds: int | None = None, objective: Objective = BY_ACCURACY
) -> list[str]:
    """A sentence on which leads so many seeds detect (`power`), and whether more of them would pay; none where nothing
    was compared."""
    if seeds < FEWEST_SEEDS:
        where = " on test" if folds else ""
        return [
            f"with fewer than {FEWEST_SEEDS} seeds there are no intervals{where}, and no lead is significant; "
            f"--seeds {FEWEST_SEEDS} or more continues from these trainings"
        ]
    if detects is None:
        return []
    count, more, lead = detects["comparisons"], detects["more_seeds"], objective.points(detects["lead"])
    sentence = (
        f"{detects['seeds']} seeds detect a lead of {lead} in {detects['probability']:.0%} "
        f"of cases, at the spread measured here and with {count} comparison{'s' if count != 1 else ''}"
    )
    if more is not None:
        sentence += (
            f"; --seeds {more} would detect a lead as large as one measured here, and continues from these trainings"
        )
    return [sentence]
