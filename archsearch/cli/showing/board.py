"""What is known of a search in progress: fed by the search's observer calls, read by whoever shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from archsearch.cli.showing.printing import duration
from archsearch.experiment import Trial, TrialState

PACE = 200  # epochs, at most, that the pace is taken from
RECENT = 60.0  # seconds, at most
EVENTS = 20  # are remembered


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What became of a trial, as it was then, and when by the board's clock."""

    at: float
    word: str
    trial: Trial


@dataclass(kw_only=True)
class Board:
    """A search's trials and phase. `trials` may hold those of earlier sessions.

    `wall_time`: seconds that are left to the search as this session begins; None: as many as it takes.
    A trial is settled once it has ended, or while it is paused at a rung; `events` ends with the newest.
    """

    name: str
    planned: int
    epochs: int
    wall_time: float | None = None
    clock: Callable[[], float] = time.monotonic
    phase: str = "starting"
    notice: str = ""
    trials: dict[int, Trial] = field(default_factory=dict)
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict)
    events: deque[Happened] = field(default_factory=lambda: deque(maxlen=EVENTS))
    best: Trial | None = None
    gpus: float = 0.0  # the share of a GPU that a trial has
    _began: float = field(init=False)
    _epochs: deque[float] = field(default_factory=lambda: deque(maxlen=PACE))
    _searching: float | None = None
    _settled_now: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def restore(self, trials: Iterable[Trial]) -> None:
        """What earlier sessions left."""
        for trial in trials:
            self.trials[trial.number] = trial
            self._compare(trial)

    def enter(self, phase: str) -> None:
        """The driver is in another phase."""
        self.phase = phase

    def take(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """A trial changed, or measured an epoch."""
        before = self.trials.get(trial.number)
        self.trials[trial.number] = trial
        if metrics is not None:
            # Trials are handed out before the workers are up: the first epoch shows that they are.
            self._searching = self.clock() if self._searching is None else self._searching
            self.phase = "searching"
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

    def _note(self, word: str, trial: Trial) -> None:
        self.events.append(Happened(at=self.clock(), word=word, trial=trial))

    def _compare(self, trial: Trial) -> None:
        if trial.state is TrialState.FINISHED and trial.value is not None:
            best = self.best
            if best is None or best.value is None or trial.value > best.value:
                self.best = trial

    def count(self, state: TrialState) -> int:
        """Trials in that state."""
        return sum(trial.state is state for trial in list(self.trials.values()))

    @property
    def settled(self) -> int:
        """Trials that have ended, or are paused."""
        return sum(_is_settled(trial) for trial in list(self.trials.values()))

    @property
    def running(self) -> list[Trial]:
        """In the order of their numbers."""
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
        """Epochs a second of all workers, over the last minute; None before two were heard of."""
        now = self.clock()
        recent = [at for at in list(self._epochs) if now - at <= RECENT]
        return len(recent) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else None

    @property
    def hours_left(self) -> float | None:
        """Workers' hours, or GPU hours where trials have a share of one, that the rest will take."""
        left, lanes = self.remaining, len(self.running)
        return None if left is None or not lanes else left * lanes * (self.gpus or 1.0) / 3600

    @property
    def scored(self) -> list[tuple[float, float]]:
        """(FLOPs, accuracy) of every trial that was trained to its end."""
        done = [trial for trial in list(self.trials.values()) if trial.state is TrialState.FINISHED]
        return [(float(trial.cost["flops"]), trial.value) for trial in done if trial.value is not None]

    def newest(self, number: int) -> list[Happened]:
        """What happened last in this session, the newest first."""
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
        """Seconds that the rest will take at this session's pace, None before three trials were settled; or until the
        wall time is over, where that comes first."""
        left = None if self.wall_time is None else max(0.0, self.wall_time - self.elapsed)
        paced = self._at_this_pace()
        return min((each for each in (left, paced) if each is not None), default=None)

    @property
    def share(self) -> float:
        """How far the search is, from 0 to 1: in trials, or in its wall time, whichever is further."""
        passed = 0.0 if self.wall_time is None else self.elapsed / max(self.wall_time, 1e-9)
        return min(1.0, max(self.settled / max(self.planned, 1), passed))

    @property
    def progress(self) -> str:
        """Trials that were settled, of how many or in which time."""
        if self.wall_time is None:
            return f"{self.settled} of {self.planned} trials"
        trials = "1 trial" if self.settled == 1 else f"{self.settled} trials"
        return f"{trials} in {duration(self.elapsed)} of {duration(self.wall_time)}"

    def _at_this_pace(self) -> float | None:
        settled, now = self.settled, len(self._settled_now)
        if self._searching is None or now < 3 or settled >= self.planned:
            return None
        return (self.clock() - self._searching) / now * (self.planned - settled)


def _is_settled(trial: Trial) -> bool:
    return trial.state.ended or trial.state is TrialState.PAUSED
