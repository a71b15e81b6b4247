"""Faults 2 and 3: the driver is killed at every named place and at random moments; the search ends as if nothing had
happened. Without Ray, and with a worker that trains by a formula; test_real.py has the real one."""

import random
import re
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Failure, crash_point
from archsearch.experiment.crash import EVENTS, NAMES, VARIABLE
from archsearch.search.deciding.messages import RungReached, TrialFailed
from archsearch.space.loading import load_space
from tests.faults.driving import Arithmetic, begin_anew, drive, in_a_child, new
from tests.faults.invariants import check_states, check_study, check_whole, ended, story
from tests.search.local import SPACE

PACKAGE = Path(__file__).parents[2] / "archsearch"
BIRTH = {"space-written", "ledger-made"}
TRACKING = {"parent-created", "run-created", "run-described", "points-sent", "cursor-moved", "runs-settled"}
# Only after a first crash, or a worker's failure: see below.
LATER = {f"{kind}-{when}" for kind in ("requeued", "failed") for when in ("before", "after")}
# How often the small search passes there; everywhere else five times at least.
PASSINGS = {
    "began": 1,
    "ended": 1,
    "note": 1,
    "stopped": 1,
    "finished": 2,
    "weights": 1,
    "promoted": 3,
    "predictions": 1,
}
DRIVERS = sorted(NAMES - BIRTH - TRACKING - LATER)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = new(tmp_path_factory.mktemp("whole"))
    drive(folder)
    check_whole(folder, planned=8)
    return folder


def recover(folder: ExperimentFolder, whole: ExperimentFolder) -> None:
    """`resume` ends the search as the uninterrupted one ended, and nothing that had ended is touched."""
    before = ended(folder)
    check_states(folder)
    check_study(folder)
    drive(folder)
    check_whole(folder, planned=8, before=before)
    assert story(folder) == story(whole)


@pytest.mark.parametrize("place", DRIVERS)
def test_killed_at_a_named_place(tmp_path: Path, whole: ExperimentFolder, place: str) -> None:
    folder = new(tmp_path)
    passing = random.Random(place).randint(1, PASSINGS.get(place.partition("-")[0], 5))
    assert in_a_child(lambda: drive(folder), crash=f"{place}:{passing}") == -9, "it never passed there"
    recover(folder, whole)


@pytest.mark.parametrize("place", sorted(LATER))
def test_killed_while_it_recovers_or_while_a_worker_fails(tmp_path: Path, whole: ExperimentFolder, place: str) -> None:
    folder = new(tmp_path)
    if place.startswith("requeued"):
        assert in_a_child(lambda: drive(folder), crash="started-after:3") == -9
        assert in_a_child(lambda: drive(folder), crash=place) == -9
        recover(folder, whole)
        return

    class Failing(Arithmetic):
        def carry_out(self, instruction):
            report = super().carry_out(instruction)
            fails = isinstance(report, RungReached) and report.number == 3
            return TrialFailed(number=3, failure=Failure("nan", "of all things")) if fails else report

    def failing() -> None:
        drive(folder, lambda space: Failing(space.training.epochs))

    assert in_a_child(failing, crash=place) == -9, "trial 3 never failed"
    failing()
    check_whole(folder, planned=8)


@pytest.mark.parametrize("place", sorted(BIRTH | {"file-written", "file-renamed"}))
def test_killed_before_there_is_a_ledger(tmp_path: Path, whole: ExperimentFolder, place: str) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = load_space(tmp_path / "space.yaml")
    assert in_a_child(lambda: begin_anew(space, tmp_path), crash=place) == -9
    folder = ExperimentFolder(tmp_path / "x")
    assert not folder.ledger.exists()
    assert begin_anew(space, tmp_path).path == folder.path  # `run` again, with the same --output
    recover(folder, whole)


def test_killed_at_random_moments(tmp_path: Path, whole: ExperimentFolder, moments: int = 3) -> None:
    draw, longest = random.Random(0), 0.6
    for moment in range(moments):
        for attempt in range(30):
            folder = new(tmp_path / f"{moment}-{attempt}")
            if in_a_child(lambda folder=folder: drive(folder), kill_after=draw.uniform(0.0, longest)) == -9:
                break
            longest *= 0.8  # it was quicker
        else:
            pytest.fail("it was never hit")
        recover(folder, whole)


def test_killed_again_and_again(tmp_path: Path, whole: ExperimentFolder) -> None:
    folder = new(tmp_path)
    for place in (
        "started-after:2",
        "began-after",
        "paused-after:2",
        "epoch-before:4",
        "promoted-after",
        "ended-before",
    ):
        assert in_a_child(lambda place=place: drive(folder), crash=place) == -9
        check_states(folder)
    recover(folder, whole)


def test_two_workers_and_a_kill_lose_nothing(tmp_path: Path) -> None:
    for place in ("paused-after:4", "weights-written:1", "promoted-before:2", "finished-after:1"):
        folder = new(tmp_path / place.replace(":", "-"))
        assert in_a_child(lambda folder=folder: drive(folder, workers=2), crash=place) == -9
        before = ended(folder)
        drive(folder, workers=2)
        check_whole(folder, planned=8, before=before)


def test_every_place_is_in_the_list_and_in_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        name for file in PACKAGE.rglob("*.py") for name in re.findall(r'crash_point\("([^"]+)"\)', file.read_text())
    }
    assert said == {name for name in NAMES if name.rpartition("-")[0] not in EVENTS}
    with pytest.raises(ValueError, match="is no crash point"):
        crash_point("nowhere")
    monkeypatch.setenv(VARIABLE, "no-such-place")
    with pytest.raises(ValueError, match="names no crash point"):
        crash_point("file-written")
