"""What a person opens in MLflow besides numbers: a trial's config and drawing, and the search's own page."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from archsearch.analysis.drawing import draw
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.suggested import command_of
from archsearch.experiment.winner import Winner
from archsearch.reading.errors import InputError

DESCRIPTION = "mlflow.note.content"  # MLflow shows this tag, as Markdown, above a run
LONGEST = 5_000  # characters of a tag


def files_of(architecture: Mapping[str, Any]) -> dict[str, str]:
    """{name: text} of an architecture: architecture.yaml, which every command of archsearch reads, and drawing.svg."""
    import yaml

    settings = dict(architecture)
    files = {"architecture.yaml": yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110)}
    with suppress(InputError):  # of a network that this version does not know, the settings are there at least
        files["drawing.svg"] = draw(Architecture.from_dict(settings))
    return files


def description_of(folder: ExperimentFolder, ledger: Ledger, winner: Winner | None) -> str:
    """The search in Markdown: what it found, what that costs, and how to go on."""
    name = str(ledger.meta.get("name") or folder.name)
    lines = [f"# {name}", ""]
    if winner is None:
        return "\n".join([*lines, "No trial has finished yet."])
    cost, test = winner.trial.cost, winner.test
    tested = f", {winner.objective.text(test)} on the test split" if test is not None else ""
    tested += f" (means over {winner.seeds} seeds)" if winner.seeds > 1 else ""
    figures = [f"{cost[key]:,.0f} {unit}" for key, unit in FIGURES.items() if key in cost]
    lines += [
        f"**Best: {winner.trial.id}**, {winner.objective.named(winner.value)} on the validation split{tested}; "
        f"{', '.join(figures)}.",
        "",
        "Its curves, drawing (`drawing.svg`) and config (`architecture.yaml`) are in its own run, below this one."
        + (f" Its weights are of the training `{winner.of} {winner.trial.id}`." if winner.of != "search" else ""),
        "FLOPs are fvcore's total: one multiply-add counts as one.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {purpose} | `{command_of(folder, *command)}` |" for purpose, command in COMMANDS.items()),
    ]
    if folder.report.is_file():
        lines += ["", "The report is among this run's artifacts: `report.html`."]
    return "\n".join(lines)[:LONGEST]


FIGURES = {"params": "parameters", "flops": "FLOPs", "macs": "MACs"}
COMMANDS = {
    "the report": ("report",),
    "export it": ("export", "-o", "bundle"),
    "retrain the best over seeds": ("confirm",),
}
