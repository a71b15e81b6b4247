"""`archsearch status --watch`: the live view of a search that another process drives, from its ledger alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from archsearch.cli.showing.board import Board
from archsearch.cli.showing.live import watching
from archsearch.experiment import Event, ExperimentFolder, Ledger

EVERY = 0.5  # seconds between two looks
CHANGES = frozenset({"started", "paused", "promoted", "finished", "stopped", "failed", "requeued"})


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
                    if event.kind == "epoch" and event.trial is not None:
                        observer.trial(ledger.trial(event.trial), _finite(event))
                    elif event.kind in CHANGES and event.trial is not None:
                        observer.trial(ledger.trial(event.trial), None)
                last_event = events[-1].id if events else last_event
                if not driven:
                    return
                sleep(EVERY)


def _finite(event: Event) -> dict[str, float]:
    return {name: value for name, value in event.data["metrics"].items() if value is not None}


def _board(folder: ExperimentFolder, ledger: Ledger) -> Board:
    """A board with the ledger's trials and the settings of space.yaml."""
    from archsearch.reading.yaml import read
    from archsearch.space.search_settings import SearchSettings
    from archsearch.space.settings import ResourceSettings, TrainingSettings
    from archsearch.space.trainings import read_trainings

    data = read_trainings(read(folder.space_yaml))[0].fixed.data
    search = SearchSettings.model_validate(data.get("search", {}), strict=False)
    wall_time = None if search.wall_time is None else max(0.0, search.wall_time - ledger.driven_seconds())
    board = Board(
        name=str(ledger.meta.get("name", folder.name)),
        planned=search.trials,
        epochs=TrainingSettings.model_validate(data.get("training", {}), strict=False).epochs,
        wall_time=wall_time,
        gpus=ResourceSettings.model_validate(data.get("resources", {}), strict=False).gpu_share,
    )
    board.restore(ledger.trials())
    for trial in board.running:
        metrics = [epoch.metrics for epoch in ledger.epochs(trial.number)]
        if metrics:
            board.metrics[trial.number] = {name: value for name, value in metrics[-1].items() if value is not None}
    return board
