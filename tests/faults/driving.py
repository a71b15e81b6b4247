"""A driver without Ray: the real search, ledger, lock and files; a worker of one's choice. And its death at a place.

`Arithmetic` trains by a formula, so that a hundred crashes fit into seconds; `TrialWorker` is the real one.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from archsearch.experiment import ExperimentFolder, Failure, Ledger
from archsearch.experiment.crash import VARIABLE
from archsearch.experiment.predictions import Predictions, SplitPredictions
from archsearch.search.deciding.messages import (
    EpochTrained,
    GoOn,
    HandOver,
    Instruction,
    Ready,
    Report,
    Rest,
    RungReached,
    Test,
    Tested,
    Train,
    TrialFailed,
    Wait,
    Weights,
)  # fmt: skip
from archsearch.search.deciding.search import Search
from archsearch.search.session import clear_away, create
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from tests.search.local import SPACE, Silent

OUTPUTS = Predictions(
    task="single_label",
    classes=("a", "b"),
    splits={"test": SplitPredictions(scores=np.eye(9, 2, dtype=np.float32), labels=np.zeros(9, np.int64))},
)


class Worker(Protocol):
    def carry_out(self, instruction: Instruction) -> Report: ...


class Arithmetic:
    """A trial's metrics follow from its seed and the epoch. Its state says both, and is asked for them again."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._train, self._done = epochs, None, 0

    def carry_out(self, instruction: Instruction) -> Report:
        match instruction:
            case Train(state=state):
                self._train, self._done = instruction, 0
                if state is not None:
                    said = json.loads(state)
                    assert said["seed"] == instruction.seed, "another trial's state"
                    self._done = said["epoch"]
                return self._epoch()
            case GoOn(number=number):
                if self._train is None or self._train.number != number:
                    return TrialFailed(number=number, failure=Failure("crashed", "the worker was restarted"))
                return self._epoch()
            case HandOver(number=number):
                return Weights(number=number, weights=b"weights of %d" % number)
            case Test(number=number):
                return Tested(
                    number=number,
                    metrics={"test_accuracy": 0.5, "test_loss": 1.0, "images": 9},
                    predictions=OUTPUTS.recorded(),
                )
        return Ready()

    def _epoch(self) -> Report:
        self._done += 1
        number, seed = self._train.number, self._train.seed
        draw = int.from_bytes(hashlib.sha256(f"{seed}/{self._done}".encode()).digest()[:4], "big") / 2**32
        metrics = {"epoch": self._done, "epochs": self._epochs, "train_loss": 1 / self._done,
                   "validation_accuracy": 0.2 * self._done + 0.1 * draw, "seconds": 0.01}  # fmt: skip
        state = json.dumps({"seed": seed, "epoch": self._done}).encode()
        if self._done == self._train.pause:
            return RungReached(number=number, metrics=metrics, state=state)
        return EpochTrained(number=number, metrics=metrics, state=state if self._done < self._epochs else None)


def new(place: Path, *overrides: str) -> ExperimentFolder:
    """An experiment that nobody has driven yet."""
    return begin_anew(_space(place, overrides), place)


def begin_anew(space: SearchSpace, place: Path) -> ExperimentFolder:
    """As `run` does, also where a crash has left its beginnings."""
    folder = ExperimentFolder(place / "x")
    create(space, folder, name="x")
    return folder


def _space(place: Path, overrides: tuple[str, ...]) -> SearchSpace:
    place.mkdir(parents=True, exist_ok=True)
    file = place / "space.yaml"
    file.write_text(SPACE)
    return load_space(file, overrides)


def drive(
    folder: ExperimentFolder,
    make: Callable[[SearchSpace], Worker] | None = None,
    *,
    workers: int = 1,
    after_each: Callable[[Search], None] | None = None,
) -> None:
    """A session as `search.session.drive` has it: the lock, the ledger, the search until every worker rests."""
    with folder.driver_lock():
        folder.refuse_links()
        space = load_space(folder.space_yaml)
        make = make or (lambda space: Arithmetic(space.training.epochs))
        with Ledger.open(folder.ledger) as ledger:
            clear_away(space, folder, ledger)
            ledger.begin()
            search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
            try:
                _work(search, [make(space) for _ in range(workers)], after_each)
            except BaseException:
                search.interrupted()
                ledger.end("interrupted")
                raise
            ledger.end("finished" if ledger.best() else "failed")


def _work(search: Search, workers: list[Worker], after_each: Callable[[Search], None] | None) -> None:
    orders: list[Instruction] = [search.respond(Ready()) for _ in workers]
    while not all(isinstance(order, Rest) for order in orders):
        for lane, worker in enumerate(workers):
            report = Ready() if isinstance(orders[lane], Wait) else worker.carry_out(orders[lane])
            orders[lane] = search.respond(report)
            if after_each is not None:
                after_each(search)


def in_a_child(what: Callable[[], object], *, crash: str = "", kill_after: float | None = None) -> int:
    """The exit code of a forked child that does it: -9 where it was killed, at a crash point or after so long."""

    def child() -> None:
        os.environ[VARIABLE] = crash
        if not crash:
            del os.environ[VARIABLE]
        try:
            what()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(kill_after)
    if process.is_alive():
        process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode
