"""What becomes of trials that fail, each in a real way, and of searches in which all do."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Failure, Ledger, TrialState
from archsearch.search.deciding.failures import ATTEMPTS
from archsearch.search.deciding.messages import (
    EpochTrained,
    Ready,
    ReportIn,
    Rest,
    RungReached,
    Train,
    TrialFailed,
    Wait,
)
from archsearch.search.deciding.messages import Test as Look
from archsearch.search.deciding.search import Search
from archsearch.search.proposing.proposals import Proposals
from archsearch.search.running.conductor import Conductor
from archsearch.search.running.worker import TrialWorker
from archsearch.training.epoch import graph
from tests.search.local import Silent, drive_locally, tiny

CRASHED = Failure("crashed", "its worker died")
PREEMPTED = Failure("preempted", "its worker's node is gone")


@pytest.fixture
def search(tmp_path: Path):
    space, folder = tiny(tmp_path, "training.batch_size=32")
    with Ledger.open(folder.ledger) as ledger:
        yield Search(space=space, folder=folder, ledger=ledger, observer=Silent())


def ready(search: Search):
    return search.respond(Ready())


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's address space")
def test_a_batch_that_does_not_fit_is_reported_and_nothing_of_it_stays_in_memory() -> None:
    """A whole batch takes 256 MiB a tensor, so each failure comes with one to three of them in use, on the way forward
    or back; a part takes 100 MiB. What glibc itself keeps, or reserves for a thread, is no part of it: so one heap, and
    freed tensors returned."""
    command = [sys.executable, "-m", "tests.search.starved", *(str(spare * 2**20) for spare in (300, 550, 800))]
    glibc = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(2**17)}
    ran = subprocess.run(command, env={**os.environ, **glibc}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, *limited = map(json.loads, ran.stdout.splitlines())
    assert first == "epoch"
    assert limited == 3 * [[*3 * ["oom: the trial ran out of memory"], "epoch"]]


def test_out_of_memory_is_tried_again_with_half_the_images_at_once(search: Search) -> None:
    sizes, order = [], ready(search)
    while isinstance(order, Train) and order.number == 1:
        sizes.append(order.micro_batch)
        order = search.respond(TrialFailed(number=1, failure=Failure("oom", "the trial ran out of memory")))
    assert sizes == [None, 16, 8, 4]
    assert search.ledger.trial(1).state is TrialState.FAILED
    assert search.ledger.trial(1).reason == "oom: the trial ran out of memory"
    told = [event.data["reason"] for event in search.ledger.events_of("requeued", trial=1)]
    assert told == [
        f"oom: the trial ran out of memory; trying again with {size} images per forward pass" for size in (16, 8, 4)
    ]


def test_a_worker_takes_the_images_in_smaller_parts(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    words = {"number": 1, "attempt": 1, "architecture": Proposals(space).propose(1).architecture.to_dict(), "seed": 0}
    seen: dict[int | None, set[int]] = {}
    for micro_batch in (None, 16):
        sizes = seen[micro_batch] = set()
        assert isinstance(worker.carry_out(Train(**words, micro_batch=micro_batch)), EpochTrained)
        training = worker._training
        training.model.register_forward_pre_hook(lambda _, args, sizes=sizes: sizes.add(len(args[0])))
        training.train_epoch()
    assert seen == {None: {32}, 16: {16}}


def test_a_graph_that_is_not_used_is_in_the_ledger_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "replayable", lambda step: True)
    monkeypatch.setattr(graph, "FEWEST", 0)  # torch has no graph here, and says so
    space, folder = tiny(tmp_path, "search.trials=2")
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:
        noted = ledger.events_of("no_graph")
        assert {event.trial for event in noted} == {1, 2}
        assert all(event.data["reason"] for event in noted)
        assert ledger.counts().failed == 0


def test_a_trial_is_freed_before_the_next_network_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, _ = tiny(tmp_path)
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    architecture, build = Proposals(space).propose(1).architecture.to_dict(), TrialWorker._fresh
    last: list[weakref.ref] = []
    alive: list[bool] = []

    def watched(self: TrialWorker, train: Train) -> object:
        alive.extend(reference() is not None for reference in last[-1:])
        return build(self, train)

    monkeypatch.setattr(TrialWorker, "_fresh", watched)
    gc.disable()  # a cycle would keep the GPU's memory until whenever Python looks for one
    try:
        for number in (1, 2, 3):
            assert isinstance(
                worker.carry_out(Train(number=number, attempt=1, architecture=architecture, seed=number)), EpochTrained
            )
            last.append(weakref.ref(worker._training))
    finally:
        gc.enable()
    assert alive == [False, False]


@pytest.mark.parametrize(("failure", "attempts"), [(CRASHED, 3), (Failure("hung", "no epoch"), 2)], ids=str)
def test_a_dead_or_hung_workers_trial_is_tried_again_so_often(search: Search, failure: Failure, attempts: int) -> None:
    for _ in range(attempts):
        order = ready(search)
        assert order.number == 1
        search.lost(order, failure)
    assert (search.ledger.trial(1).state, search.ledger.trial(1).reason) == (TrialState.FAILED, str(failure))


def test_a_preempted_worker_uses_up_no_attempt(search: Search) -> None:
    for _ in range(20):
        order = ready(search)
        assert order.number == 1
        search.lost(order, PREEMPTED)
    assert search.ledger.trial(1).state is TrialState.WAITING


def test_attempts_are_counted_over_drivers(search: Search) -> None:
    for _ in range(ATTEMPTS["crashed"]):
        order = ready(search)
        assert order.number == 1
        search.lost(order, CRASHED)
        search = Search(space=search.space, folder=search.folder, ledger=search.ledger, observer=Silent())
    assert search.ledger.trial(1).state is TrialState.FAILED


def test_an_interruption_uses_up_no_attempt(search: Search) -> None:
    for _ in range(10):
        assert ready(search).number == 1
        search.interrupted()
    assert search.ledger.trial(1).state is TrialState.WAITING


def test_who_comes_late_has_hung_and_who_dies_early_has_crashed(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.epoch_limit=1s")
    with Ledger.open(folder.ledger) as ledger:
        conductor = Conductor(
            search=Search(space=space, folder=folder, ledger=ledger, observer=Silent()), workers_are_up=lambda: None
        )
        conductor.follow("lane", [Ready()])
        conductor.lost("lane", preempted=False)
        assert ledger.trial(1).reason == "crashed: its worker died"
        conductor.follow("lane", [Ready()])
        time.sleep(1.05)
        conductor.lost("lane", preempted=False)
        assert ledger.trial(1).reason == "hung: no epoch finished within search.epoch_limit, 1 s"
        conductor.follow("lane", [Ready()])
        conductor.lost("lane", preempted=True)
        assert ledger.trial(1).reason == "preempted: its worker's node is gone"


HANGS = {
    "in Python": "while True: pass",
    "asleep": "time.sleep(1000)",
    "in C, with the interpreter's lock": "ctypes.PyDLL(None).sleep(1000)",
}


@pytest.mark.parametrize("hang", HANGS)
def test_a_worker_that_hangs_ends_itself_though_it_ignores_signals(hang: str) -> None:
    script = f"""
