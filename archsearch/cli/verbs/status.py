"""`archsearch status`: what the ledgers say."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from archsearch.api.showing.printing import percent, print_json, short, table, tell
from archsearch.cli.options import Json, OptionalExperiment
from archsearch.cli.showing.summary import show
from archsearch.experiment import ExperimentFolder, Ledger, Trial, find, list_experiments
from archsearch.experiment.summary import summarise
from archsearch.reading.durations import spell_duration
from archsearch.reading.errors import InputError, refuse

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
        _print_top(folder)


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
        head = ("experiment", "state", "ended", "best", "params", "FLOPs", "time", "folder")
        print(table(head, [_line(summary) for summary in summaries], flush_left=(0, 1, 7)))


def _line(summary: dict[str, Any]) -> tuple[str, ...]:
    trials, best = summary["trials"], summary["best"] or {}
    ended = trials["finished"] + trials["stopped"] + trials["failed"]
    return (
        summary["experiment"],
        summary["state"],
        f"{ended}/{trials['planned'] or '?'}",
        percent(best.get("value")),
        short(best.get("params")),
        short(best.get("flops")),
        spell_duration(summary["seconds"]),
        summary["folder"],
    )


def _print_top(folder: ExperimentFolder) -> None:
    """Prints the best trials: finished ones first, then those that wait at a rung or were stopped there."""

    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.trials()
    order = ["finished", "paused", "stopped", "running", "waiting", "failed"]
    trials.sort(key=lambda trial: (order.index(trial.state), -(trial.value or 0.0), trial.number))
    if not trials:
        return
    head = ("trial", "state", "epochs", "accuracy", "params", "FLOPs", "reason")
    print("\n" + table(head, [_trial(trial) for trial in trials[:TOP]], flush_left=(0, 1, 6)))
    if len(trials) > TOP:
        print(f"and {len(trials) - TOP} more")


def _trial(trial: Trial) -> tuple[str, ...]:
    return (
        trial.id,
        trial.state.value,
        str(trial.epochs),
        percent(trial.value),
        short(trial.cost["params"]),
        short(trial.cost["flops"]),
        (trial.reason or "")[:60],
    )
