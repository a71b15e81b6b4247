"""`archsearch status --watch`: the live view of a search that another process drives, from its ledger alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from archsearch.api.showing.board import Board
from archsearch.api.showing.live import watching
from archsearch.experiment import Event, ExperimentFolder, Ledger, Trial, TrialState
from archsearch.experiment.suggested import command
from archsearch.reading.errors import InputError, refuse
from archsearch.space.placement import PLACED

EVERY = 0.5  # seconds between two looks
AT_ONCE = 10_000  # events
TOLD = frozenset({"epoch", "started", "requeued", "paused", "finished", "stopped", "failed"})  # of which a driver tells
CHANGES = TOLD | {"proposed", "promoted"}
NEW: Mapping[str, Any] = {"epochs": 0, "attempts": 0, "rung": 0, "started": None, "ended": None}
Metrics = Mapping[str, float]


def follow(folder: ExperimentFolder, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows the search on stderr until no driver holds it, as `run` shows it. Ctrl-C leaves it as it is. Raises
    InputError."""
    with Ledger.read(folder.ledger) as ledger, suppress(KeyboardInterrupt):
        driven = folder.is_driven()
        board, session = _board(folder, ledger), ledger.last_session() if driven else None
        history = _History(ledger)
        if session is not None and session.kind == "began":  # what happened in it is told anew, with its times
            board.begin(session.time, before=ledger.driven_seconds(before=session.id))
            board.restore(history.until(session.id))
        else:
            history.until(ledger.last_event())
        for trial, metrics, moment in history.news(board):
            board.trial(trial, metrics, moment)
        with watching(board) as view:
            view.phase("searching" if driven else "nobody drives it")
            while True:
                driven = folder.is_driven()  # before the events: what a driver wrote last is seen too
                for trial, metrics, moment in history.news(board):
                    view.trial(trial, metrics, moment)
                if not driven:
                    return
                sleep(EVERY)


class _History:
    """The ledger's events as a driver tells of them: each trial as it was when its event happened."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._last_event = ledger, 0
        self._trials: dict[int, Trial] = {}

    def until(self, event: int) -> Iterable[Trial]:
        """Takes in the events up to this one; the trials as they were after it."""
        for _ in self._taken_in(event):
            pass
        return self._trials.values()

    def news(self, board: Board) -> Iterator[tuple[Trial, Metrics | None, float]]:
        """(trial, metrics of an epoch, time) of each event since then; the board is told of a session that has begun or
        ended meanwhile."""
        for event in self._taken_in(self._ledger.last_event()):
            if event.kind == "began":
                board.begin(event.time)
            elif event.kind == "ended":
                board.ended = event.time
            elif event.kind == PLACED:
                board.gpus = event.data["gpus_per_trial"]
            elif event.kind in TOLD and event.trial is not None:
                metrics = event.data["metrics"] if event.kind == "epoch" else None
                finite = None if metrics is None else {name: v for name, v in metrics.items() if v is not None}
                yield self._trials[event.trial], finite, event.time

    def _taken_in(self, until: int) -> Iterator[Event]:
        while self._last_event < until:
            for event in self._ledger.events(self._last_event, min(AT_ONCE, until - self._last_event)):
                self._last_event = event.id
                if event.trial is not None and event.kind in CHANGES:
                    before = self._trials.get(event.trial) or self._ledger.trial(event.trial)
                    self._trials[event.trial] = _after(before, event)
                yield event


def _after(trial: Trial, event: Event) -> Trial:
    """The trial after an event that changes it."""
    data = event.data
    match event.kind:
        case "proposed":
            return replace(trial, state=TrialState.WAITING, value=None, reason=None, **NEW)
        case "started":
            epochs = min(trial.epochs, data["resume_epoch"])
            started = event.time if trial.started is None else trial.started
            state, attempts = TrialState.RUNNING, trial.attempts + 1
            return replace(trial, state=state, attempts=attempts, epochs=epochs, started=started)
        case "epoch":
            return replace(trial, epochs=data["epoch"])
        case "requeued":
            return replace(trial, state=TrialState.WAITING, reason=data["reason"])
        case "paused":
            return replace(trial, state=TrialState.PAUSED, value=data["value"], rung=data["rung"], reason=None)
        case "promoted":
            return replace(trial, state=TrialState.WAITING, value=None)
        case _:
            state = TrialState(event.kind)
            return replace(trial, state=state, value=data["value"], reason=data["reason"], ended=event.time)


def _board(folder: ExperimentFolder, ledger: Ledger) -> Board:
    """A board with the ledger's trials, and the settings of space.yaml, whose data need not be here."""
    from archsearch.reading.yaml import read
    from archsearch.space.search_settings import SearchSettings
    from archsearch.space.settings import ResourceSettings, TrainingSettings
    from archsearch.space.trainings import read_trainings

    try:
        data = read_trainings(read(folder.space_yaml))[0].fixed.data
        search = SearchSettings.model_validate(data.get("search", {}), strict=False)
        epochs = TrainingSettings.model_validate(data.get("training", {}), strict=False).epochs
        resources = ResourceSettings.model_validate(data.get("resources", {}), strict=False)
    except InputError:
        raise
    except (AttributeError, ValueError) as error:
        hint = f"`{command('check', folder.space_yaml)}` names each problem"
        raise refuse("it is no search space", hint=hint, file=str(folder.space_yaml)) from error
    return Board.of(folder, ledger, search, resources, epochs=epochs)
