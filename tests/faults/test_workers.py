"""Faults 1, 4, 7, 10, 11 and 12: what befalls the workers of a real search on a real Ray. Minutes each."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from tests.faults.invariants import PATIENCE, check_gone, check_whole, check_words, ended, leave, marked
from tests.faults.test_real import DIGITS, start, until_paused
from tests.search.test_main_job import lanes_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds Ray's workers in /proc"),
]
SMALL = "space: {stages: 2, stem: {width: 8}, depth: {int: [1, 3], each: stage}, width: {choice: [4, 8, 12, 16]}}\n"
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL)


def finish(process: "subprocess.Popen[str]", *, code: int = 0) -> None:
    _, said = process.communicate(timeout=4 * PATIENCE)
    check_words(process.returncode, said, allowed={code})


def events(folder: ExperimentFolder, *kinds: str) -> int:
    if not folder.ledger.exists():
        return 0
    with Ledger.read(folder.ledger) as ledger:
        return len(ledger.events_of(*kinds))


def running(folder: ExperimentFolder) -> int:
    with Ledger.read(folder.ledger) as ledger:
        return ledger.counts().running


def wait_until(condition, process: "subprocess.Popen[str]") -> None:
    began = time.monotonic()
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < PATIENCE, "nothing happened in time"
        time.sleep(0.05)


def check_attempts(folder: ExperimentFolder) -> tuple[int, int]:
    """(deaths, epochs trained again): after a death a trial went on from its last state, which is at most an epoch
    behind where every epoch is saved; and no more died of one trial than may."""
    with Ledger.read(folder.ledger) as ledger:
        again, deaths = 0, 0
        for trial in ledger.trials():
            trained = Counter(event.data["epoch"] for event in ledger.events_of("epoch", trial=trial.number))
            reasons = [e.data["reason"] for e in ledger.events_of("requeued", trial=trial.number)]
            deaths += len(reasons)
            again += sum(count - 1 for count in trained.values())
            if trial.state is TrialState.FAILED:
                assert trial.reason == "crashed: its worker died" and len(reasons) == 2
                deaths += 1
        return deaths, again


def workers_killed(place: Path, kills: int, *, seed: int = 0) -> tuple[int, int]:
    """(kills that hit a trial, epochs trained again) of a search whose workers are killed so often, each at a random
    moment."""
    folder, mark, draw = ExperimentFolder(place / "out"), uuid.uuid4().hex, random.Random(seed)
    trials = 10 + 3 * kills
    words = ("--set", "training.epochs=6", "--set", "search.checkpoint_every=1s", "--trials", str(trials))
    process = start(place, mark, "run", str(DIGITS), *words, "--output", str(folder.path))
    until_paused(folder, process)
    for number in range(kills):
        wait_until(lambda: lanes_of(process.pid), process)
        known = events(folder, "epoch")
        wait_until(lambda known=known: events(folder, "epoch") > known, process)
        time.sleep(draw.uniform(0, 0.5))
        if victims := lanes_of(process.pid):
            os.kill(draw.choice(victims), SIGNALS[number % len(SIGNALS)])
    finish(process)
    check_whole(folder, planned=trials)
    check_gone(mark)
    return check_attempts(folder)


def test_workers_that_are_killed_lose_no_trial(tmp_path: Path) -> None:
    deaths, _ = workers_killed(tmp_path, 4)
    assert deaths >= 2


# ---- fault 12: a loader that never answers


def image_folder(place: Path) -> Path:
    for kind in "ab":
        (place / "train" / kind).mkdir(parents=True)
        for number in range(24):
            pixels = np.random.default_rng([ord(kind), number]).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / "train" / kind / f"{number}.png")
    return place


def worker_hangs(place: Path) -> float:
    """A search on images one of which becomes a pipe into which nobody writes, until a worker has hung. Seconds from
    the last sign of life to its death."""
    images, limit = image_folder(place / "images"), 5.0
    file = place / "space.yaml"
    file.write_text(
        f"archsearch: 1\nname: hangs\ndata: {{name: folder, root: {images}, size: 16, in_memory: false}}\n{SMALL}"
        "search: {trials: 6, epoch_limit: 5s, early_stopping: {kind: none}}\n"
        "training: {epochs: 200, batch_size: 8, precision: float32}\nresources: {max_concurrent: 1}\n"
    )
    folder, mark = ExperimentFolder(place / "out"), uuid.uuid4().hex
    process = start(place, mark, "run", str(file), "--output", str(folder.path))
    wait_until(lambda: events(folder, "epoch") >= 2, process)
    victim = images / "train" / "a" / "3.png"
    kept = victim.read_bytes()
    victim.unlink()
    os.mkfifo(victim)
    wait_until(lambda: events(folder, "requeued") >= 1, process)
    victim.unlink()
    victim.write_bytes(kept)
    finish(process)
    check_whole(folder, planned=6)
    check_gone(mark)
    with Ledger.read(folder.ledger) as ledger:
        (hung,) = ledger.events_of("requeued")
        assert hung.data["reason"] == "hung: no epoch finished within search.epoch_limit, 5 s"
        before = [event.time for event in ledger.events() if event.id < hung.id][-1]
    assert hung.time - before < limit + 10
    return hung.time - before


def test_a_worker_whose_images_never_come_is_killed_and_its_trial_goes_on(tmp_path: Path) -> None:
    worker_hangs(tmp_path)


# ---- fault 4: nodes


@contextmanager
def node(place: Path, mark: str, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """One of Ray's, on this machine."""
    command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--disable-usage-stats", *words]
    environment = {**marked(mark), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    with (place / f"node-{uuid.uuid4().hex[:6]}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            yield process
        finally:
            kill_all(process.pid)


def kill_all(leader: int) -> None:
    """With SIGKILL: a node and all that it started. Stopped first, so that none of them reports another's death: a
    machine that loses its power does not either."""
    pids = [leader, *descendants(leader)]
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sent)


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) if entry.name.isdigit() else -1
        except (OSError, IndexError):
            continue
        if parent == pid:
            found += [*descendants(int(entry.name)), int(entry.name)]
    return found


