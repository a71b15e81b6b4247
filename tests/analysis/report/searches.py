"""Searches to report on: real ledgers, written in a second, of networks that nobody trained."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from archsearch.architecture.cost import cost
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.session import create
from archsearch.space.choices import RandomChoices, Recorder
from archsearch.space.loading import load_space

SPACE = """
archsearch: 1
name: small
data: {name: digits}
space:
  stem: {width: 8}
  stages: 2
  depth: {int: [1, 4], each: stage}
  width: {choice: [8, 16, 32], each: stage, order: increasing}
  block: {choice: [basic, bottleneck]}
  cardinality: {choice: [1, 2, 4], when: {block: bottleneck}}
  activation: {choice: [post, pre]}
budget: {flops: {max: 40M}}
search: {trials: 60, early_stopping: {kind: asha, grace_epochs: 1, reduction: 3}}
training: {epochs: 9, precision: float32}
"""
Scores = Callable[[Mapping[str, Any], random.Random], float]


def by_depth(choices: Mapping[str, Any], luck: random.Random) -> float:
    """Deeper is better, basic is far better, the rest is noise."""
    depth = choices["stage1.depth"] + choices["stage2.depth"]
    return 0.5 + 0.03 * depth + (0.15 if choices["block"] == "basic" else 0.0) + luck.gauss(0, 0.01)


def experiment(
    place: Path, trials: int, *overrides: str, score: Scores = by_depth, fail: float = 0.0, text: str = SPACE,
    reason: str = "nan: the training loss is nan", state: str | None = "finished", seed: int = 0,
    every: bool = False, latency: bool = False, pace: float = 1.0,
) -> ExperimentFolder:  # fmt: skip
    """A search of so many trials, of which every third, or `every` one, goes on from the rung of an epoch, to the end.

    `pace`: seconds between two events; `latency`: each has one, in milliseconds by its FLOPs."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "space.yaml").write_text(text)
    space = load_space(place / "space.yaml", overrides)
    folder = ExperimentFolder(place / "x")
    create(space, folder, name="small")
    luck = random.Random(seed)
    now = iter(range(10**9))
    with Ledger.open(folder.ledger) as ledger:
        ledger._clock = lambda: 1e9 + pace * next(now)
        with ledger.transaction():
            ledger.begin({"data": "d" * 16, "python": "3.11"})
            for number in range(1, trials + 1):
                recorder = Recorder(RandomChoices(luck.randrange(2**31)))
                network = space.architecture(recorder)
                price = space.price(cost(network)).to_dict()
                if latency:
                    price["latency"] = 0.5 + price["flops"] / 1e7
                ledger.propose(
                    choices=recorder.taken, architecture=network.to_dict(), digest=f"{number:016x}", seed=number,
                    cost=price,
                )  # fmt: skip
                ledger.start(number)
                if luck.random() < fail:
                    ledger.fail(number, reason)
                    continue
                top = score(recorder.taken, luck)
                for epoch in range(1, 10):
                    metrics = {"epoch": epoch, "train_accuracy": top - 0.25 / epoch,
                               "validation_accuracy": top - 0.2 / epoch, "seconds": 2.0}  # fmt: skip
                    ledger.epoch(number, epoch, metrics)
                    if epoch == 1:
                        ledger.pause(number, top - 0.2, rung=1)
                        if number % 3 and not every:
                            break
                        ledger.promote(number)
                        ledger.start(number, resume_epoch=1)
                if number % 3 == 0 or every:
                    ledger.finish(number, top - 0.2 / 9)
            if state is not None:
                ledger.end(state)  # type: ignore[arg-type]
    return folder


def confirm(folder: ExperimentFolder, trial: int) -> None:
    """A verdict as `archsearch confirm` leaves it, of a trial and a network of the zoo."""

    def interval(mean: float) -> dict[str, Any]:
        return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "half": 0.01, "deviation": 0.004, "n": 3,
                "confidence": 0.95}  # fmt: skip

    row = {
        "digest": "a" * 16,
        "params": 1000,
        "flops": 400_000,
        "macs": 390_000,
        "note": "",
        "search": None,
        "runs": [],
    }
    rows = [
        {**row, "rank": 1, "winner": True, "kind": "trial", "name": f"t{trial:04d}", "trial": trial,
         "validation": interval(0.93), "test": interval(0.92)},
        {**row, "rank": 2, "winner": False, "kind": "baseline", "name": "resnet8_cifar", "trial": None,
         "validation": interval(0.90), "test": interval(0.89)},
    ]  # fmt: skip
    said = {
        "state": "confirmed", "winner": f"t{trial:04d}", "chosen": "Best of all by its mean.", "rows": rows,
        "notes": [],
        "differences": [{"of": f"t{trial:04d}", "over": "resnet8_cifar", "validation": interval(0.03),
                         "test": interval(0.03), "p": 0.012, "told_apart": True}],
        "confidence": 0.95, "seeds": [1, 2, 3], "random": None, "search": {},
    }  # fmt: skip
    (folder.path / "confirm").mkdir()
    folder.confirmation.document.write_text(json.dumps(said))
    folder.confirmation.weights.write_bytes(b"weights")
    with Ledger.open(folder.ledger) as ledger:
        note = {"winner": f"t{trial:04d}", "weights": sha256(b"weights").hexdigest(), "seeds": 3}
        ledger.note("confirmed", {**note, "validation_accuracy": 0.93, "test_accuracy": 0.92}, trial=trial)
