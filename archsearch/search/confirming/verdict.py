"""What retraining over seeds says: a row a network, who wins, by how much. Pure; no file is read or written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from archsearch.analysis.intervals import (
    SIGNIFICANT,
    Interval,
    holm,
    over_folds,
    over_seeds,
    paired_difference,
)
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.search.confirming.contenders import Contender, Kind
from archsearch.search.confirming.runs import Outcome

Split = Literal["validation", "test"]


@dataclass(kw_only=True)
class Row:
    """A contender with its runs by seed: result.json's content, or the failure's text. Those of a cross-validation, if
    there is one, by number of the fold (from 1) and seed (`folds`, `failed_folds`).

    `seen` says whether its figures on the test split may be shown, which were then looked at for that purpose;
    `objective` is the metric that is compared.
    """

    contender: Contender
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    folds: dict[tuple[int, int], Mapping[str, Any]] = field(default_factory=dict)
    failed_folds: dict[tuple[int, int], str] = field(default_factory=dict)
    seen: bool = False
    objective: Objective = BY_ACCURACY

    def values(self, split: Split) -> dict[int, float]:
        """The metric's values by seed; none on the test split while it is unseen."""
        if split == "test" and not self.seen:
            return {}
        measured = {seed: result[split] or {} for seed, result in sorted(self.results.items())}
        name = self.objective.name  # test images may not define it
        return {seed: self.objective.of_result(figures) for seed, figures in measured.items() if name in figures}

    def keys(self, split: Split) -> dict[int, float]:
        """The same, turned so that more is better; on validation by fold where there is a cross-validation."""
        values = self.by_fold() if split == "validation" and self.folds else self.values(split)
        return {number: self.objective.key(value) for number, value in values.items()}

    def by_fold(self) -> dict[int, float]:
        """The metric's values on validation by number of the fold, each the mean over its seeds; none without a
        cross-validation."""
        values: dict[int, list[float]] = {}
        for (fold, _), result in sorted(self.folds.items()):
            values.setdefault(fold, []).append(self.objective.of_result(result["validation"]))
        return {fold: fmean(of_seeds) for fold, of_seeds in values.items()}

    def interval(self, split: Split) -> Interval | None:
        """The mean over the seeds with its interval, on validation that over the folds of a cross-validation;
        None without results."""
        if split == "validation" and self.folds:
            return over_folds(list(self.by_fold().values()))
        values = list(self.values(split).values())
        return over_seeds(values) if values else None

    def enter(self, outcome: Outcome) -> None:
        """Takes in how one of its runs ended."""
        seed, fold = outcome.run.seed, outcome.run.fold
        if outcome.result is None:
            failure = outcome.failed or "failed"
            if fold is None:
                self.failed[seed] = failure
            else:
                self.failed_folds[fold.number, seed] = failure
        elif fold is None:
            self.results[seed] = outcome.result
        else:
            self.folds[fold.number, seed] = outcome.result

    @property
    def best_seed(self) -> int:
        """The seed of the best value on validation; of equals the lowest. Its weights stand for the network."""
        values, key = self.values("validation"), self.objective.key
        return max(values, key=lambda seed: (key(values[seed]), -seed))


def enter(rows: Sequence[Row], outcomes: Iterable[Outcome]) -> None:
    """Takes in how runs end, as they do, each in all rows of its network."""
    for outcome in outcomes:
        for row in rows:
            if row.contender.key == outcome.run.contender.key:
                row.enter(outcome)


def failures(rows: Sequence[Row]) -> list[str]:
    """What failed, as sentences."""
    return [
        *(f"{row.contender.name}, seed {seed}: {text}" for row in rows for seed, text in sorted(row.failed.items())),
        *(
            f"{row.contender.name}, fold {fold}, seed {seed}: {text}"
            for row in rows
            for (fold, seed), text in sorted(row.failed_folds.items())
        ),
    ]


def how_chosen(rows: Sequence[Row], trials: int, seeds: Sequence[int], winner: Row, folds: int | None) -> str:
    """How the winner was chosen, in one sentence."""
    top = sum(row.contender.kind == "trial" for row in rows)
    times = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    times += f" on each of {folds} folds of the training and validation images" if folds else ""
    metric, highest = winner.objective.label, winner.objective.highest
    bias = "upwards" if winner.objective.sense == "max" else "downwards"
    return (
        f"Best of {trials} trials by validation {metric}: the top {top} retrained in full with "
        f"{times}, {winner.contender.name} chosen by its mean validation {metric} before test "
        f"{metric} was measured."
    ) + (f" As the {highest} of {top}, that mean and its interval are biased {bias}." if top > 1 else "")


