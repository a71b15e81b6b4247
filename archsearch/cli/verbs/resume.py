"""`archsearch resume`: goes on where a search was interrupted."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from archsearch.cli.dispatch import DONE
from archsearch.cli.options import Address, Experiment, Json, Root, RuntimeEnv, TrackingUri
from archsearch.cli.showing.printing import tell
from archsearch.cli.showing.summary import show
from archsearch.experiment import find
from archsearch.experiment.summary import summarise


def resume(
    experiment: Experiment,
    *,
    trials: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Trials in all, more than before: a finished search goes on too."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Though its space.yaml was changed; the ledger notes the difference.")
    ] = False,
    root: Root = None,
    address: Address = None,
    runtime_env: RuntimeEnv = False,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> int:
    """Goes on with a search: after Ctrl-C, a crash or a power cut. One that is finished goes on with more --trials."""
    from archsearch.cli.driving import drive_and_show
    from archsearch.search.agreement import trials_in_file
    from archsearch.search.running.address import refuse_if_unusable
    from archsearch.search.session import Session
    from archsearch.space.loading import load_space
    from archsearch.space.overrides import root_overrides

    folder = find(experiment)
    summary = summarise(folder)
    counts = summary["trials"]
    if summary["state"] == "finished" and trials is None and (trials_in_file(folder) or 0) <= (counts["planned"] or 0):
        tell(
            f"archsearch: {summary['experiment']} is finished; more trials, N in all, begin with\n"
            f"  archsearch resume {shlex.quote(folder.argument)} --trials N"
        )
        show(summary, as_json=as_json)
        return DONE
    refuse_if_unusable(address)
    overrides = [f"search.trials={trials}"] if trials is not None else []
    space = load_space(folder.space_yaml, [*root_overrides(root), *overrides])
    if summary["state"] == "finished" and (space.search.epochs is not None or space.search.wall_time is not None):
        tell("note: search.epochs and search.wall_time hold as before, for all sessions together")
    session = Session(
        folder=folder,
        address=address,
        runtime_env=runtime_env,
        tracking_uri=tracking_uri,
        force=force,
        root=root,
        trials=trials,
    )
    return drive_and_show(space, session, as_json=as_json)