import ctypes, signal, time
from archsearch.search.running.watchdog import killed_after
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with killed_after(60):
    pass
with killed_after(1):
    print("hangs", flush=True)
    {HANGS[hang]}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "hangs\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Timeout" in err


def test_a_trial_whose_epochs_take_too_long_in_all_fails(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trial_limit=1s", "search.early_stopping={kind: none}")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        assert ready(search).number == 1
        metrics = {"epochs": 3, "validation_accuracy": 0.5, "seconds": 0.6}
        search.respond(EpochTrained(number=1, metrics={**metrics, "epoch": 1}))
        assert ledger.trial(1).state is TrialState.RUNNING
        search.respond(EpochTrained(number=1, metrics={**metrics, "epoch": 2}))
        assert ledger.trial(1).state is TrialState.FAILED
        assert ledger.trial(1).reason == "late: 1 s of training; search.trial_limit is 1 s"


def test_a_search_in_which_all_fails_gives_up_and_says_why(tmp_path: Path) -> None:
    """Its images are damaged after they were listed."""
    for kind in "ab":
        (tmp_path / "images" / "train" / kind).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / "train" / kind / f"{number}.png")
    space, _ = tiny(tmp_path, f"data={{name: folder, root: {tmp_path / 'images'}, size: 16, in_memory: false}}",
                    "budget={}", "search.trials=9", "training.batch_size=8")  # fmt: skip
    folder = ExperimentFolder(tmp_path / "experiment")
    images = load_images(space.data)
    for path in (tmp_path / "images").glob("train/*/*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        worker, order, steps = TrialWorker(images, space.training, threads=1), ReportIn(), 0
        while not isinstance(order, Rest):
            order, steps = search.respond(worker.carry_out(order)), steps + 1
            assert steps < 50
        assert ledger.counts().failed == ledger.counts().total == 5
        assert search.gave_up.startswith("the first 5 trials failed; 5 of them such as t0001: data: ")
        assert ".png" in search.gave_up


def test_it_waits_for_those_that_still_run_before_it_gives_up(search: Search) -> None:
    orders = [ready(search) for _ in range(8)]
    for order in orders[:7]:
        said = search.respond(TrialFailed(number=order.number, failure=Failure("nan", "the loss")))
    assert isinstance(said, Wait)
    said = search.respond(
        RungReached(number=8, state=b"state",
                    metrics={"epoch": 1, "epochs": 3, "validation_accuracy": 0.5, "seconds": 0.1})
    )  # fmt: skip
    assert isinstance(said, Train) and said.number == 8, "the one that did not fail goes on to the end"
    assert not search.gave_up


@pytest.mark.parametrize("deaths", [0, 2, 3])
def test_a_worker_that_dies_while_it_tests_the_winner_is_followed_by_another(tmp_path: Path, deaths: int) -> None:
    space, folder = tiny(tmp_path, "search.trials=2", "search.early_stopping={kind: none}", "training.epochs=1")
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        order = ready(search)
        while not isinstance(order, Look):
            order = search.respond(worker.carry_out(order))
        for failure in [PREEMPTED] * 3 + [CRASHED] * deaths:
            assert isinstance(order, Look) and isinstance(ready(search), Rest | Wait), "one at a time"
            search.lost(order, failure)
            order = ready(search)
        if deaths < ATTEMPTS["crashed"]:
            order = search.respond(worker.carry_out(order))
        assert isinstance(order, Rest)
        looks = [event.kind for event in ledger.events_of("tested", "test_failed")]
        assert looks == (["tested"] if deaths < ATTEMPTS["crashed"] else ["test_failed"])
