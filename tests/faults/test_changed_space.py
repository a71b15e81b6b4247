"""Fault 18: a search that is resumed under other words is refused with the difference; `--force` is recorded."""

import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.summary import summarise
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import read
from archsearch.search.agreement import _with_trials, refuse_if_changed, set_trials, trials_in_file
from archsearch.space.loading import load_space
from tests.faults.driving import drive, in_a_child, new
from tests.faults.invariants import check_words
from tests.search.local import drive_locally, tiny


@pytest.fixture
def interrupted(tmp_path: Path) -> ExperimentFolder:
    folder = new(tmp_path)
    assert in_a_child(lambda: drive(folder), crash="paused-after:3") == -9
    return folder


def change(folder: ExperimentFolder, old: str, new: str) -> None:
    text = folder.space_yaml.read_text()
    assert old in text
    folder.space_yaml.write_text(text.replace(old, new, 1))


def test_it_is_refused_with_every_difference_at_its_place(interrupted: ExperimentFolder) -> None:
    change(interrupted, "trials: 8", "trials: 12")
    change(interrupted, "width: 4", "width: 6")
    with Ledger.read(interrupted.ledger) as ledger:
        before = ledger.last_event()
    words = [sys.executable, "-m", "archsearch", "resume", str(interrupted.path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=interrupted.path.parent, check=False, timeout=300)
    check_words(done.returncode, done.stderr, allowed={2})
    line = next(n for n, text in enumerate(interrupted.space_yaml.read_text().splitlines(), 1) if "trials: 12" in text)
    assert f"{interrupted.space_yaml}:{line}:" in done.stderr
    assert "search.trials: 8 -> 12" in done.stderr and "space.stem.width: 4 -> 6" in done.stderr
    assert "--force" in done.stderr
    with Ledger.read(interrupted.ledger) as ledger:
        assert ledger.last_event() == before, "a refusal wrote something"


def test_comments_and_order_are_no_change(interrupted: ExperimentFolder) -> None:
    text = interrupted.space_yaml.read_text()
    interrupted.space_yaml.write_text("# mine\n" + text)
    with Ledger.open(interrupted.ledger) as ledger:
        refuse_if_changed(interrupted, ledger, trials=8, force=False)


def test_by_force_it_is_recorded_once_and_then_held_to(interrupted: ExperimentFolder) -> None:
    change(interrupted, "trials: 8", "trials: 12")
    with Ledger.open(interrupted.ledger) as ledger:
        for _ in range(2):  # the second time nothing has changed any more
            refuse_if_changed(interrupted, ledger, trials=12, force=True)
        (note,) = ledger.events_of("space_changed")
        assert note.data["differences"] == ["search.trials: 8 -> 12"]
        refuse_if_changed(interrupted, ledger, trials=12, force=False)
    assert summarise(interrupted)["trials"]["planned"] == 12
    change(interrupted, "trials: 12", "trials: 8")
    with Ledger.open(interrupted.ledger) as ledger, pytest.raises(InputError, match=r"search\.trials: 12 -> 8"):
        refuse_if_changed(interrupted, ledger, trials=8, force=False)


def test_many_differences_are_few_lines(interrupted: ExperimentFolder) -> None:
    interrupted.space_yaml.write_text("archsearch: 1\nname: other\nspace: {stages: 1, depth: 1, width: 4}\n")
    with Ledger.open(interrupted.ledger) as ledger, pytest.raises(InputError) as refused:
        refuse_if_changed(interrupted, ledger, trials=8, force=False)
    assert len(str(refused.value).splitlines()) <= 10 and "more differences" in str(refused.value)


def test_a_ledger_without_the_text_is_not_compared(interrupted: ExperimentFolder) -> None:
    with Ledger.open(interrupted.ledger) as ledger:
        ledger._db.execute("DELETE FROM meta WHERE key = 'space_yaml'")
    change(interrupted, "trials: 8", "trials: 12")
    with Ledger.open(interrupted.ledger) as ledger:
        refuse_if_changed(interrupted, ledger, trials=12, force=False)


def test_more_trials_are_written_and_noted_and_nothing_else_is_let_through(interrupted: ExperimentFolder) -> None:
    before = interrupted.space_yaml.read_text()
    with Ledger.open(interrupted.ledger) as ledger:
        with pytest.raises(InputError, match="have already begun"):
            set_trials(interrupted, ledger, ledger.total)
        assert interrupted.space_yaml.read_text() == before
        change(interrupted, "trials: 8", "trials: 12")  # as after a crash before the note
        with pytest.raises(InputError, match="--trials 12"):
            refuse_if_changed(interrupted, ledger, trials=12, force=False)
        refuse_if_changed(interrupted, ledger, trials=12, force=False, other_trials=True)
        for _ in range(2):
            set_trials(interrupted, ledger, 12)
        (note,) = ledger.events_of("space_changed")
        assert note.data["differences"] == ["search.trials: 8 -> 12"]
        refuse_if_changed(interrupted, ledger, trials=12, force=False)
        set_trials(interrupted, ledger, 14)
    assert interrupted.space_yaml.read_text() == before.replace("trials: 8", "trials: 14", 1)
    assert summarise(interrupted)["trials"]["planned"] == trials_in_file(interrupted) == 14
    change(interrupted, "width: 4", "width: 6")
    with Ledger.open(interrupted.ledger) as ledger, pytest.raises(InputError, match=r"space\.stem\.width: 4 -> 6"):
        refuse_if_changed(interrupted, ledger, trials=14, force=False, other_trials=True)


@pytest.mark.parametrize("text", ["name: a\n", "search: {seed: 1}\n", "search:\n  trials: 0x8 # so many\n  seed: 1\n"])
def test_trials_are_set_in_any_file(text: str) -> None:
    data = read(text).data
    assert read(_with_trials(text, 12)).data == {**data, "search": {**data.get("search", {}), "trials": 12}}


def test_a_finished_search_goes_on_and_its_new_winner_is_tested(tmp_path: Path) -> None:
    _, folder = tiny(tmp_path, "search.trials=2", "training.epochs=1")
    drive_locally(load_space(folder.space_yaml), folder)
    with Ledger.open(folder.ledger) as ledger:
        ledger.end("finished")
        assert [event.trial for event in ledger.events_of("tested")] == [ledger.best().number]
        set_trials(folder, ledger, 8)
    drive_locally(load_space(folder.space_yaml), folder)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.total == 8 and ledger.counts().finished == 8
        assert ledger.best().number > 2, "the seed makes a later one the best"
        assert [event.trial for event in ledger.events_of("tested")][1:] == [ledger.best().number]
