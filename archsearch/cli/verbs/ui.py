"""`archsearch ui`: MLflow's pages on this machine."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from archsearch.api.reporting import registered
from archsearch.api.showing.printing import tell
from archsearch.cli.dispatch import DONE, FAILED, Failure
from archsearch.cli.options import OptionalExperiment, TrackingUri
from archsearch.experiment import ExperimentFolder, find
from archsearch.search.running.interrupts import interruptible


def ui(
    experiment: OptionalExperiment = None,
    *,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where it listens.")] = 5000,
    host: Annotated[str, typer.Option(help="A loopback address: MLflow asks nobody for a password.")] = "127.0.0.1",
    tracking_uri: TrackingUri = None,
) -> int:
    """Opens MLflow's pages at an experiment, or at all of them, until Ctrl-C."""
    from archsearch.tracking import serve

    folder = find(experiment) if experiment is not None else None
    try:
        # Both, explicitly: a shell's background job begins with Ctrl-C ignored.
        with interruptible(signal.SIGINT, signal.SIGTERM):
            if folder is not None:
                _catch_up(folder, tracking_uri)
            tell("starting MLflow (about 15 s); Ctrl-C ends it")
            try:
                view = serve(folder, tracking_uri, host, port)
            except RuntimeError as error:
                raise Failure(str(error)) from error
            with view:
                print(view.url, flush=True)
                return DONE if view.wait() == 0 else FAILED
    except KeyboardInterrupt:
        return DONE


def _catch_up(folder: ExperimentFolder, tracking_uri: str | None) -> None:
    """Sends MLflow what a killed driver has not sent; nothing while the search is driven."""
    from archsearch.tracking import TrackingError, sync

    if folder.is_driven():
        return
    tell("bringing MLflow up to date with the ledger")
    try:
        sync(folder, tracking_uri)
        registered(folder, tracking_uri)
    except TrackingError as error:
        tell(f"archsearch: {error}")
