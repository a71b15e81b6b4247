"""A search's ledger, written with made-up figures: for tests of the ledger and of who follows it."""

from __future__ import annotations

import time
from pathlib import Path

from archsearch.experiment import ExperimentFolder, Ledger, Trial


def new(folder: ExperimentFolder, name: str = "a-search", space: str = "a-space") -> Ledger:
    folder.create()
    folder.space_yaml.write_text("archsearch: 1\nname: a-space\n")
    return Ledger.create(folder.ledger, {"name": name, "space": space})


def propose(ledger: Ledger, number: int = 1) -> Trial:
    return ledger.propose(
        choices={"block": "basic", "stage1.depth": number, "survival.last": 0.5, "pool": None},
        architecture={"archsearch": 1, "input": [3, 32, 32], "classes": 10, "stages": [{"depth": number, "width": 8}]},
        digest=f"{number:016x}",
        cost={"params": 1000 * number, "flops": 40_000 * number, "macs": 39_000 * number, "activations": 500},
        seed=2**62 + number,
    )


def train(ledger: Ledger, number: int, epochs: int) -> float:
    """Starts a trial and trains it for some epochs; its last accuracy."""
    ledger.start(number)
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        accuracy = round(0.5 + 0.01 * epoch + 0.001 * number, 6)
        ledger.epoch(number, epoch, {"train_loss": 1 / epoch, "val_accuracy": accuracy})
    return accuracy


def trial(ledger: Ledger, epochs: int = 3) -> int:
    """A whole trial; every third pauses at its last epoch and is stopped, every seventh fails."""
    number = propose(ledger, ledger.counts().total + 1).number
    accuracy = train(ledger, number, epochs)
    if number % 7 == 0:
        ledger.fail(number, "diverged")
    elif number % 3 == 0:
        ledger.pause(number, accuracy, rung=epochs)
        ledger.stop(number, accuracy, "rung 1")
    else:
        ledger.finish(number, accuracy)
    return number


def write_for_ever(path: Path) -> None:
    """A driver for tests that kill it: says every trial that it was promised is safe."""
    with Ledger.open(path) as ledger:
        ledger.begin()
        while True:
            print(trial(ledger), flush=True)
            time.sleep(0.001)
