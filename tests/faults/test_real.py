"""Faults 2, 3, 17 and I5 with the real trainer, and with the real Ray."""

import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger
from tests.faults.driving import new
from tests.faults.invariants import (
    PATIENCE,
    check_gone,
    check_states,
    check_whole,
    check_words,
    ended,
    leave,
    marked,
    story,
)
from tests.faults.test_crashes import DRIVERS, PASSINGS
from tests.faults.zygote import zygote
from tests.search.test_main_job import start as run_command

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
QUICK = ("paused-before", "state-written", "promoted-after", "weights-written")
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


def bit_for_bit(place: Path, crashes: list[str]) -> int:
    """Kills the real search, one worker, at each of these places; each goes on as if it had not been. How many."""
    with zygote() as run:
        whole = new(place / "whole")
        assert run(whole) == 0
        check_whole(whole, planned=8)
        for crash in crashes:
            folder = new(place / crash.replace(":", "-"))
            assert run(folder, crash) == -9, f"{crash}: it never passed there"
            before = ended(folder)
            check_states(folder)
            assert run(folder) == 0
            check_whole(folder, planned=8, before=before)
            assert story(folder) == story(whole), crash
    return len(crashes)


def test_a_killed_search_measures_the_same_to_the_last_bit(tmp_path: Path) -> None:
    bit_for_bit(tmp_path, [f"{place}:{PASSINGS.get(place.partition('-')[0], 3)}" for place in QUICK])


@pytest.mark.slow
def test_a_killed_search_measures_the_same_wherever_it_was_killed(tmp_path: Path) -> None:
    bit_for_bit(tmp_path, [f"{place}:1" for place in DRIVERS])


# ---- with Ray


def start(folder: Path, mark: str, *words: str) -> "subprocess.Popen[str]":
    return run_command(folder, *words, env=marked(mark))


def until_paused(folder: ExperimentFolder, process: "subprocess.Popen[str]", more: int = 1) -> None:
    """Until so many more trials have come to a rung."""
    before, began = _paused(folder), time.monotonic()
    while _paused(folder) < before + more:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < PATIENCE, "nothing happened in time"
        time.sleep(0.05)


def _paused(folder: ExperimentFolder) -> int:
    if not folder.ledger.exists():
        return 0
    with Ledger.read(folder.ledger) as ledger:
        return len(ledger.events_of("paused"))


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "Ctrl-C twice", "SIGKILL"])
def test_it_leaves_and_resumes_whole(tmp_path: Path, how: str) -> None:
    left_and_resumed(tmp_path, how)


def left_and_resumed(place: Path, how: str) -> dict[str, float]:
    """A search of 12 trials that is told to leave in this way, and is then resumed. Seconds until it was saved and had
    left, until nothing of it lived any more, and until `resume` wrote its first event."""
    signals = {"Ctrl-C": (signal.SIGINT,), "SIGTERM": (signal.SIGTERM,), "SIGKILL": (signal.SIGKILL,),
               "Ctrl-C twice": (signal.SIGINT, signal.SIGINT)}[how]  # fmt: skip
    folder, mark = ExperimentFolder(place / "out"), uuid.uuid4().hex
    process = start(place, mark, "run", str(DIGITS), "--trials", "12", "--output", str(folder.path))
    until_paused(folder, process, more=2)
    code, said, left = leave(process, *signals)
    if how == "SIGKILL":
        assert code == -signal.SIGKILL
    else:
        check_words(code, said, allowed={3})
    gone = check_gone(mark, within=90.0 if how == "SIGKILL" else 30.0)  # nobody is left to end the others
    before = ended(folder)
    check_states(folder)
    with Ledger.read(folder.ledger) as ledger:
        known = ledger.last_event()
    began = time.monotonic()
    process = start(place, mark, "resume", str(folder.path), "--json")
    while True:
        with Ledger.read(folder.ledger) as ledger:
            if ledger.last_event() > known:
                break
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    resumed = time.monotonic() - began
    _, said = process.communicate(timeout=PATIENCE)
    check_words(process.returncode, said, allowed={0})
    check_whole(folder, planned=12, before=before)
    return {"left": left, "gone": gone, "resumed": resumed, "gone_after_the_end": check_gone(mark, within=90.0)}
