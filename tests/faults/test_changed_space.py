"""Fault 18: a search that is resumed under other words is refused with the difference; `--force` is recorded."""

import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.summary import summarise
from archsearch.reading.errors import InputError
from archsearch.search.agreement import refuse_if_changed
from tests.faults.driving import drive, in_a_child, new
from tests.faults.invariants import check_words


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
