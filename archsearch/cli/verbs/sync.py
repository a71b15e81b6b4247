"""`archsearch sync`: MLflow is told what it has not heard of yet."""

from __future__ import annotations

from archsearch.api.sending import send
from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.dispatch import DONE, DRIVEN, FAILED
from archsearch.cli.options import Experiment, Json, TrackingUri
from archsearch.experiment import find


def sync(experiment: Experiment, *, tracking_uri: TrackingUri = None, as_json: Json = False) -> int:
    """Sends MLflow the events of a search that it missed while its server was down.

    Each point is stored once, however often this is called; so is the winner of a finished search, in MLflow's model
    registry. Exit code 0: everything was sent; 1: the server does not answer, or refuses; 4: the search is running
    and sends its events itself.
    """
    folder = find(experiment)
    result = send(folder, tracking_uri, tell)
    if result.error is not None:
        tell(f"archsearch: {result.error}")
    if as_json:
        print_json(result.document(folder))
    else:
        plural = "" if result.sent == 1 else "s"
        print(f"{folder.name}: {result.sent:,} event{plural} of the ledger sent to MLflow, {result.left:,} left")
        if result.model is not None:
            print(f"the winner is {result.model} in MLflow's model registry")
    if result.error is None:
        return DONE
    return DRIVEN if result.running else FAILED
