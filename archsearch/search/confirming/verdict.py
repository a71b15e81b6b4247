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
        return mean_interval(values) if values else None

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
    known."""

    row: Row
    reference: Row
    validation: Interval | None
    test: Interval | None

    @property
    def told_apart(self) -> bool:
        """Whether the interval on the test split (on validation, where test is unseen) leaves zero out."""
        decisive = self.test or self.validation
        return decisive is not None and decisive.excludes_zero

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "of": self.row.contender.name,
            "over": self.reference.contender.name,
            "validation": _plain(self.validation),
            "test": _plain(self.test),
            "told_apart": self.told_apart,
        }


def differences(rows: Sequence[Row], winner: Row) -> list[Difference]:
    """The winner's leads over random search's best and over each baseline. Where the winner is not the trial that the
    search itself put first, that one's lead over random search's first as well: like compared with like."""
    references = [row for row in rows if row.contender.kind != "trial"]
    leads = [_difference(winner, reference) for reference in references]
    first = next(row for row in rows if row.contender.kind == "trial")
    if first is not winner:
        leads += [_difference(first, reference) for reference in references if reference.contender.kind == "random"]
    return leads


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
