"""MLflow is sent what it has not been told: a search's events, and the winner's entry in its registry of models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.suggested import command_of

PATIENCE = 60.0  # seconds for MLflow


@dataclass(frozen=True, kw_only=True)
class Sending:
    """What one call of `send` came to."""

    sent: int  # events of the ledger that MLflow took now
    left: int  # events that it has not taken
    model: str | None  # the winner's version in MLflow's registry; None where it is not there
    error: str | None  # why not everything is there; None where it is
    running: bool = False  # the search is driven now, and its driver sends by itself

    def document(self, folder: ExperimentFolder) -> dict[str, Any]:
        """What `archsearch sync --json` prints."""
        figures = asdict(self)
        del figures["running"]
        return {"experiment": folder.name, "folder": str(folder.path), **figures}


def send(
    folder: ExperimentFolder, tracking_uri: str | None, tell: Callable[[str], object], *, registers: bool = True
) -> Sending:
    """Sends MLflow what it has not been told, each event once however often this is called; with `registers` the
    registry takes the winner of a search that has ended. That the server does not answer or refuses is in `error`.
    Raises InputError for an address of a store that cannot be used."""
    from archsearch.tracking import BeingSent, TrackingError, backlog, sync

    tell_copy(folder, tracking_uri, tell)
    before = backlog(folder, tracking_uri)
    try:
        result = sync(folder, tracking_uri)
        model = registered(folder, tracking_uri, tell) if registers else None
    except TrackingError as error:
        left = backlog(folder, tracking_uri)
        if isinstance(error, BeingSent) and folder.is_driven():
            problem = "the search is running and sends its events to MLflow itself"
            return Sending(sent=0, left=left, model=None, error=problem, running=True)
        return Sending(sent=max(0, before - left), left=left, model=None, error=str(error))
    refusal = None
    if refused := result.refused:
        refusal = f"MLflow refuses {len(refused):,} update{'' if len(refused) == 1 else 's'}: {refused[0]}"
    return Sending(sent=result.sent, left=result.remaining, model=model, error=refusal)


def send_results(folder: ExperimentFolder, tracking_uri: str | None, tell: Callable[[str], object], what: str) -> None:
    """Has MLflow, where it has the search, take what was made after it, as far as it does so in `PATIENCE` seconds;
    tells what it lacks then. While the search is driven its driver sends that at its end."""
    from archsearch.tracking import drain, resolve_tracking_uri, start_follower

    if folder.is_driven() or not folder.outbox.is_file():
        return
    tell(f"sending {what} to MLflow")
    try:
        drain(start_follower(folder, resolve_tracking_uri(tracking_uri)), timeout=PATIENCE)
    except OSError as error:
        tell(f"archsearch: MLflow was not updated: {error}")
    tell_backlog(folder, tracking_uri, tell)


def tell_copy(folder: ExperimentFolder, tracking_uri: str | None, tell: Callable[[str], object]) -> None:
    """Tells, before MLflow is told for the first time, that the folder is a copy of another that still stands."""
    from archsearch.tracking import copied_from

    if (original := copied_from(folder, tracking_uri)) is not None:
        tell(f"note: this is a copy of {original}, which still exists; MLflow treats it as a separate search")


def tell_backlog(folder: ExperimentFolder, tracking_uri: str | None, tell: Callable[[str], object]) -> None:
    """Tells how many events MLflow has not received, and the command that sends them; nothing where it has all."""
    from archsearch.tracking import backlog, without_password

    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.total
    behind = 0
    with suppress(OSError):  # on a full disk nobody can tell, and something else was said
        behind = backlog(folder, tracking_uri) if trials else 0
    if behind:
        uri = ["--tracking-uri", without_password(tracking_uri)] if tracking_uri else []
        tell(f"MLflow is {behind:,} events behind; send them with:\n  {command_of(folder, 'sync', *uri)}")


def registered(folder: ExperimentFolder, tracking_uri: str | None, tell: Callable[[str], object]) -> str | None:
    """The winner's version in MLflow's registry, made if need be; None while the search is driven, and where that
    fails, which is told and is no error."""
    from archsearch.tracking import register

    if folder.is_driven():
        return None
    try:
        return register(folder, tracking_uri)
    except Exception as error:
        tell(f"archsearch: the winner is not in MLflow's registry: {str(error).splitlines()[0]:.200}")
        return None
