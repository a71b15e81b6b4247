"""What is known of a search in progress: fed by the search's watcher calls, read by whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from archsearch.experiment import Trial, TrialState


@dataclass(kw_only=True)
class Board:
    """A search's trials and phase. `trials` may hold those of earlier sessions; `order` ends with the latest ended."""

    name: str
    planned: int
    epochs: int
    clock: Callable[[], float] = time.monotonic
    phase: str = "starting"
    notice: str = ""
    trials: dict[int, Trial] = field(default_factory=dict)
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    best: Trial | None = None
    _began: float = field(init=False)
    _searching: float | None = None
    _ended_now: int = 0

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
        self.trials[trial.number] = trial
        if metrics is not None:
            # Trials are handed out before the workers are up: the first epoch shows that they are.
            self._searching = self.clock() if self._searching is None else self._searching
            self.phase = "searching"
            self.metrics[trial.number] = metrics
        elif trial.state is TrialState.RUNNING:
            self.metrics.pop(trial.number, None)
        elif trial.state.ended:
            self.metrics.pop(trial.number, None)
            self.order.append(trial.number)
            self._ended_now += 1
            self._compare(trial)

    def _compare(self, trial: Trial) -> None:
        if trial.state is TrialState.FINISHED and trial.value is not None:
            best = self.best
            if best is None or best.value is None or trial.value > best.value:
                self.best = trial

    def count(self, state: TrialState) -> int:
        """Trials in that state."""
        return sum(trial.state is state for trial in list(self.trials.values()))

    @property
    def ended(self) -> int:
        """Trials that nothing more can happen to."""
        return sum(trial.state.ended for trial in list(self.trials.values()))

    @property
    def running(self) -> list[Trial]:
        """In the order of their numbers."""
        running = [trial for trial in list(self.trials.values()) if trial.state is TrialState.RUNNING]
        return sorted(running, key=lambda trial: trial.number)

    def latest(self, number: int) -> list[Trial]:
        """The trials that ended last in this session, the newest first."""
        return [self.trials[trial] for trial in reversed(self.order[-number:])] if number > 0 else []

    @property
    def elapsed(self) -> float:
        """Seconds of this session."""
        return self.clock() - self._began

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest will take at this session's pace; None before three trials have ended."""
        if self._searching is None or self._ended_now < 3 or self.ended >= self.planned:
            return None
        return (self.clock() - self._searching) / self._ended_now * (self.planned - self.ended)
