"""Fault 9: the machine's clock jumps by an hour or a day, forwards or back: nothing times out, no order changes."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from archsearch.experiment import Ledger
from archsearch.experiment.steady import steady
from archsearch.experiment.summary import summarise
from archsearch.search.deadline import Deadline
from tests.experiment import fill
from tests.faults.driving import drive, new
from tests.faults.invariants import check_whole, story

JUMPS = [3600.0, -3600.0, 86_400.0, -86_400.0]


@pytest.fixture(params=JUMPS, ids=lambda seconds: f"{seconds:+.0f}s")
def jumps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """From its twentieth reading on, time.time is another; the readings are kept."""
    real, readings = time.time, []

    def jumping() -> float:
        readings.append(real())
        return real() + (request.param if len(readings) > 20 else 0.0)

    monkeypatch.setattr(time, "time", jumping)
    for _ in range(21):
        time.time()
    assert abs(time.time() - real()) > 3000
    return readings


def test_a_search_ends_as_it_would_have_and_its_times_run_on(tmp_path: Path, jumps: list[float]) -> None:
    plain, other = new(tmp_path / "plain"), new(tmp_path / "other")
    drive(plain)
    drive(other)
    check_whole(other, planned=8)
    assert story(plain) == story(other)
    with Ledger.read(other.ledger) as ledger:
        assert all(later.time >= earlier.time for earlier, later in pairwise(ledger.events()))
    assert summarise(other)["seconds"] < 600


def test_a_wall_time_is_not_over_because_the_clock_was_set(tmp_path: Path, jumps: list[float]) -> None:
    folder = new(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        deadline = Deadline(1800.0, 3, ledger)
        fill.trial(ledger)
        assert 1600 < deadline.left() < 1800
        assert 0 <= ledger.driven_seconds() < 100


def test_the_steady_clock_is_the_time_of_day() -> None:
    assert abs(steady() - time.time()) < 3600  # of a process whose clock was not set meanwhile
    first = steady()
    time.sleep(0.05)
    assert steady() - first > 0.04
