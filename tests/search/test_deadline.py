"""A search that is given a wall time, on a clock that the test turns: an epoch takes ten seconds."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Failure, Ledger, TrialState
from archsearch.search.deciding.messages import (
    EpochTrained,
    GoOn,
    Instruction,
    Measure,
    Ready,
    Rest,
    RungReached,
    Train,
    Wait,
)
from archsearch.search.deciding.search import Search
from archsearch.search.running.worker import TrialWorker
from archsearch.space.space import SearchSpace
from tests.search.local import Silent, tiny

SECONDS = 10.0  # an epoch


@dataclass
class Clock:
    now: float = 1e9

    def __call__(self) -> float:
        return self.now


@dataclass
class Drive:
    """Lanes whose epochs take SECONDS, `slower` from `from_then` on; the lane that is ready first goes next."""

    space: SearchSpace
    folder: ExperimentFolder
    clock: Clock
    lanes: int = 1
    slower: float = 1.0
    from_then: float = 1e18
    stop_after: float = 1e18

    def run(self) -> list[Instruction]:
        images, begun, given = load_images(self.space.data), self.clock.now, list[Instruction]()
        workers = [TrialWorker(images, self.space.training, threads=1) for _ in range(self.lanes)]
        with Ledger.open(self.folder.ledger) as ledger:
            ledger._clock = self.clock
            ledger.begin()
            search = Search(space=self.space, folder=self.folder, ledger=ledger, observer=Silent(), clock=self.clock)
            orders = [search.respond(Ready()) for _ in workers]
            ready = [self._ready(order) for order in orders]
            while not all(isinstance(order, Rest) for order in orders):
                lane = min((n for n, o in enumerate(orders) if not isinstance(o, Rest | Wait)), key=lambda n: ready[n])
                self.clock.now = max(self.clock.now, ready[lane])
                if self.clock.now - begun > self.stop_after:
                    search.interrupted()
                    ledger.end("interrupted")
                    return given
                report = workers[lane].carry_out(orders[lane])
                if isinstance(report, EpochTrained | RungReached):
                    report = replace(report, metrics={**report.metrics, "seconds": self._epoch()})
                given.append(orders[lane])
                orders[lane] = search.respond(report)
                orders = [search.respond(Ready()) if isinstance(o, Wait) else o for o in orders]
                ready = [self._ready(order) if n == lane else ready[n] for n, order in enumerate(orders)]
            ledger.end("finished")
        return given

    def _epoch(self) -> float:
        return SECONDS * (self.slower if self.clock.now > self.from_then else 1.0)

    def _ready(self, order: Instruction) -> float:
        return self.clock.now + (self._epoch() if isinstance(order, Train | GoOn) else 0.0)


def drive(
    folder: Path, *overrides: str, lanes: int = 1, slower: float = 1.0, after: float = 1e18
) -> tuple[Drive, list]:
    space, experiment = tiny(folder, "search.trials=500", "training.epochs=20", *overrides)
    clock = Clock()
    driven = Drive(space, experiment, clock, lanes=lanes, slower=slower, from_then=clock.now + after)
    return driven, driven.run()


def trials_of(driven: Drive, state: TrialState) -> list:
    with Ledger.read(driven.folder.ledger) as ledger:
        return [(trial, ledger.epochs(trial.number)[-1].epoch) for trial in ledger.trials(state)]


@pytest.mark.parametrize("lanes", [1, 2])
def test_it_ends_in_time_with_a_winner_that_was_trained_to_the_end(tmp_path: Path, lanes: int) -> None:
    driven, _ = drive(tmp_path, "search.wall_time=10m", lanes=lanes)
    assert driven.clock.now - 1e9 <= 600
    finished = trials_of(driven, TrialState.FINISHED)
    assert finished and all(epoch > 8 for _, epoch in finished)
    with Ledger.read(driven.folder.ledger) as ledger:
        assert ledger.counts().total > 10, "most of the time before that goes into many trials"
        assert ledger.best() is not None and ledger.events_of("tested")
        left = 600 - (driven.clock.now - 1e9)
        assert left < 0.5 * 600, "and the finalists use what is left"


def test_epochs_that_grow_slower_shorten_the_finalist_which_still_ends_its_schedule(tmp_path: Path) -> None:
    driven, given = drive(tmp_path, "search.wall_time=10m", slower=2.0, after=400.0)
    assert driven.clock.now - 1e9 <= 600
    ends = [order.epochs for order in given if isinstance(order, GoOn) and order.epochs is not None]
    assert ends and ends == sorted(ends, reverse=True)
    (_, epoch), *_ = trials_of(driven, TrialState.FINISHED)
    assert epoch == ends[-1]
    with Ledger.read(driven.folder.ledger) as ledger:
        best = ledger.best()
        assert best is not None
        last = ledger.epochs(best.number)[-1].metrics["learning_rate"]
        # The schedule's very last step, of only four an epoch, and the steepest of the course.
        assert last is not None and last < 0.15 * driven.space.training.learning_rate


def test_epochs_that_grow_faster_again_lengthen_it(tmp_path: Path) -> None:
    driven, given = drive(tmp_path, "search.wall_time=10m", "training.epochs=60", slower=0.5, after=400.0)
    assert 500 < driven.clock.now - 1e9 <= 600
    ends = [order.epochs for order in given if isinstance(order, GoOn) and order.epochs is not None]
    assert ends and ends[-1] > ends[0], "what the faster epochs save is trained with"
    (_, epoch), *_ = trials_of(driven, TrialState.FINISHED)
    assert epoch == ends[-1]


def test_time_is_counted_over_all_sessions(tmp_path: Path) -> None:
    space, experiment = tiny(tmp_path, "search.trials=500", "training.epochs=20", "search.wall_time=10m")
    clock = Clock()
    Drive(space, experiment, clock, stop_after=450.0).run()
    clock.now += 10_000  # a night in between costs nothing
    resumed = clock.now
    driven = Drive(space, experiment, clock)
    driven.run()
    assert clock.now - resumed <= 150 + 2 * SECONDS
    assert trials_of(driven, TrialState.FINISHED)


def test_without_a_wall_time_nothing_is_shortened(tmp_path: Path) -> None:
    driven, given = drive(tmp_path, "search.trials=6", "training.epochs=4")
    assert not [o for o in given if isinstance(o, GoOn | Train) and o.epochs is not None]
    assert {epoch for _, epoch in trials_of(driven, TrialState.FINISHED)} == {4}


def test_a_wall_time_that_one_epoch_exceeds_still_gives_a_network(tmp_path: Path) -> None:
    driven, _ = drive(tmp_path, "search.wall_time=5s")
    assert trials_of(driven, TrialState.FINISHED)


def test_a_candidate_over_which_a_worker_died_is_measured_though_the_time_is_over(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.wall_time=10m", "budget={latency: {max: 1000ms}}")
    clock = Clock()
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), clock=clock)
        asked = search.respond(Ready())
        assert isinstance(asked, Measure)
        clock.now += 700
        search.lost(asked, Failure("crashed", "its worker died"))
        assert search.respond(Ready()) == asked, "otherwise all would wait for ever"