def choose(rows: Sequence[Row], kind: Kind = "trial") -> Row | None:
    """The search's winner: of its own trials the one with the best mean on validation over the seeds, or the folds of a
    cross-validation. Or the best of the networks of another `kind`, by the same rule.

    Trials of which a seed failed come behind all others; of equals the cheaper, then the earlier one is taken. The test
    split has no part in it. None where no network of that kind was trained.
    """
    able = [row for row in rows if row.contender.kind == kind and row.interval("validation") is not None]
    return min(able, key=_order, default=None)


def ranked(rows: Sequence[Row]) -> list[Row]:
    """All rows in the order in which `choose` prefers; those without a result at the end."""
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    interval = row.interval("validation")
    score = float("inf") if interval is None else -row.objective.key(interval.mean)
    failed = bool(row.failed_folds if row.folds else row.failed)
    return (interval is None, failed, score, row.contender.cost["flops"], row.contender.trial or 0)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The lead of `row` over `reference`: by how much its accuracy (or other metric) is better than that one's, paired
    by seed (on validation by fold, where there is a cross-validation), on splits where both are known. `p` is the
    p-value of no lead on the decisive split, adjusted for all comparisons."""

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


def compared(row: Row, winner: Row, rows: Sequence[Row]) -> bool:
    """Whether the test split is looked at for a row: the winner and what it is compared with, the best alone of the
    pretrained networks, and the search's first beside random search's."""
    against_random = any(row.contender.kind == "random" for row in rows)
    compared_with = row.contender.kind in ("baseline", "random") or row is choose(rows, "pretrained")
    return row is winner or compared_with or (row is first_of(rows) and against_random)


def differences(rows: Sequence[Row], winner: Row, *, looks: int = 1) -> list[Difference]:
    """The winner's leads over the baselines and the best pretrained network; and over random search's first trial the
    lead of the search's first: that was chosen by the same rule, while the winner is the best of several after
    retraining.

    The p-values are adjusted by Holm for all of these, for the other trials that the winner was chosen among, and for
    `looks` at fewer seeds or as many.
    """
    pretrained = choose(rows, "pretrained")
    rivals = [row for row in rows if row.contender.kind == "baseline" or row is pretrained]
    leads = [_difference(winner, row) for row in rivals]
    leads += [_difference(first_of(rows), row) for row in rows if row.contender.kind == "random"]
    tested = [(lead, lead.decisive.p) for lead in leads if lead.decisive is not None and lead.decisive.p is not None]
    extra = comparisons(rows) - len(tested)
    adjusted = {id(lead): min(1.0, looks * p) for (lead, _), p in
                zip(tested, holm([p for _, p in tested], extra), strict=True)}  # fmt: skip
    return [replace(lead, p=adjusted.get(id(lead))) for lead in leads]


def comparisons(rows: Sequence[Row]) -> int:
    """How many comparisons with a chosen winner there are: with every other network."""
    return len(rows) - 1


def _difference(row: Row, reference: Row) -> Difference:
    def lead(split: Split) -> Interval | None:
        return paired_difference(row.keys(split), reference.keys(split))

    validation = lead("validation")
    if row.folds or reference.folds:
        validation = paired_difference(row.keys("validation"), reference.keys("validation"), over_folds)
    return Difference(row=row, reference=reference, validation=validation, test=lead("test"))


def row_document(row: Row, rank: int, *, winner: bool) -> dict[str, Any]:
    """The row as plain JSON values; `rank` from 1."""
    return {
        "rank": rank,
        "winner": winner,
        **row.contender.to_dict(),
        "validation": _plain(row.interval("validation")),
        "test": _plain(row.interval("test")),
        "runs": [
            *(
                {"fold": fold, **_run_document(seed, row.folds.get((fold, seed)), row.failed_folds.get((fold, seed)))}
                for fold, seed in sorted({*row.folds, *row.failed_folds})
            ),
            *(
                _run_document(seed, row.results.get(seed), row.failed.get(seed), seen=row.seen)
                for seed in sorted({*row.results, *row.failed})
            ),
        ],
    }


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else interval.to_dict()


def _run_document(
    seed: int, result: Mapping[str, Any] | None, failure: str | None, *, seen: bool = False
) -> dict[str, Any]:
    if result is None:
        return {"seed": seed, "failed": failure}
    return {
        "seed": seed,
        "failed": None,
        "folder": result["folder"],
        "validation": result["validation"],
        "test": result["test"] if seen else None,
        "epochs": result["epochs"],
        "seconds": result["seconds"],
        "device": result["device"],
        "precision": result["precision"],
    }
