"""A lane and the driver's side of it, without Ray: the real search, ledger, worker and trainer."""

from pathlib import Path

import pytest

from archsearch.data.datasets import load_images
from archsearch.experiment import Failure, Ledger, TrialState
from archsearch.search.deciding import messages
from archsearch.search.deciding.messages import (
    EpochTrained,
    GoOn,
    Ready,
    ReportIn,
    Rest,
    RungReached,
    TrialFailed,
    Wait,
)
from archsearch.search.deciding.search import Search
from archsearch.search.running.conductor import LOSSES, Conductor
from archsearch.search.running.executor import RayFailed, last_line
from archsearch.search.running.pace import pause_after, step_seconds
from archsearch.search.running.worker import TrialWorker
from archsearch.space.space import SearchSpace
from tests.search.local import Silent, drive_locally, tiny


def drive_lanes(space: SearchSpace, search: Search, *, lanes: int, seconds: float) -> int:
    """Lanes that step in turn until each rests; how many steps they took."""
    conductor = Conductor(search=search, workers_are_up=lambda: None)
    worker = {name: TrialWorker(load_images(space.data), space.training, threads=1) for name in map(str, range(lanes))}
    told, steps = dict.fromkeys(worker, ReportIn()), 0
    while told:
        for name in list(told):
            steps += 1
            told[name] = conductor.follow(name, worker[name].carry_on(told[name], seconds=seconds))
            if isinstance(told[name], Rest):
                del told[name]
        assert not told or not all(isinstance(order, Wait) for order in told.values()), "everybody waits for nobody"
    return steps


def results(ledger: Ledger) -> list[tuple[object, ...]]:
    return [(t.digest, t.state, t.value, t.epochs, t.rung) for t in ledger.trials()]


def test_several_epochs_a_step_change_no_decision_and_save_steps(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in "abc")
    for place in (one, two, three):
        place.mkdir()
    words = ("training.epochs=6", "search.early_stopping.grace_epochs=2", "search.trials=4", "data.limit=80")
    space, plain = tiny(one, *words)
    drive_locally(space, plain)
    steps, found = {}, {}
    for place, seconds in ((two, 0.0), (three, 1000.0)):
        _, folder = tiny(place, *words)
        with Ledger.open(folder.ledger) as ledger:
            search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
            steps[seconds] = drive_lanes(space, search, lanes=1, seconds=seconds)
            found[seconds] = results(ledger), [(e.trial, e.epoch) for e in ledger.epochs()]
    with Ledger.read(plain.ledger) as ledger:
        assert found[0.0] == found[1000.0] == (results(ledger), [(e.trial, e.epoch) for e in ledger.epochs()])
    assert steps[1000.0] < steps[0.0]


def test_two_lanes_share_a_search_and_the_idle_one_asks_again(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trials=3")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        drive_lanes(space, search, lanes=2, seconds=0.5)
        assert all(trial.state.ended for trial in ledger.trials())
        assert ledger.trials(TrialState.FINISHED)
        assert ledger.events_of("tested")


def test_a_step_ends_where_somebody_must_decide(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "training.epochs=5", "search.early_stopping.grace_epochs=2")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        worker = TrialWorker(load_images(space.data), space.training, threads=1)
        conductor = Conductor(search=search, workers_are_up=lambda: None)
        begin = conductor.follow("lane", worker.carry_on(ReportIn(), seconds=1000))
        reports = worker.carry_on(begin, seconds=1000)
        assert [(type(report), report.metrics["epoch"]) for report in reports] == [
            (EpochTrained, 1),
            (RungReached, 2),
        ]
        assert len(worker.carry_on(begin, seconds=0)) == 1


def test_a_dead_lanes_trial_goes_to_the_next_one(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        worker = TrialWorker(load_images(space.data), space.training, threads=1)
        conductor = Conductor(search=search, workers_are_up=lambda: None)
        first = conductor.follow("lane", worker.carry_on(ReportIn(), seconds=0))
        conductor.lost("lane", preempted=False)
        assert ledger.trial(1).state is TrialState.WAITING
        again = conductor.follow("lane", worker.carry_on(ReportIn(), seconds=0))
        assert (again.number, again.attempt, again.architecture) == (1, 2, first.architecture)
        gone = worker.carry_on(GoOn(number=7), seconds=1000)  # a trial that this process never saw
        assert gone == [TrialFailed(number=7, failure=Failure("crashed", "the worker was restarted"))]


def test_a_worker_that_dies_while_it_tests_the_winner_leaves_that_to_another(tmp_path: Path) -> None:
    """The others rest by then: the search is not over for that."""
    space, folder = tiny(tmp_path, "search.trials=1")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        worker = TrialWorker(load_images(space.data), space.training, threads=1)
        conductor = Conductor(search=search, workers_are_up=lambda: None)
        order = conductor.follow("tester", worker.carry_on(ReportIn(), seconds=1000))
        while not isinstance(order, messages.Test):
            order = conductor.follow("tester", worker.carry_on(order, seconds=1000))
        assert isinstance(conductor.follow("idle", [Ready()]), Rest)
        assert not conductor.over()
        conductor.lost("tester", preempted=False)
        assert not conductor.over()
        again = conductor.follow("another", [Ready()])
        assert isinstance(again, messages.Test)
        assert isinstance(conductor.follow("another", worker.carry_on(again, seconds=0)), Rest)
        assert conductor.over() and len(ledger.events_of("tested")) == 1


def test_workers_that_die_before_they_report_end_the_search(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        conductor = Conductor(search=search, workers_are_up=lambda: None)
        for _ in range(LOSSES):
            conductor.lost("lane", preempted=False)
        error = "an error in its creation task\n  File x.py, line 1\nImportError: no torch\n"
        with pytest.raises(RayFailed, match=r"workers in a row .*: ImportError: no torch$"):
            conductor.lost("lane", preempted=False, cause=last_line(error))


def test_an_idle_lane_waits_a_tenth_of_what_it_has_waited_and_half_a_second_at_most() -> None:
    pauses = [pause_after(waits) for waits in range(200)]
    assert pauses[0] == 0.01
    assert max(pauses) == 0.5
    waited = 0.0
    for pause in pauses:
        assert pause <= 0.0101 + 0.1 * waited
        waited += pause


def test_many_lanes_speak_more_rarely_and_few_as_ever() -> None:
    assert step_seconds(1) == step_seconds(25) == 0.5
    assert [pause_after(waits, 2) for waits in range(100)] == [pause_after(waits) for waits in range(100)]
    for lanes in (64, 512, 5000):
        pauses = [pause_after(waits, lanes) for waits in range(200)]
        assert pauses == sorted(pauses)
        assert lanes / pauses[0] <= 200, "a second, from all of them together, where they have just become idle"
        assert lanes / pauses[-1] <= 50
        assert lanes / step_seconds(lanes) <= 50


def test_all_that_a_step_of_a_lane_changes_is_written_at_once(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trials=4")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        commits: list[str] = []
        ledger._db.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
        steps = drive_lanes(space, search, lanes=1, seconds=1e9)
        assert len(commits) == steps
        assert ledger.counts().total == 4