def nodes_die(place: Path, port: int = 26379) -> dict[str, float]:
    """A search on a head and a worker node, each with one lane. kill -9 of the worker node: the search goes on by
    itself; then of the head: `resume` ends it on a Ray of its own."""
    folder, mark, address = ExperimentFolder(place / "out"), uuid.uuid4().hex, f"127.0.0.1:{port}"
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
    shared = ("--num-cpus", "1", "--node-ip-address", "127.0.0.1")
    with node(place, mark, "--head", "--port", str(port), "--include-dashboard", "false", *shared) as head:
        time.sleep(20)
        with node(place, mark, "--address", address, *shared) as worker:
            time.sleep(15)
            words = ("--address", address, "--trials", "40", "--set", "training.epochs=6", "--output", str(folder.path))
            process = start(place, mark, "run", str(DIGITS), *words)
            until_paused(folder, process, more=4)
            wait_until(lambda: running(folder) >= 2, process)  # the worker node's lane takes longer to start
            kill_all(worker.pid)
            wait_until(lambda: events(folder, "requeued") >= 1, process)
            until_paused(folder, process, more=3)
            with Ledger.read(folder.ledger) as ledger:
                reasons = {event.data["reason"] for event in ledger.events_of("requeued")}
            assert reasons == {"preempted: its worker's node is gone"}, reasons
            kill_all(head.pid)
            code, said, left = leave(process, signal.SIGINT)
            check_words(code, said, allowed={1, 3})
    before = ended(folder)
    check_gone(mark, within=60)
    process = start(place, mark, "resume", str(folder.path))
    finish(process)
    check_whole(folder, planned=40, before=before)
    check_gone(mark)
    return {"left": left}


def test_a_node_dies_and_then_the_head(tmp_path: Path) -> None:
    nodes_die(tmp_path)


def test_a_search_says_as_json_why_it_gave_up(tmp_path: Path) -> None:
    """Every image is broken after the search has listed them: exit code 1, and the reason."""
    images, mark = image_folder(tmp_path / "images"), uuid.uuid4().hex
    file = tmp_path / "space.yaml"
    file.write_text(
        f"archsearch: 1\nname: broken\ndata: {{name: folder, root: {images}, size: 16, in_memory: false}}\n{SMALL}"
        "search: {trials: 9, early_stopping: {kind: none}}\ntraining: {epochs: 400, batch_size: 8}\n"
    )
    folder = ExperimentFolder(tmp_path / "out")
    process = start(tmp_path, mark, "run", str(file), "--json", "--output", str(folder.path))
    wait_until(lambda: events(folder, "epoch") >= 1, process)
    for path in images.glob("train/*/*.png"):
        path.write_bytes(path.read_bytes()[:50])
    out, said = process.communicate(timeout=PATIENCE)
    check_words(process.returncode, said, allowed={1})
    document = json.loads(out)
    assert document["state"] == "failed" and document["trials"]["failed"] == 5
    assert document["reason"].startswith("the first 5 trials failed; 5 of them such as t0001: data: ")
    check_gone(mark)
