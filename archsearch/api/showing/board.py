"""The state of a search in progress, for views: the search's observer, which the live table and the lines read."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from archsearch.experiment import Counts, ExperimentFolder, Ledger, Trial, TrialState
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import Score, leader_of
from archsearch.experiment.schema import session_after
from archsearch.experiment.steady import steady
from archsearch.reading.durations import spell_duration
from archsearch.reading.escaping import in_one_line
from archsearch.space.placement import PLACED, share_in

if TYPE_CHECKING:
    from archsearch.space.search_settings import SearchSettings
    from archsearch.space.settings import ResourceSettings

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

    `objective` is the metric that the trials are ranked by. Times are Unix seconds by the ledger's clock. `before` are
    the seconds of earlier sessions, `began` is when this one began in the ledger (None: it has not yet), `ended` when
    it ended there (None: it goes on), `wall_time` the seconds that all sessions together have (None: no limit).
    `events` ends with the newest.
    """

    name: str
    planned: int
    epochs: int
    wall_time: float | None = None
    objective: Objective = BY_ACCURACY
    clock: Callable[[], float] = steady
    activity: str = "starting"
    notice: str = ""
    trials: dict[int, Trial] = field(default_factory=dict)
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict)
    events: deque[TrialEvent] = field(default_factory=lambda: deque(maxlen=EVENTS))
    best: Trial | None = None
    leader: Score | None = None  # the best so far: the best value of the trials that have finished or go on
    gpus: float = 0.0  # the share of a GPU that a trial has
    before: float = 0.0
    began: float | None = field(init=False)
    ended: float | None = None
    # When this session began and ended, and its trials' share of a GPU, by the ledger.
    _session: Callable[[], tuple[float | None, float | None, float | None]] = lambda: (None, None, None)
    _curves: dict[int, dict[int, float]] = field(default_factory=dict)  # values by epoch of trials that go on
    _scores: dict[int, Score] = field(default_factory=dict)  # of the trials that have finished or go on
    _tally: Counter[TrialState] = field(default_factory=Counter)
    _epochs: deque[float] = field(default_factory=lambda: deque(maxlen=PACE))
    _searching: float | None = None
    _settled_now: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @classmethod
    def of(
        cls,
        folder: ExperimentFolder,
        ledger: Ledger,
        search: SearchSettings,
        resources: ResourceSettings | None = None,
        *,
        epochs: int,
    ) -> Board:
        """A board with the ledger's trials, for the session that begins next."""
        board = cls(
            name=str(ledger.meta.get("name", folder.name)),
            planned=search.trials,
            epochs=epochs,
            wall_time=search.wall_time,
            objective=ledger.objective,
            gpus=share_in(ledger.events_of(PLACED), resources),
            before=ledger.driven_seconds(),
            _session=partial(session_after, folder.ledger, ledger.last_event()),
        )
        board.began = None
        for score in ledger.scores():
            if not score.trial.state.ended:
                board._curves[score.trial.number] = {score.epochs: score.value}
            if score.trial.state is TrialState.RUNNING:
                board.metrics[score.trial.number] = {"epoch": score.epochs, ledger.objective.validation: score.value}
        board.restore(ledger.trials())
        return board

    def begin(self, time: float, *, before: float | None = None) -> None:
        """The session began at this time, after so many seconds of earlier ones (None: as many as were known)."""
        self.began, self.before = time, self.before if before is None else before

    def restore(self, trials: Iterable[Trial]) -> None:
        """Takes over the trials of earlier sessions, in place of those that it had."""
        self.trials, self.best, self.leader = {}, None, None
        self._tally.clear()
        self._scores.clear()
        for trial in trials:
            self._put(trial)
            self._compare(trial)
            self._rank(trial)

    def phase(self, text: str) -> None:
        """The driver is in another phase, of which `text` tells."""
        self.activity = in_one_line(text)
        began, ended, gpus = self._session()
        self.gpus = self.gpus if gpus is None else gpus
        self.began = self.began if began is None else began
        self.ended = self.ended if ended is None else ended

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None, time: float | None = None) -> None:
        """A trial has changed; with the metrics of an epoch where it has ended one. `time` is when (None: now)."""
        time = self.clock() if time is None else time
        before = self._put(trial)
        if metrics is not None:
            # Trials are handed out before the workers are up: the first epoch shows that they are.
            self._searching = time if self._searching is None else self._searching
            self.activity = "searching"
            self.metrics[trial.number] = metrics
            self._epochs.append(time)
            if (value := metrics.get(self.objective.validation)) is not None:
                self._curves.setdefault(trial.number, {})[int(metrics["epoch"])] = value
        elif trial.state is TrialState.RUNNING:
            self.metrics.pop(trial.number, None)
            curve = self._curves.pop(trial.number, {}).items()  # what an attempt before it did further on is gone
            if stands := {epoch: value for epoch, value in curve if epoch <= trial.epochs}:
                self._curves[trial.number], newest = stands, max(stands)
                self.metrics[trial.number] = {"epoch": newest, self.objective.validation: stands[newest]}
            if before is not None and before.state is TrialState.PAUSED:
                self._note("promoted", replace(trial, value=before.value), time)
            elif before is not None and trial.attempts > before.attempts:
                self._note("once more", trial, time)
        elif _is_settled(trial):
            self.metrics.pop(trial.number, None)
            self._settled_now.add(trial.number)
            self._note(trial.state.value, trial, time)
            self._compare(trial)
            if trial.state.ended:
                self._curves.pop(trial.number, None)
        self._rank(trial)

    def _put(self, trial: Trial) -> Trial | None:
        """Takes the trial in; returns it as it was before. What is counted or ranked is kept up to date one trial at a
        time: there may be ten thousand."""
        before = self.trials.get(trial.number)
        if before is not None:
            self._tally[before.state] -= 1
        self._tally[trial.state] += 1
        self.trials[trial.number] = trial
        return before

    def _rank(self, trial: Trial) -> None:
        score = Score.of(trial, max(self._curves.get(trial.number, {}).items(), default=None))
        self._scores.pop(trial.number, None)
        if score is not None and (score.final or not trial.state.ended):
            self._scores[trial.number] = score
        if self.leader is not None and self.leader.trial.number == trial.number:
            self.leader = leader_of(self._scores.values(), self.objective)
        else:
            self.leader = leader_of(filter(None, (self.leader, self._scores.get(trial.number))), self.objective)

    def _note(self, change: str, trial: Trial, time: float) -> None:
        self.events.append(TrialEvent(time=time, change=change, trial=trial))

    def _compare(self, trial: Trial) -> None:
        if trial.state is TrialState.FINISHED and trial.value is not None:
            best, key = self.best, self.objective.key
            if (
                best is None
                or best.value is None
                or (key(trial.value), -trial.number) > (key(best.value), -best.number)
            ):
                self.best = trial

    @property
    def counts(self) -> Counts:
        """How many trials are in each state."""
        return Counts(**{state.value: number for state, number in list(self._tally.items())})

    @property
    def best_so_far(self) -> str:
        """The leader in a text: `t0004 62.50 % at epoch 3 of 9`, once it has finished without the epoch; empty before
        the first score."""
        if (leader := self.leader) is None:
            return ""
        when = "" if leader.final else f" at epoch {leader.epochs} of {self.epochs}"
        return f"{leader.trial.id} {self.objective.named(leader.value)}{when}"

    @property
    def settled(self) -> int:
        """How many trials have ended or are paused."""
        return self.counts.settled

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
        """(FLOPs, value) of every trial that was trained to its end."""
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
        """Seconds of all sessions."""
        until = self.clock() if self.ended is None else self.ended
        return self.before + (0.0 if self.began is None else max(0.0, until - self.began))

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
            return self.counts.progress(self.planned)
        trials = "1 trial" if self.settled == 1 else f"{self.settled} trials"
        return f"{trials} in {spell_duration(self.elapsed)} of {spell_duration(self.wall_time)}"

    def _at_this_pace(self) -> float | None:
        settled, settled_now = self.settled, len(self._settled_now)
        if self._searching is None or settled_now < 3 or settled >= self.planned:
            return None
        return (self.clock() - self._searching) / settled_now * (self.planned - settled)


def _is_settled(trial: Trial) -> bool:
    return trial.state.ended or trial.state is TrialState.PAUSED
