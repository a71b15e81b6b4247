"""What retraining over seeds says: a row a network, who wins, by how much. Pure; no file is read or written here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from archsearch.analysis.intervals import (
    POWER,
    SIGNIFICANT,
    Interval,
    detectable,
    enough,
    holm,
    over_seeds,
    paired_difference,
)
from archsearch.experiment.confirmed import FEWEST_SEEDS
from archsearch.search.confirming.contenders import Contender

Split = Literal["validation", "test"]
NEAR = 4  # times the seeds: with no more than so many a lead is near enough to be detected


@dataclass(kw_only=True)
class Row:
    """A contender with its runs by seed: result.json's content, or the failure's text.

    `seen` says whether its figures on the test split may be shown, which were then looked at for that purpose.
    """

    contender: Contender
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    seen: bool = False

    def accuracies(self, split: Split) -> dict[int, float]:
        """Accuracies by seed; none on the test split while it is unseen."""
        if split == "test" and not self.seen:
            return {}
        return {seed: result[split]["accuracy"] for seed, result in sorted(self.results.items()) if result[split]}

    def interval(self, split: Split) -> Interval | None:
        """The mean accuracy over the seeds with its interval; None without results."""
        values = list(self.accuracies(split).values())
        return over_seeds(values) if values else None

    @property
    def best_seed(self) -> int:
        """The seed of the highest validation accuracy; of equals the lowest. Its weights stand for the network."""
        accuracies = self.accuracies("validation")
        return max(accuracies, key=lambda seed: (accuracies[seed], -seed))


def choose(rows: Sequence[Row]) -> Row | None:
    """The search's winner: of its own trials the one with the highest mean validation accuracy over the seeds.

    Trials of which a seed failed come behind all others; of equals the cheaper, then the earlier one is taken. The test
    split has no part in it. None where no trial was trained.
    """
    able = [row for row in rows if row.contender.kind == "trial" and row.results]
    return min(able, key=_order, default=None)


def ranked(rows: Sequence[Row]) -> list[Row]:
    """All rows in the order in which `choose` prefers; those without a result at the end."""
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    interval = row.interval("validation")
    score = float("inf") if interval is None else -interval.mean
    return (interval is None, bool(row.failed), score, row.contender.cost["flops"], row.contender.trial or 0)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The lead of `row` over `reference`: its accuracy minus that one's, paired by seed, on splits where both are
    known. `p` is the p-value of no lead on the decisive split, adjusted for all comparisons."""

    row: Row
    reference: Row
    validation: Interval | None
    test: Interval | None
    p: float | None = None

    @property
    def decisive(self) -> Interval | None:
        """The lead on the test split; on validation, where test is unseen."""
        return self.test or self.validation

    @property
    def told_apart(self) -> bool:
        """Whether the lead is significant."""
        return self.p is not None and self.p < SIGNIFICANT

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "of": self.row.contender.name,
            "over": self.reference.contender.name,
            "validation": _plain(self.validation),
            "test": _plain(self.test),
            "p": self.p,
            "told_apart": self.told_apart,
        }


def first_of(rows: Sequence[Row]) -> Row:
    """The trial that the search itself put first."""
    return next(row for row in rows if row.contender.kind == "trial")


def differences(rows: Sequence[Row], winner: Row, *, looks: int = 1) -> list[Difference]:
    """The winner's leads over the baselines; and over random search's first trial the lead of the search's first: that
    was chosen by the same rule, while the winner is the best of several after retraining.

    The p-values are adjusted by Holm for all of these, for the other trials that the winner was chosen among, and for
    `looks` at fewer seeds or as many.
    """
    leads = [_difference(winner, row) for row in rows if row.contender.kind == "baseline"]
    leads += [_difference(first_of(rows), row) for row in rows if row.contender.kind == "random"]
    tested = [(lead, lead.decisive.p) for lead in leads if lead.decisive is not None and lead.decisive.p is not None]
    extra = comparisons(rows) - len(tested)
    adjusted = {id(lead): min(1.0, looks * p) for (lead, _), p in
                zip(tested, holm([p for _, p in tested], extra), strict=True)}  # fmt: skip
    return [replace(lead, p=adjusted.get(id(lead))) for lead in leads]


def comparisons(rows: Sequence[Row]) -> int:
    """How many comparisons with a chosen winner there are: with every other network."""
    return len(rows) - 1


def power(leads: Sequence[Difference], rows: Sequence[Row], *, looks: int = 1) -> dict[str, Any] | None:
    """What the seeds can tell, as plain JSON values: the `lead` (of accuracies from 0 to 1) that so many `seeds` detect
    with a `probability` of 80 %, given the number of `comparisons` and the spread of the leads that were measured
    (`deviation`); and with how many (`more_seeds`) a lead that is not significant yet would be. None without spread."""
    measured = [(lead, lead.decisive) for lead in leads if lead.decisive is not None and lead.decisive.deviation]
    if not measured:
        return None
    n, count = min(interval.n for _, interval in measured), comparisons(rows) * looks
    deviation = math.sqrt(sum((interval.deviation or 0.0) ** 2 for _, interval in measured) / len(measured))
    level = SIGNIFICANT / count
    sought = [enough(interval.mean / deviation, level, NEAR * n) for lead, interval in measured if not lead.told_apart]
    more = min((max(seeds, n + 2) for seeds in sought if seeds is not None), default=None)
    return {"seeds": n, "comparisons": count, "probability": POWER, "deviation": deviation,
            "lead": detectable(n, level) * deviation, "more_seeds": more}  # fmt: skip


def precision(detects: Mapping[str, Any] | None, seeds: int) -> list[str]:
    """A sentence on which leads so many seeds detect (`power`), and whether more of them would pay; none where nothing
    was compared."""
    if seeds < FEWEST_SEEDS:
        return [
            f"with fewer than {FEWEST_SEEDS} seeds there are no intervals, and no lead is significant; "
            f"--seeds {FEWEST_SEEDS} or more continues from these trainings"
        ]
    if detects is None:
        return []
    count, more = detects["comparisons"], detects["more_seeds"]
    sentence = (
        f"{detects['seeds']} seeds detect a lead of {100 * detects['lead']:.2f} points in {detects['probability']:.0%} "
        f"of cases, at the spread measured here and with {count} comparison{'s' if count != 1 else ''}"
    )
    if more is not None:
        sentence += (
            f"; --seeds {more} would detect a lead as large as one measured here, and continues from these trainings"
        )
    return [sentence]


def _difference(row: Row, reference: Row) -> Difference:
    def lead(split: Split) -> Interval | None:
        return paired_difference(row.accuracies(split), reference.accuracies(split))

    return Difference(row=row, reference=reference, validation=lead("validation"), test=lead("test"))


def row_document(row: Row, rank: int, *, winner: bool) -> dict[str, Any]:
    """The row as plain JSON values; `rank` from 1."""
    return {
        "rank": rank,
        "winner": winner,
        **row.contender.to_dict(),
        "validation": _plain(row.interval("validation")),
        "test": _plain(row.interval("test")),
        "runs": [_run_document(row, seed) for seed in sorted({*row.results, *row.failed})],
    }


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else interval.to_dict()


def _run_document(row: Row, seed: int) -> dict[str, Any]:
    result = row.results.get(seed)
    if result is None:
        return {"seed": seed, "failed": row.failed[seed]}
    return {
        "seed": seed,
        "failed": None,
        "folder": result["folder"],
        "validation": result["validation"],
        "test": result["test"] if row.seen else None,
        "epochs": result["epochs"],
        "seconds": result["seconds"],
        "device": result["device"],
        "precision": result["precision"],
    }
