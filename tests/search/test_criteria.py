"""Searches that are given epochs: what is spent, what is held back, and what they end with."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Failure, Ledger, TrialState
from archsearch.reading.errors import InputError
from archsearch.search.agreement import KEY, refuse_if_changed
from archsearch.search.deciding.criteria import Criteria
from archsearch.search.deciding.messages import Ready, Rest, Train, TrialFailed, Wait
from archsearch.search.deciding.rungs import Rungs
from archsearch.search.deciding.search import Search
from archsearch.space.loading import load_space
from tests.faults.driving import Arithmetic, drive
from tests.faults.invariants import check_states, story
from tests.search.local import Silent, drive_locally, tiny


def spent_in(folder: ExperimentFolder) -> tuple[int, list[int]]:
    """(epochs of all trials, the epochs of those that have finished)."""
    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.trials()
        assert all(trial.state.ended for trial in trials)
        spent = sum(trial.epochs for trial in trials)
        assert spent == ledger.epochs_trained
        return spent, [trial.epochs for trial in trials if trial.state is TrialState.FINISHED]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("epochs", [9, 10, 17, 40])
def test_no_more_epochs_than_given_and_one_trial_in_full(tmp_path: Path, epochs: int, workers: int) -> None:
    _, folder = tiny(tmp_path, f"search.epochs={epochs}", "search.trials=100", "training.epochs=9")
    drive(folder, workers=workers)
    spent, finished = spent_in(folder)
    assert finished and set(finished) == {9}
    assert spent == epochs, "with rungs at 1, 2, 4, 8 what is left always begins a trial more"
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.state == "finished" and ledger.events_of("tested")
        best = ledger.best()
    assert best is not None and folder.weights(best.number).is_file() and folder.best_yaml.is_file()


@pytest.mark.parametrize("kind", ["asha", "none"])
@pytest.mark.parametrize("workers", [1, 3])
def test_fewer_epochs_than_one_training_give_a_network_trained_for_as_many(
    tmp_path: Path, kind: str, workers: int
) -> None:
    """The real trainer: the schedule of the one that finishes is of that length, its rate at the end next to zero."""
    space, folder = tiny(
        tmp_path, "search.epochs=5", f"search.early_stopping.kind={kind}", "training.epochs=20", "search.trials=50"
    )
    drive_locally(space, folder, workers=workers)
    spent, finished = spent_in(folder)
    assert (spent, finished) == (5, [5])
    with Ledger.read(folder.ledger) as ledger:
        best = ledger.best()
        assert best is not None
        last = ledger.epochs(best.number)[-1].metrics
        assert last["epochs"] == 5
        # Of the very last of a few steps; unshortened it would be 0.09 here.
        assert last["learning_rate"] is not None and last["learning_rate"] < 0.2 * space.training.learning_rate


def test_without_rungs_a_trial_begins_only_if_it_can_end(tmp_path: Path) -> None:
    _, folder = tiny(
        tmp_path, "search.epochs=11", "search.early_stopping.kind=none", "training.epochs=4", "search.trials=50"
    )
    drive(folder)
    assert spent_in(folder) == (8, [4, 4])


def test_enough_epochs_change_nothing(tmp_path: Path) -> None:
    for name, overrides in (("a", []), ("b", ["search.epochs=1000"])):
        (tmp_path / name).mkdir()
        tiny(tmp_path / name, *overrides)
        drive(ExperimentFolder(tmp_path / name / "experiment"))
    one, two = (story(ExperimentFolder(tmp_path / name / "experiment")) for name in "ab")
    assert one == two


@pytest.mark.parametrize("reports", [2, 7, 12])
def test_epochs_are_counted_over_all_sessions(tmp_path: Path, reports: int) -> None:
    """A driver that is killed; the one after it ends as an undisturbed one would, and spends no more."""
    overrides = ("search.epochs=17", "search.trials=50", "training.epochs=4")
    for name in "ab":
        (tmp_path / name).mkdir()
    space, whole = tiny(tmp_path / "a", *overrides)
    drive_locally(space, whole)
    space, folder = tiny(tmp_path / "b", *overrides)
    drive_locally(space, folder, reports=reports)
    drive_locally(load_space(folder.space_yaml), folder)
    assert spent_in(folder) == spent_in(whole)
    assert spent_in(whole)[0] == 17
    check_states(folder)


def test_what_failed_stays_spent_and_what_it_had_before_it_is_free_again(tmp_path: Path) -> None:
    space, folder = tiny(
        tmp_path, "search.epochs=8", "search.trials=50", "training.epochs=4", "search.early_stopping.kind=none"
    )
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), test=False)
        worker = Arithmetic(4)
        first, second = search.respond(Ready()), search.respond(Ready())
        assert isinstance(first, Train) and isinstance(second, Train)
        assert isinstance(search.respond(Ready()), Wait), "both will be trained in full"
        search.respond(worker.carry_out(first))
        third = search.respond(TrialFailed(number=1, failure=Failure("nan", "the loss")))
        assert isinstance(third, Wait), "3 of the 8 are free again, and a trial takes 4"
        instruction = worker.carry_out(second)
        while not isinstance(step := search.respond(instruction), Rest):
            instruction = worker.carry_out(step)
        assert [(t.state, t.epochs) for t in ledger.trials()] == [(TrialState.FAILED, 1), (TrialState.FINISHED, 4)]


def test_if_all_fail_the_last_epochs_still_give_a_network(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.epochs=6", "search.trials=50", "training.epochs=6")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), test=False)
        worker = Arithmetic(6)
        instruction = search.respond(Ready())
        for _ in range(3):  # at the rungs 1 and 2, and an epoch later
            instruction = search.respond(worker.carry_out(instruction))
        instruction = search.respond(TrialFailed(number=1, failure=Failure("nan", "the loss")))
        worker = Arithmetic(3)
        while not isinstance(instruction, Rest):
            instruction = search.respond(worker.carry_out(instruction))
    assert spent_in(folder) == (6, [3])


def test_a_candidate_that_is_measured_has_its_epochs_kept(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.epochs=10", "search.trials=9", "training.epochs=9")
    with Ledger.open(folder.ledger) as ledger:
        rungs = Rungs.of(space.search.early_stopping, space.training.epochs, ledger)
        criteria = Criteria(space, ledger, rungs)
        assert criteria.admits(None, pending=0) and criteria.admits(None, pending=1)
        assert not criteria.admits(None, pending=2), "one would be left, and 8 are held back"


def test_what_a_trial_takes_until_its_next_pause_is_what_must_fit_into_the_time(tmp_path: Path, monkeypatch) -> None:
    space, folder = tiny(tmp_path, "search.wall_time=1h", "training.epochs=9", "search.trials=9")
    asked: list[tuple[int | None, int]] = []

    def fits(number: int | None, epochs: int, **_: object) -> bool:
        asked.append((number, epochs))
        return True

    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), test=False)
        worker = Arithmetic(9)
        instruction = search.respond(Ready())
        while ledger.total < 2:  # the first trial pauses at a rung before the second is proposed
            instruction = search.respond(worker.carry_out(instruction))
        criteria = Criteria(space, ledger, Rungs.of(space.search.early_stopping, space.training.epochs, ledger))
        monkeypatch.setattr(criteria.deadline, "fits", fits)
        trial = ledger.trial(1)
        above = criteria.pause(trial)
        assert above is not None and 0 < trial.rung < above
        assert criteria.fits_time(trial) and criteria.fits_time(None)
        assert asked == [(1, above - trial.rung), (None, 1)]


def test_the_number_of_trials_counts_those_that_are_measured(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trials=3")
    with Ledger.open(folder.ledger) as ledger:
        criteria = Criteria(space, ledger, Rungs.of(space.search.early_stopping, space.training.epochs, ledger))
        assert [criteria.admits(None, pending=pending) for pending in range(5)] == [True, True, True, False, False]


def test_an_experiment_from_before_there_were_epochs_goes_on(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    text = space.to_yaml()
    older = text.replace("  epochs: null\n", "", 1)
    assert older != text
    folder = ExperimentFolder(tmp_path / "older")
    folder.create()
    with Ledger.create(folder.ledger, {"name": "older", KEY: older}) as ledger:
        for written in (older, "# a comment\n" + older):
            folder.space_yaml.write_text(written)
            refuse_if_changed(folder, ledger, trials=8, force=False)
        folder.space_yaml.write_text(text.replace("  epochs: null\n", "  epochs: 7\n", 1))
        with pytest.raises(InputError, match=r"search\.epochs: nothing -> 7"):
            refuse_if_changed(folder, ledger, trials=8, force=False)
    assert load_space(folder.space_yaml).search.epochs == 7


@pytest.mark.parametrize(("end", "goes_on"), [(4, False), (5, True), (6, True)])
def test_a_finalist_is_trained_for_no_fewer_epochs_than_any_that_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int, goes_on: bool
) -> None:
    space, folder = tiny(tmp_path, "search.wall_time=10m", "training.epochs=9")
    with Ledger.open(folder.ledger) as ledger:
        for number, last in ((1, 5), (2, 1)):
            ledger.propose(choices={}, architecture={}, digest=f"{number:016x}", cost={}, seed=0)
            ledger.start(number)
            ledger.epoch(number, last, {"validation_accuracy": 0.5, "seconds": 1.0})
        ledger.finish(1, 0.5)
        ledger.pause(2, 0.5, rung=1)
        criteria = Criteria(space, ledger, Rungs.of(space.search.early_stopping, 9, ledger))
        assert criteria.finalist(None) is None, "there is time for new trials"
        monkeypatch.setattr(criteria, "fits_time", lambda trial: False)
        monkeypatch.setattr(criteria.deadline, "end", lambda trial, epoch: end)
        finalist = criteria.finalist(None)
        assert (finalist is not None and finalist.number == 2) == goes_on
