"""`archsearch sync`: MLflow is told what it has not heard of yet."""

from __future__ import annotations

from archsearch.api.reporting import registered
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
    from archsearch.api.driving import tell_copy
    from archsearch.tracking import BeingSent, TrackingError, backlog
    from archsearch.tracking import sync as send

    folder = find(experiment)
    tell_copy(folder, tracking_uri, tell)
    before, code, problem, model = backlog(folder, tracking_uri), DONE, "", None
    try:
        result = send(folder, tracking_uri)
        sent, remaining = result.sent, result.remaining
        if result.refused:
            code, problem = FAILED, f"MLflow refuses {_count(len(result.refused), 'update')}: {result.refused[0]}"
        model = registered(folder, tracking_uri)
    except TrackingError as error:
        remaining = backlog(folder, tracking_uri)
        sent, code, problem = max(0, before - remaining), FAILED, str(error)
        if isinstance(error, BeingSent) and folder.is_driven():
            sent, code, problem = 0, DRIVEN, "the search is running: its driver sends what happens to MLflow by itself"
    if problem:
        tell(f"archsearch: {problem}")
    if as_json:
        document = {"experiment": folder.name, "folder": str(folder.path), "sent": sent, "left": remaining}
        print_json({**document, "model": model, "error": problem or None})
        return code
    print(f"{folder.name}: {_count(sent, 'event')} of the ledger sent to MLflow, {remaining:,} left")
    if model is not None:
        print(f"the winner is {model} in MLflow's registry of models")
    return code


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
