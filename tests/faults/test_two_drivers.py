"""Fault 15: several drivers on one experiment: one wins, the others leave with a word."""

import json
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

from archsearch.experiment import DriverRunning, ExperimentFolder
from tests.faults.driving import drive, new
from tests.faults.invariants import check_whole, check_words


def _race(folder: ExperimentFolder, said: Path, number: int) -> None:
    began = time.monotonic()
    try:
        drive(folder, after_each=lambda _: time.sleep(0.05))  # long enough that all are there
        outcome = "drove"
    except DriverRunning as error:
        outcome = str(error)
    (said / str(number)).write_text(json.dumps([outcome, time.monotonic() - began]))


def test_of_five_at_once_one_wins(tmp_path: Path) -> None:
    folder, said = new(tmp_path), tmp_path / "said"
    said.mkdir()
    fork = multiprocessing.get_context("fork")
    racers = [fork.Process(target=_race, args=(folder, said, n)) for n in range(5)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    outcomes = [json.loads(path.read_text()) for path in said.iterdir()]
    assert len(outcomes) == 5
    lost = [(outcome, seconds) for outcome, seconds in outcomes if outcome != "drove"]
    assert lost, "nobody was late"
    assert all("is in use by" in outcome for outcome, _ in lost)
    assert all(seconds < 60 for _, seconds in lost), lost  # they have 0.2 s of patience; the rest is a busy machine
    check_whole(folder, planned=8)


def test_every_verb_that_would_drive_leaves_with_4(tmp_path: Path) -> None:
    folder = new(tmp_path)
    with folder.driver_lock():
        words = [sys.executable, "-m", "archsearch", "resume", str(folder.path), "--force"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=300)
    check_words(done.returncode, done.stderr, allowed={4})
    assert "is in use by process" in done.stderr and done.stdout == ""
