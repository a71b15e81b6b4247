"""How sure the result is: how the winner was picked, and the networks that `archsearch confirm` retrained."""

from __future__ import annotations

from archsearch.analysis.report.charts import NOTHING
from archsearch.analysis.report.figures import Confirmation, ConfirmedRow, Difference, Document, MeanInterval
from archsearch.analysis.report.html import figure, legend, paragraph, section, table
from archsearch.analysis.report.parallel import confirmed as intervals
from archsearch.analysis.report.tradeoff import amount
from archsearch.analysis.svg import clean
from archsearch.experiment.confirmed import FEWEST_SEEDS
from archsearch.experiment.objective import Objective

ADJUSTED = "p: Student's t on the test split, adjusted for all comparisons (Holm); significant below 0.05."
TITLE = "How sure is the result?"


def certainty(report: Document) -> str:
    """The section on how the winner was picked and how far its value can be trusted."""
    confirmed = report["confirmed"]
    parts = [paragraph(report["picked"])]
    if confirmed is None:
        return section("sure", TITLE, *parts, paragraph(_of_one_training(report)))
    if confirmed["chosen"] != report["picked"]:
        parts.append(paragraph(confirmed["chosen"]))
    return section("sure", TITLE, *parts, *_retrained(confirmed, Objective.of(report)))


def _of_one_training(report: Document) -> str:
    """What the interval of a winner that was trained once says, and what it does not."""
    winner = report["winner"]
    if winner is None or winner["low"] is None:
        return ""
    objective = Objective.of(report)
    interval, metric = (
        f"{objective.text(winner['low'], 1)} to {objective.text(winner['high'] or 0.0, 1)}",
        objective.label,
    )
    return (
        f"The 95 % interval of its validation {metric}, {interval}, comes from {winner['of']} alone: another seed "
        f"moves the {metric} too, and the best of many trials looks better than it is."
    )


def _retrained(confirmed: Confirmation, objective: Objective) -> list[str]:
    folds = confirmed["folds"]
    repeated = "folds" if folds else "seeds"
    rows, wins = [], []
    for i, row in enumerate(confirmed["rows"]):
        wins += [i] if row["winner"] else []
        seeds = row["validation"]["n"] if row["validation"] else 0
        costs = amount("flops", row["flops"]), amount("params", row["params"])
        rows.append((row["name"], *spreads(row, objective), str(seeds), *costs, row["note"]))
    leads = [
        (d["of"], d["over"], *spreads(d, objective, sign="+"),
         NOTHING if (p := d.get("p")) is None else f"{p:.2g}", "yes" if d["told_apart"] else "no")
        for d in confirmed["differences"] or ()
    ]  # fmt: skip
    lead = ""
    if leads:
        as_table = table(("of", "over", "validation", "test", "adjusted p", "significant"), leads, left=(0, 1))
        paired = "by seed, on validation by fold" if folds else "by seed"
        unit = "percentage points" if objective.percent else objective.label
        above = "" if objective.sense == "max" else f" (above 0: a lower {objective.label})"
        lead = f"<h3>Leads, paired {paired}, in {unit}{above}</h3>{as_table}{paragraph(ADJUSTED, 'note')}"
    caption = f"A line is a 95 % interval over seeds (Student's t), of {FEWEST_SEEDS} seeds or more. "
    if folds:
        caption += f"On validation it is over {folds} folds, corrected for the training images that they share "
        caption += "(Nadeau & Bengio 2003). "
    caption += f"Test {objective.label} is measured for the winner and the networks that are compared."
    return [
        f"<h3>Retrained over new seeds: {clean(confirmed['winner'])}</h3>",
        figure(intervals(confirmed["rows"], objective), caption, legend(("seen", "validation"), ("tested", "test"))),
        table(
            ("network", "validation", "test", repeated, "FLOPs", "parameters", ""),
            rows,
            wins=wins,
            wide=(6,),
        ),
        lead,
        *(paragraph(f"Note: {note}.", "note") for note in confirmed["notes"] or ()),
    ]


def spreads(row: ConfirmedRow | Difference, objective: Objective, *, sign: str = "") -> tuple[str, str]:
    """The means on validation and on test, each with half of its interval, such as `93.00 ± 1.00 %`; of few seeds each
    one's value. With a `sign`, differences, such as `+3.00 ± 1.00`."""
    unit = "" if sign else objective.unit

    def spread(interval: MeanInterval | None) -> str:
        if interval is None:
            return NOTHING
        if interval["half"] is None:
            values = interval.get("values") or [interval["mean"]]
            return ", ".join(objective.number(value, sign) for value in values) + unit
        return f"{objective.number(interval['mean'], sign)} ± {objective.number(interval['half'])}{unit}"

    return spread(row["validation"]), spread(row["test"])
