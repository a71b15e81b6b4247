"""`archsearch sync`: MLflow is told what it has not heard of yet."""

from __future__ import annotations

from archsearch.api.sending import send
from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.dispatch import DONE, DRIVEN, FAILED
from archsearch.cli.options import Experiment, Json, TrackingUri
from archsearch.experiment import find


def sync(experiment: Experiment, *, tracking_uri: TrackingUri = None, as_json: Json = False) -> int:
    """Sends MLflow what happened in a search while its server was away.

    Each point arrives once, however often this is called; so does the winner of a search that has ended, in MLflow's
    registry of models. Exit code 0: everything is there; 1: the server does not answer, or refuses; 4: the search is
    running, and its driver sends by itself.
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
            print(f"the winner is {result.model} in MLflow's registry of models")
    if result.error is None:
        return DONE
    return DRIVEN if result.running else FAILED
