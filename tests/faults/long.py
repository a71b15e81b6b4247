"""Every fault of docs/reliability.md in its long form, and the table of their figures: `python -m tests.faults.long`.

Writes benchmarks/results/faults.md. `--only 2,6` runs some, and leaves the other rows as they are. An hour on two
cores: a minute's outage of MLflow three times, ten thousand trials, four real searches killed and resumed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from archsearch import __version__
from archsearch.experiment.summary import summarise
from tests.faults.driving import drive, in_a_child, new
from tests.faults.invariants import check_whole, ended, story
from tests.faults.many import HALVING, PLAIN, many
from tests.faults.room import most_taken
from tests.faults.servers import AWAY, through_an_outage
from tests.faults.test_crashes import DRIVERS, PASSINGS
from tests.faults.test_disk import cut_ledgers, cut_outboxes
from tests.faults.test_files_of_strangers import bombs, hurt, mutations
from tests.faults.test_real import bit_for_bit, left_and_resumed
from tests.faults.test_workers import nodes_die, worker_hangs, workers_killed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "faults.md"
HEAD = "| # | fault | held | figure |\n|---|---|---|---|\n"


def crashes(place: Path) -> str:
    whole = new(place / "whole")
    drive(whole)
    draw, slowest, killed = random.Random(1), 0.0, 0
    crashes = [f"{name}:{time}" for name in DRIVERS for time in range(1, PASSINGS.get(name.partition("-")[0], 3) + 1)]
    for crash in crashes:
        folder = new(place / crash.replace(":", "-"))
        killed += in_a_child(lambda folder=folder: drive(folder), crash=crash) == -9
        slowest = max(slowest, _resume(folder, whole))
    assert killed == len(crashes)
    moments, longest = 0, 0.6
    while moments < 20:
        folder = new(place / f"moment-{moments}-{longest:.3f}")
        if in_a_child(lambda folder=folder: drive(folder), kill_after=draw.uniform(0.0, longest)) != -9:
            longest *= 0.8
            continue
        moments += 1
        slowest = max(slowest, _resume(folder, whole))
    return (
        f"{len(crashes)} kills at {len(DRIVERS)} places, 20 at random moments: 0 lost, 0 twice; "
        f"resumed and ended in {slowest:.2f} s at most"
    )


def _resume(folder, whole) -> float:
    before, began = ended(folder), time.monotonic()
    drive(folder)
    took = time.monotonic() - began
    check_whole(folder, planned=8, before=before)
    assert story(folder) == story(whole)
    return took


def the_same(place: Path) -> str:
    count = bit_for_bit(place, [f"{name}:1" for name in DRIVERS])
    return (
        f"{count} searches with the real trainer killed at {count} places: configurations, decisions and metrics "
        "equal to the last bit"
    )


def dead_workers(place: Path) -> str:
    deaths, again = workers_killed(place, 50)
    return (
        f"50 workers killed by SIGKILL, SIGSEGV and SIGABRT, {deaths} of them at a trial: every trial ended, none "
        f"twice, {again} epochs trained again"
    )


def dead_nodes(place: Path) -> str:
    nodes_die(place)
    return "the worker node: the search went on by itself; the head: `resume` ended it; no attempt used up"


def damaged_states(place: Path) -> str:
    return _tests("tests/search/test_checkpoints.py", "tests/faults/test_disk.py", "-k", "damaged or poisoned_state")


def out_of_memory(place: Path) -> str:
    return _tests("tests/search/test_failures.py", "-k", "memory or fit or smaller")


def bad_ends(place: Path) -> str:
    return _tests("tests/search", "-k", "diverges or gives_up or dead_or_hung or all_fails")


def hung_workers(place: Path) -> str:
    tests = _tests("tests/search/test_failures.py", "-k", "hangs")
    return (
        f"{tests}; images that never come: dead {worker_hangs(place):.1f} s after the last sign of life, with a limit "
        "of 5 s; the trial went on"
    )


def full_disks(place: Path) -> str:
    return _tests("tests/faults/test_disk.py", "-k", "disk or limit_on or read_only")


def outages(place: Path) -> str:
    said = []
    for kind in AWAY:
        (place / kind).mkdir()
        found = through_an_outage(place / kind, kind, seconds=60, store=f"sqlite:///{place / kind}/mlflow.db")
        said.append(
            f"{kind} 60 s: {found['waited_at_most']:.0f} events waited, all there once, "
            f"driver {found['driver_cpu']:.2f} s of CPU"
        )
    (place / "without").mkdir()
    folder, cpu = new(place / "without"), time.process_time()
    drive(folder, after_each=lambda _: time.sleep(5))  # as often as in an outage
    return "; ".join(said) + f" ({time.process_time() - cpu:.2f} s without MLflow)"


def cuts(place: Path) -> str:
    ledgers = cut_ledgers(place / "ledger", 1)
    return (
        f"{ledgers:,} cuts of the ledger's last record, {cut_outboxes(place / 'outbox', 37):,} of the outbox: all open"
    )


def clocks(place: Path) -> str:
    return _tests("tests/faults/test_clock.py")


def broken_files(place: Path) -> str:
    refused, slowest = hurt(mutations(1000, seed=13), place)
    bombed, slowest_bomb = hurt(list(bombs().values()), place)
    assert bombed == len(bombs()) and max(slowest, slowest_bomb) <= 1.0, (slowest, slowest_bomb)
    return (
        f"1,000 mutated files: {refused} refused, {1000 - refused} still good, 0 tracebacks, 0 executions, "
        f"{slowest:.2f} s of CPU at most; {bombed} bombs: {slowest_bomb:.2f} s at most"
    )


def ten_thousand(place: Path) -> str:
    said = []
    for name, words in (("full training", PLAIN), ("halving", HALVING)):
        found = many(place / name, 10_000, *words)
        began = time.process_time()
        assert summarise(found.folder)["trials"]["total"] == 10_000
        asked = time.process_time() - began
        assert found.ratio <= 1.5, f"{name}: the last thousand took {found.ratio:.2f} times as long as the first"
        said.append(
            f"{name}: {found.first_ms:.1f} ms a trial among the first 1,000, {found.last_ms:.1f} among the last "
            f"(x {found.ratio:.2f}), {found.early_mb:.0f} -> {found.late_mb:.0f} MB, `status` {asked:.2f} s"
        )
    return "; ".join(said)


def several_drivers(place: Path) -> str:
    return _tests("tests/faults/test_two_drivers.py")


def folders(place: Path) -> str:
    return _tests("tests/faults/test_disk.py", "-k", "output or read_only or unicode")


def leaving(place: Path) -> str:
    said = []
    for how in ("Ctrl-C", "SIGTERM", "Ctrl-C twice", "SIGKILL"):
        (place / how).mkdir()
        found = left_and_resumed(place / how, how)
        said.append(
            f"{how}: left in {found['left']:.1f} s, nothing alive {found['gone']:.1f} s later, `resume` at work in "
            f"{found['resumed']:.1f} s"
        )
    return "; ".join(said)


def changed(place: Path) -> str:
    return _tests("tests/faults/test_changed_space.py")


def poison(place: Path) -> str:
    training = ("tests/data/test_dataset_readers.py", "tests/training/test_pretrained.py")
    return _tests("tests/faults/test_disk.py", *training, "-k", "poison or link or climb or pickle or archive")


def room(place: Path) -> str:
    found = most_taken(place, 1000)
    assert found["everything"] < 1000, found
    return "; ".join(f"{name} {size:.0f} MB" for name, size in found.items())


FAULTS: dict[int, tuple[str, Callable[[Path], str]]] = {
    1: ("workers of a real search are killed", dead_workers),
    2: ("the driver is killed with SIGKILL, at every named place and at random moments", crashes),
    3: ("the same, one worker, against an uninterrupted search", the_same),
    4: ("a Ray node is killed, then the head", dead_nodes),
    5: ("the disk fills", full_disks),
    6: ("MLflow's server is killed, stopped, answers 500", outages),
    7: ("states of trainings damaged, cut, empty, missing", damaged_states),
    8: ("ledger and outbox are cut off", cuts),
    9: ("the clock jumps by an hour or a day", clocks),
    10: ("a trial runs out of memory (RLIMIT_AS)", out_of_memory),
    11: ("nan, broken images, dead workers", bad_ends),
    12: ("a worker hangs: in Python, in C with the lock, at a file that never answers", hung_workers),
    13: ("broken and malicious search-space files", broken_files),
    14: ("10,000 trials that cost nothing", ten_thousand),
    15: ("several drivers on one experiment", several_drivers),
    16: ("output folders that cannot be used", folders),
    17: ("Ctrl-C, twice, SIGTERM, SIGKILL of a real search", leaving),
    18: ("resume with a changed space", changed),
    19: ("poisoned states, weights, data; names that climb; links", poison),
    20: ("room on disk of 1,000 trials of the quickstart's size, at most", room),
}


def _tests(*words: str) -> str:
    """The tests of a fault that have no other figure."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-2000:]
    return re.sub(r" in [\d.]+s.*", "", last)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.long", description=__doc__)
    parser.add_argument("--only", default="", help="numbers of faults, with commas")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = [int(word) for word in given.only.split(",") if word] or list(FAULTS)
    rows, failed = _written(), 0
    for number in chosen:
        name, fault = FAULTS[number]
        print(f"fault {number}: {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="fault-") as place:
            try:
                held, figure = "yes", fault(Path(place))
            except Exception as error:
                traceback.print_exc()
                held, figure, failed = "**no**", f"{type(error).__name__}: {error}".splitlines()[0][:200], failed + 1
        rows = _written()  # another run may have written others meanwhile
        rows[number] = f"| {number} | {name} | {held} | {figure} ({datetime.date.today()}) |"
        _write(rows)
    if given.json:
        document = {
            "name": "faults",
            "figures": {number: rows[number] for number in chosen},
            "target": "all hold",
            "met": not failed,
            "machine": _machine(),
            "versions": {"archsearch": __version__},
            "n": len(chosen),
        }
        print(json.dumps(document, indent=2))
    sys.exit(1 if failed else 0)


def _written() -> dict[int, str]:
    if not RESULTS.exists():
        return {}
    return {int(m[1]): m[0] for m in re.finditer(r"^\| (\d+) \|.*$", RESULTS.read_text(), re.MULTILINE)}


def _write(rows: dict[int, str]) -> None:
    text = "# The faults of docs/reliability.md\n\n`python -m tests.faults.long`; each row carries its date. "
    text += f"Last on {_machine()}.\n\n" + HEAD + "".join(f"{rows[number]}\n" for number in sorted(rows))
    RESULTS.write_text(text)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
