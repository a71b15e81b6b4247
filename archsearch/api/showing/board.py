"""The state of a search in progress, for views: the search's observer, which the live table and the lines read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState
from archsearch.reading.durations import spell_duration
from archsearch.reading.escaping import in_one_line

if TYPE_CHECKING:
    from archsearch.space.search_settings import SearchSettings

PACE = 200  # epochs, at most, that the pace is taken from
RECENT = 60.0  # seconds, at most
EVENTS = 20  # are remembered


@dataclass(frozen=True, kw_only=True)
class TrialEvent:
    """A change of a trial: the trial after it, and the time by the board's clock."""

    time: float
    change: str
    trial: Trial


@dataclass(kw_only=True)
class Board:
    """A search's trials and phase, as an observer is told of them. `trials` may hold those of earlier sessions.

    `wall_time`: seconds that the search still has when this session begins; None: no limit.
    A trial is settled once it has ended, or while it is paused at a rung; `events` ends with the newest.
    """

    name: str
    planned: int
    epochs: int
    wall_time: float | None = None
    clock: Callable[[], float] = time.monotonic
    activity: str = "starting"
    notice: str = ""
    trials: dict[int, Trial] = field(default_factory=dict)
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict)
    events: deque[TrialEvent] = field(default_factory=lambda: deque(maxlen=EVENTS))
    best: Trial | None = None
    gpus: float = 0.0  # the share of a GPU that a trial has
    _began: float = field(init=False)
    _epochs: deque[float] = field(default_factory=lambda: deque(maxlen=PACE))
    _searching: float | None = None
    _settled_now: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @classmethod
    def of(
        cls, folder: ExperimentFolder, ledger: Ledger, search: SearchSettings, *, epochs: int, gpus: float = 0.0
    ) -> Board:
        """A board with the ledger's trials, for a session that begins now."""
        limit = search.wall_time
        board = cls(
            name=str(ledger.meta.get("name", folder.name)),
            planned=search.trials,
            epochs=epochs,
            wall_time=None if limit is None else max(0.0, limit - ledger.driven_seconds()),
            gpus=gpus,
        )
        board.restore(ledger.trials())
        return board

    def restore(self, trials: Iterable[Trial]) -> None:
        """Takes over the trials of earlier sessions."""
        for trial in trials:
            self.trials[trial.number] = trial
            self._compare(trial)

    def phase(self, text: str) -> None:
        """The driver is in another phase, of which `text` tells."""
        self.activity = in_one_line(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """A trial has changed; with the metrics of an epoch where it has ended one."""
        before = self.trials.get(trial.number)
        self.trials[trial.number] = trial
        if metrics is not None:
            # Trials are handed out before the workers are up: the first epoch shows that they are.
            self._searching = self.clock() if self._searching is None else self._searching
            self.activity = "searching"
            self.metrics[trial.number] = metrics
            self._epochs.append(self.clock())
        elif trial.state is TrialState.RUNNING:
            self.metrics.pop(trial.number, None)
            if before is not None and before.state is TrialState.PAUSED:
                self._note("promoted", trial)
            elif before is not None and trial.attempts > before.attempts:
                self._note("once more", trial)
        elif _is_settled(trial):
            self.metrics.pop(trial.number, None)
            self._settled_now.add(trial.number)
            self._note(trial.state.value, trial)
            self._compare(trial)

    def _note(self, change: str, trial: Trial) -> None:
        self.events.append(TrialEvent(time=self.clock(), change=change, trial=trial))

    def _compare(self, trial: Trial) -> None:
        if trial.state is TrialState.FINISHED and trial.value is not None:
            best = self.best
            if best is None or best.value is None or trial.value > best.value:
                self.best = trial

    def count(self, state: TrialState) -> int:
        """How many trials are in that state."""
        return sum(trial.state is state for trial in list(self.trials.values()))

    @property
    def settled(self) -> int:
        """How many trials have ended or are paused."""
        return sum(_is_settled(trial) for trial in list(self.trials.values()))

    @property
    def running(self) -> list[Trial]:
        """The trials that run, in the order of their numbers."""
        running = [trial for trial in list(self.trials.values()) if trial.state is TrialState.RUNNING]
        return sorted(running, key=lambda trial: trial.number)

    @property
    def rungs(self) -> list[tuple[int, int, int]]:
        """(epochs, trials that reached it, trials that went on above it) of every rung, from the lowest up."""
        trials = [trial for trial in list(self.trials.values()) if trial.rung]
        waits = (TrialState.PAUSED, TrialState.STOPPED)
        return [
            (
                level,
                sum(trial.rung >= level for trial in trials),
                sum(trial.rung > level or (trial.rung == level and trial.state not in waits) for trial in trials),
            )
            for level in sorted({trial.rung for trial in trials})
        ]

    @property
    def pace(self) -> float | None:
        """Epochs a second of all workers, over the last minute; None before two have ended in it."""
        time = self.clock()
        recent = [moment for moment in list(self._epochs) if time - moment <= RECENT]
        return len(recent) / (time - recent[0]) if len(recent) > 1 and time > recent[0] else None

    @property
    def hours_left(self) -> float | None:
        """Worker hours, or GPU hours where trials have a share of one, that the remaining trials will take."""
        seconds, lanes = self.remaining, len(self.running)
        return None if seconds is None or not lanes else seconds * lanes * (self.gpus or 1.0) / 3600

    @property
    def scored(self) -> list[tuple[float, float]]:
        """(FLOPs, accuracy) of every trial that was trained to its end."""
        finished = [trial for trial in list(self.trials.values()) if trial.state is TrialState.FINISHED]
        return [(float(trial.cost["flops"]), trial.value) for trial in finished if trial.value is not None]

    def newest(self, number: int) -> list[TrialEvent]:
        """The last changes of trials in this session, the newest first."""
        return list(islice(reversed(list(self.events)), max(0, number)))

    @property
    def gpu_memory(self) -> tuple[float, float] | None:
        """The emptiest and the fullest of the GPUs that trials run on, as shares; None on CPUs."""
        shares = [metrics["gpu_memory"] for metrics in list(self.metrics.values()) if "gpu_memory" in metrics]
        return (min(shares), max(shares)) if shares else None

    @property
    def elapsed(self) -> float:
        """Seconds of this session."""
        return self.clock() - self._began

    @property
    def remaining(self) -> float | None:
        """Seconds that the remaining trials will take at this session's pace, at most what the wall time allows; None
        before three trials were settled, where there is no wall time."""
        until_wall_time = None if self.wall_time is None else max(0.0, self.wall_time - self.elapsed)
        paced = self._at_this_pace()
        return min((seconds for seconds in (until_wall_time, paced) if seconds is not None), default=None)

    @property
    def share(self) -> float:
        """How far the search is, from 0 to 1: in trials, or in its wall time, whichever is further."""
        passed = 0.0 if self.wall_time is None else self.elapsed / max(self.wall_time, 1e-9)
        return min(1.0, max(self.settled / max(self.planned, 1), passed))

    @property
    def progress(self) -> str:
        """How many trials are settled, of how many or in which time, as a text."""
        if self.wall_time is None:
            return f"{self.settled} of {self.planned} trials"
        trials = "1 trial" if self.settled == 1 else f"{self.settled} trials"
        return f"{trials} in {spell_duration(self.elapsed)} of {spell_duration(self.wall_time)}"

    def _at_this_pace(self) -> float | None:
        settled, settled_now = self.settled, len(self._settled_now)
        if self._searching is None or settled_now < 3 or settled >= self.planned:
            return None
        return (self.clock() - self._searching) / settled_now * (self.planned - settled)


def _is_settled(trial: Trial) -> bool:
    return trial.state.ended or trial.state is TrialState.PAUSED
