"""`archsearch sync`: MLflow is told what it has not heard of yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsearch.cli.dispatch import DONE, DRIVEN, FAILED, app_of, command
from archsearch.cli.options import Experiment, Json, TrackingUri
from archsearch.cli.showing.printing import print_json, tell

if TYPE_CHECKING:
    from archsearch.experiment import ExperimentFolder

app = app_of("sync")


@command(app)
def sync(experiment: Experiment, *, tracking_uri: TrackingUri = None, as_json: Json = False) -> int:
    """Sends MLflow what happened in a search while its server was away.

    Each point arrives once, however often this is called; so does the winner of a search that has ended, in MLflow's
    registry of models. Exit code 0: everything is there; 1: the server does not answer, or refuses; 4: the search is
    running, and its driver sends by itself.
    """
    from archsearch.cli.reporting import registered
    from archsearch.experiment import find
    from archsearch.tracking import BeingSent, TrackingError, backlog
    from archsearch.tracking import sync as send

    folder = find(experiment)
    before, code, said, model = backlog(folder, tracking_uri), DONE, "", None
    try:
        found = send(folder, tracking_uri)
        sent, left = found.sent, found.left
        if found.refused:
            code, said = FAILED, f"MLflow refuses {_count(len(found.refused), 'update')}: {found.refused[0]}"
        model = registered(folder, tracking_uri)
    except TrackingError as error:
        left = backlog(folder, tracking_uri)
        sent, code, said = max(0, before - left), FAILED, str(error)
        if isinstance(error, BeingSent) and folder.is_driven():
            sent, code, said = 0, DRIVEN, "the search is running: its driver sends what happens to MLflow by itself"
    _show(folder, sent=sent, left=left, model=model, said=said, as_json=as_json)
    return code


def _show(folder: ExperimentFolder, *, sent: int, left: int, model: str | None, said: str, as_json: bool) -> None:
    if said:
        tell(f"archsearch: {said}")
    if as_json:
        document: dict[str, Any] = {"experiment": folder.name, "folder": str(folder.path), "sent": sent, "left": left}
        print_json({**document, "model": model, "error": said or None})
        return
    print(f"{folder.name}: {_count(sent, 'event')} of the ledger sent to MLflow, {left:,} left")
    if model is not None:
        print(f"the winner is {model} in MLflow's registry of models")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
