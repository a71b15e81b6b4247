"""`archsearch status --watch`: the live view of a search that another process drives, from its ledger alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from archsearch.api.showing.board import Board
from archsearch.api.showing.live import watching
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError, refuse

EVERY = 0.5  # seconds between two looks
CHANGES = frozenset({"epoch", "started", "paused", "promoted", "finished", "stopped", "failed", "requeued"})


def follow(folder: ExperimentFolder, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows the search on stderr until no driver holds it. Ctrl-C leaves it as it is. Raises InputError."""
    with Ledger.read(folder.ledger) as ledger, suppress(KeyboardInterrupt):
        board, last_event = _board(folder, ledger), ledger.last_event()
        with watching(board) as observer:
            observer.phase("searching" if folder.is_driven() else "nobody drives it")
            while True:
                driven = folder.is_driven()  # before the events: what a driver wrote last is seen too
                events = ledger.events(last_event)
                for event in events:
                    if event.kind in CHANGES and event.trial is not None:
                        metrics = _finite(event.data["metrics"]) if event.kind == "epoch" else None
                        observer.trial(ledger.trial(event.trial), metrics)
                last_event = events[-1].id if events else last_event
                if not driven:
                    return
                sleep(EVERY)


def _finite(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}


def _board(folder: ExperimentFolder, ledger: Ledger) -> Board:
    """A board with the ledger's trials, the last metrics of those that run, and the settings of space.yaml, whose data
    need not be here."""
    from archsearch.reading.yaml import read
    from archsearch.space.search_settings import SearchSettings
    from archsearch.space.settings import ResourceSettings, TrainingSettings
    from archsearch.space.trainings import read_trainings

    try:
        data = read_trainings(read(folder.space_yaml))[0].fixed.data
        search = SearchSettings.model_validate(data.get("search", {}), strict=False)
        epochs = TrainingSettings.model_validate(data.get("training", {}), strict=False).epochs
        gpus = ResourceSettings.model_validate(data.get("resources", {}), strict=False).gpu_share
    except InputError:
        raise
    except (AttributeError, ValueError) as error:
        hint = "archsearch check names each problem"
        raise refuse("it is no search space", hint=hint, file=str(folder.space_yaml)) from error
    board = Board.of(folder, ledger, search, epochs=epochs, gpus=gpus)
    for trial in board.running:
        if trained := ledger.epochs(trial.number):
            board.metrics[trial.number] = _finite(trained[-1].metrics)
    return board
