"""`archsearch status`: what the ledgers say."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from archsearch.api.showing.printing import columns, print_json, score, short, table, tell
from archsearch.cli.options import Json, OptionalExperiment
from archsearch.cli.showing.summary import show
from archsearch.experiment import Counts, ExperimentFolder, Ledger, Trial, find, list_experiments
from archsearch.experiment.objective import Objective
from archsearch.experiment.summary import summarise
from archsearch.reading.durations import spell_duration
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.escaping import in_one_line

TOP = 10


def status(
    experiment: OptionalExperiment = None,
    *,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Follow a running search with the live view of `run`, until it ends or Ctrl-C."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Lists the experiments in experiments/, or shows the progress of one, also while it runs."""

    if experiment is None:
        if watch:
            raise refuse("--watch without an experiment", allowed="the name of one, or its folder", file="EXPERIMENT")
        _list_all(as_json)
        return
    folder = find(experiment)
    if watch:
        from archsearch.cli.showing.following import follow

        follow(folder)
    summary = summarise(folder)
    show(summary, as_json=as_json)
    if not as_json:
        _print_top(folder, summary)


def _list_all(as_json: bool) -> None:

    summaries: list[dict[str, Any]] = []
    for folder in list_experiments():
        try:
            summaries.append(summarise(folder))
        except InputError as error:
            tell(str(error))
    if as_json:
        print_json(summaries)
    elif not summaries:
        print("no experiments in experiments/; archsearch run search_spaces/digits.yaml begins one")
    else:
        head = ("experiment", "state", "trials", "best", "params", "FLOPs", "time", "folder")
        print(table(head, [_line(summary) for summary in summaries], flush_left=(0, 1, 7), width=columns()))


def _line(summary: dict[str, Any]) -> tuple[str, ...]:
    trials, best = summary["trials"], summary["best"] or summary["best_so_far"] or {}
    objective, value = Objective.of(summary), best.get("value")
    return (
        summary["experiment"],
        summary["state"],
        f"{Counts.read(trials).settled}/{trials['planned'] or '?'}",
        "-" if value is None else objective.named(value),
        short(best.get("params")),
        short(best.get("flops")),
        spell_duration(summary["seconds"]),
        summary["folder"],
    )


def _print_top(folder: ExperimentFolder, summary: dict[str, Any]) -> None:
    """Prints the trials: the best first, then those that have finished, wait at a rung, run, were stopped or failed,
    each by its score."""
    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.trials()
        scores, objective = {score.trial.number: score.value for score in ledger.scores()}, ledger.objective
    leader = (summary["best"] or summary["best_so_far"] or {}).get("trial")
    worth = {number: objective.key(value) for number, value in scores.items()}
    order = ["finished", "paused", "running", "waiting", "stopped", "failed"]
    trials.sort(key=lambda t: (t.id != leader, order.index(t.state), -worth.get(t.number, 0.0), t.number))
    if not trials:
        return
    head = ("trial", "state", "epochs", objective.label, "params", "FLOPs", "reason")
    rows = [_trial(trial, score(objective, scores.get(trial.number))) for trial in trials[:TOP]]
    print("\n" + table(head, rows, flush_left=(0, 1, 6), width=columns()))
    if len(trials) > TOP:
        print(f"and {len(trials) - TOP} more")


def _trial(trial: Trial, score: str) -> tuple[str, ...]:
    return (
        trial.id,
        trial.state.label,
        str(trial.epochs),
        score,
        short(trial.cost["params"]),
        short(trial.cost["flops"]),
        in_one_line(trial.reason or "")[:60],
    )
