"""What retraining over seeds says: a row a network, who wins, by how much. Pure; no file is read or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from archsearch.analysis.intervals import Interval, mean_interval, paired_difference
from archsearch.search.confirming.contenders import Contender

Split = Literal["validation", "test"]


@dataclass(kw_only=True)
class Row:
    """A contender and what its runs came to: result.json's content, or why there is none, by seed.

    `seen` says whether its figures on the test split may be shown: they were looked at for that purpose.
    """

    contender: Contender
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    seen: bool = False

    def accuracies(self, split: Split) -> dict[int, float]:
        """By seed; none of the test split while it is unseen."""
        if split == "test" and not self.seen:
            return {}
        return {seed: result[split]["accuracy"] for seed, result in sorted(self.results.items()) if result[split]}

    def interval(self, split: Split) -> Interval | None:
        """Over the seeds; None where nothing is known."""
        values = list(self.accuracies(split).values())
        return mean_interval(values) if values else None

    @property
    def best_seed(self) -> int:
        """The seed of the highest validation accuracy; of equals the lowest. Its weights stand for the network."""
        found = self.accuracies("validation")
        return max(found, key=lambda seed: (found[seed], -seed))


def choose(rows: Sequence[Row]) -> Row | None:
    """The search's winner: of its own trials the one of the highest mean validation accuracy over the seeds.

    One of which a seed failed comes behind all that none did; of equals the cheaper, then the earlier one. The test
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
    """one - other, paired by seed, on each split where both are known."""

    one: Row
    other: Row
    validation: Interval | None
    test: Interval | None

    @property
    def told_apart(self) -> bool:
        """Whether the interval on test (on validation, where test is unseen) leaves zero out."""
        decisive = self.test or self.validation
        return decisive is not None and decisive.excludes_zero

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "of": self.one.contender.name,
            "over": self.other.contender.name,
            "validation": None if self.validation is None else self.validation.to_dict(),
            "test": None if self.test is None else self.test.to_dict(),
            "told_apart": self.told_apart,
        }


def differences(rows: Sequence[Row], winner: Row) -> list[Difference]:
    """The winner's lead over random's best and over each baseline; and like with like: the lead of the trial that
    the search itself put first over the one that random search put first, where the winner is another."""
    others = [row for row in rows if row.contender.kind != "trial"]
    found = [_difference(winner, other) for other in others]
    first = next(row for row in rows if row.contender.kind == "trial")
    if first is not winner:
        found += [_difference(first, other) for other in others if other.contender.kind == "random"]
    return found


def _difference(one: Row, other: Row) -> Difference:
    of: dict[Split, Interval | None] = {
        split: paired_difference(one.accuracies(split), other.accuracies(split)) for split in ("validation", "test")
    }
    return Difference(one=one, other=other, validation=of["validation"], test=of["test"])


def row_document(row: Row, rank: int, *, winner: bool) -> dict[str, Any]:
    """A row in JSON."""
    validation, test = row.interval("validation"), row.interval("test")
    return {
        "rank": rank,
        "winner": winner,
        **row.contender.to_dict(),
        "validation": None if validation is None else validation.to_dict(),
        "test": None if test is None else test.to_dict(),
        "runs": [_run_document(row, seed) for seed in sorted({*row.results, *row.failed})],
    }


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
