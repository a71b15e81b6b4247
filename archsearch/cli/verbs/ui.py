"""`archsearch ui`: MLflow's pages, or Optuna's, on this machine."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from archsearch.api.sending import send
from archsearch.api.showing.printing import tell
from archsearch.cli.dispatch import DONE, FAILED, Failure
from archsearch.cli.options import OptionalExperiment, TrackingUri
from archsearch.experiment import ExperimentFolder, find
from archsearch.reading.errors import refuse
from archsearch.search.running.interrupts import interruptible


def ui(
    experiment: OptionalExperiment = None,
    *,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 5000,
    host: Annotated[
        str, typer.Option(help="Address to listen on: a loopback address, since no password is asked for.")
    ] = "127.0.0.1",
    tracking_uri: TrackingUri = None,
    optuna: Annotated[
        bool, typer.Option("--optuna", help="Open Optuna's dashboard of the experiment instead.")
    ] = False,
) -> int:
    """Opens MLflow's web interface at an experiment, or at all of them, until Ctrl-C."""
    if optuna:
        return _optuna(experiment, host, port)
    from archsearch.tracking import page_of, refuse_unusable_address, serve

    folder = find(experiment) if experiment is not None else None
    refuse_unusable_address(host, port, tracking_uri)
    try:
        # Both, explicitly: a shell's background job begins with Ctrl-C ignored.
        with interruptible(signal.SIGINT, signal.SIGTERM):
            if folder is not None and page_of(folder, tracking_uri) is None:  # MLflow does not know its page yet
                _catch_up(folder, tracking_uri)
            tell("starting MLflow's pages, which takes some seconds; Ctrl-C ends them")
            try:
                view = serve(folder, tracking_uri, host, port)
            except RuntimeError as error:
                raise Failure(str(error)) from error
            with view:
                print(view.url, flush=True)
                if folder is not None:  # what is still missing appears in the pages
                    _catch_up(folder, tracking_uri, registers=True)
                return DONE if view.wait() == 0 else FAILED
    except KeyboardInterrupt:
        return DONE


def _optuna(experiment: str | None, host: str, port: int) -> int:
    from archsearch.tracking.ui import check_address

    if experiment is None:
        raise refuse("--optuna without an experiment", allowed="archsearch ui EXPERIMENT --optuna", file="EXPERIMENT")
    folder = find(experiment)
    check_address(host, port, "Optuna's dashboard")
    from archsearch.study.dashboard import address, dashboard

    try:
        with interruptible(signal.SIGINT, signal.SIGTERM), dashboard(folder, host, port) as server:
            print(address(server), flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    return DONE


def _catch_up(folder: ExperimentFolder, tracking_uri: str | None, *, registers: bool = False) -> None:
    """Sends MLflow what a killed driver has not sent, and with `registers` has its registry take the winner; nothing
    while the search is driven."""
    from archsearch.tracking import backlog

    if folder.is_driven():
        return
    if behind := backlog(folder, tracking_uri):
        tell(f"sending MLflow {behind:,} events that it does not have yet")
    if registers:
        tell("meanwhile MLflow gets what it lacks, and the winner is registered")
    sending = send(folder, tracking_uri, tell, registers=registers)
    if sending.error is not None:
        tell(f"archsearch: {sending.error}")
    elif registers:
        tell("MLflow has everything" + (f"; the winner is registered as {sending.model}" if sending.model else ""))
