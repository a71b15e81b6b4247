"""What a notebook shows of an experiment: a few lines of HTML that need nothing else, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from archsearch.api.showing.printing import score, short
from archsearch.experiment import Counts, Trial, TrialState
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.summary import looked_at
from archsearch.reading.durations import spell_duration

TOP = 5
CELL = "padding:.15em 1em .15em 0;text-align:left;background:none"
FRAME = "border-left:3px solid currentColor;padding-left:1em;color:inherit"


def experiment_card(summary: dict[str, Any], trials: Sequence[Trial]) -> str:
    """The experiment's state, its best trial and the finished trials that come next."""
    counts = summary["trials"]
    lines = [
        f"<b>{escape(summary['experiment'])}</b>: {escape(summary['state'])}",
        f"trials: {Counts.read(counts).text(counts['planned'])}; {spell_duration(summary['seconds'])}",
    ]
    if summary["reason"]:
        lines.append(f"reason: {escape(summary['reason'])}")
    objective = Objective.of(summary)
    if (best := summary["best"]) is not None and best["test_value"] is not None:
        looks = looked_at(best["test_looks"])
        lines.append(f"best {best['trial']}: {escape(objective.named(best['test_value']))} on test ({looks})")
    leader = summary["best_so_far"]
    if leader is not None and leader["state"] != "finished":
        epochs = f"epoch {leader['epochs']}"
        lines.append(
            f"best so far {leader['trial']}: {escape(objective.named(leader['value']))} on validation at {epochs}"
        )
    scored = [trial for trial in trials if trial.state is TrialState.FINISHED and trial.value is not None]
    leads = None if best is None else best["trial"]
    scored.sort(key=lambda trial: (trial.id != leads, -objective.key(trial.value or 0.0), trial.number))
    table = _table(scored[:TOP], objective) if scored else "<br>no trial has finished"
    folder = f"<small style='opacity:.7'>{escape(summary['folder'])}</small>"
    return f"<div style='{FRAME}'>{'<br>'.join(lines)}{table}{folder}</div>"


def _table(trials: Sequence[Trial], objective: Objective) -> str:
    validation = "validation" if objective.name == ACCURACY else f"validation {objective.label}"
    head = _cells("th", ("trial", validation, "params", "FLOPs", "epochs"))
    rows = []
    for trial in trials:
        costs = (short(trial.cost[name]) for name in ("params", "flops"))
        rows.append(_cells("td", (trial.id, score(objective, trial.value), *costs, str(trial.epochs))))
    return f"<table style='color:inherit;background:none'>{head}{''.join(rows)}</table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    cells = "".join(f"<{tag} style='{CELL}'>{escape(text)}</{tag}>" for text in texts)
    return f"<tr style='background:none'>{cells}</tr>"
