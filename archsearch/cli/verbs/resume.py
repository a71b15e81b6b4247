"""`archsearch resume`: goes on where a search was interrupted."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.api.showing.printing import tell
from archsearch.cli.dispatch import DONE
from archsearch.cli.options import Address, AllowSampler, AllowSource, Experiment, Json, Root, RuntimeEnv, TrackingUri
from archsearch.cli.showing.summary import show
from archsearch.experiment import find
from archsearch.experiment.suggested import command_of
from archsearch.experiment.summary import summarise


def resume(
    experiment: Experiment,
    *,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_000_000, help="Total number of trials, to extend the search; works for a finished search too."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Continue although space.yaml was changed; the ledger records the difference."),
    ] = False,
    root: Root = None,
    allow_sampler: AllowSampler = None,
    allow_source: AllowSource = None,
    address: Address = None,
    runtime_env: RuntimeEnv = False,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> int:
    """Continues a search after Ctrl-C, a crash or a power cut, or extends a finished one with more --trials."""
    from archsearch.api.searching import go_on
    from archsearch.cli.driving import drive_and_show
    from archsearch.search.proposing.samplers.registry import allow
    from archsearch.sources.own import allow as allow_sources

    allow(allow_sampler or ())
    allow_sources(allow_source or ())
    folder = find(experiment)
    search = go_on(
        folder,
        trials=trials,
        force=force,
        root=root,
        address=address,
        runtime_env=runtime_env,
        tracking_uri=tracking_uri,
        tell=tell,
    )
    if search is not None:
        return drive_and_show(search, as_json=as_json)
    summary = summarise(folder)
    tell(
        f"archsearch: {summary['experiment']} is finished; to add trials, for N in total:\n"
        f"  {command_of(folder, 'resume', '--trials', 'N')}"
    )
    show(summary, as_json=as_json)
    return DONE
