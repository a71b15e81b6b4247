"""`archsearch resume`: goes on where a search was interrupted."""

from __future__ import annotations

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
    force: Annotated[
        bool, typer.Option("--force", help="Though its space.yaml was changed; the ledger notes the difference.")
    ] = False,
    root: Root = None,
    address: Address = None,
    runtime_env: RuntimeEnv = False,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> int:
    """Goes on with a search: after Ctrl-C, a crash or a power cut. One that is finished stays as it is."""
    from archsearch.cli.driving import drive_and_show
    from archsearch.search.running.address import refuse_if_unusable
    from archsearch.search.session import Session
    from archsearch.space.loading import load_space
    from archsearch.space.overrides import root_overrides

    folder = find(experiment)
    summary = summarise(folder)
    if summary["state"] == "finished":
        tell(f"archsearch: {summary['experiment']} is finished; there is nothing to go on with")
        show(summary, as_json=as_json)
        return DONE
    refuse_if_unusable(address)
    space = load_space(folder.space_yaml, root_overrides(root))
    session = Session(
        folder=folder, address=address, runtime_env=runtime_env, tracking_uri=tracking_uri, force=force, root=root
    )
    return drive_and_show(space, session, as_json=as_json)
