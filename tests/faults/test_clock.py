"""Fault 9: the machine's clock jumps by an hour or a day, forwards or back: nothing times out, no order changes."""

import subprocess
import sys
import time

import pytest

from archsearch.experiment.steady import steady

# In a process of its own, whose time.time is another before anybody has taken hold of it.
JUMPING = """
import sys, time
from pathlib import Path
real, offset = time.time, 0.0
time.time = lambda: real() + offset

from itertools import pairwise
from archsearch.experiment import Ledger
from archsearch.experiment.summary import summarise
from archsearch.search.deciding.deadline import Deadline
from tests.faults.driving import drive, new
from tests.faults.invariants import check_whole, story

place, jump = Path(sys.argv[1]), float(sys.argv[2])
plain, other, calls = new(place / "plain"), new(place / "other"), 0
drive(plain)
with Ledger.open(new(place / "timed").ledger) as ledger:
    ledger.begin()
    deadline = Deadline(1800.0, 3, ledger)

    def set_the_clock(_):
        global calls, offset
        calls += 1
        offset = jump if calls > 5 else 0.0

    drive(other, after_each=set_the_clock)
    assert calls > 10 and abs(time.time() - real()) > 3000
    check_whole(other, planned=8)
    assert story(plain) == story(other)
    with Ledger.read(other.ledger) as jumped:
        times = [event.time for event in jumped.events()]
    assert all(0 <= later - earlier < 600 for earlier, later in pairwise(times)), "the ledger's times jump"
    assert 0 <= summarise(other)["seconds"] < 600
    ledger.note("later", {})
    assert 0 <= ledger.driven_seconds() < 600
    assert 1100 < deadline.remaining() < 1800, "the wall time has jumped"
"""


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 86_400.0, -86_400.0])
def test_a_search_ends_as_it_would_have_and_its_times_run_on(tmp_path, jump: float) -> None:
    words = [sys.executable, "-c", JUMPING, str(tmp_path), str(jump)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_steady_clock_is_the_time_of_day() -> None:
    assert abs(steady() - time.time()) < 3600  # of a process whose clock was not set meanwhile
    first = steady()
    time.sleep(0.05)
    assert steady() - first > 0.04
