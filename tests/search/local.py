"""A search driven in this process, with the real trainer, worker and ledger: everything but Ray."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.deciding.messages import Instruction, Ready, Rest, Wait
from archsearch.search.deciding.observer import Observer
from archsearch.search.deciding.search import Search
from archsearch.search.running.worker import TrialWorker
from archsearch.search.session import create
from archsearch.shrinking.kept import kept_parents
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace

SPACE = """
archsearch: 1
name: tiny
data: {name: digits, limit: 200, validation: 0.3}
space:
  stem: {width: 4}
  stages: 2
  depth: {int: [1, 2], each: stage}
  width: {choice: [4, 8, 12], each: stage, order: increasing}
  block: {choice: [basic, bottleneck]}
  link: {choice: [plain, residual, dense]}
  growth_rate: 4
  activation: {choice: [post, pre]}
budget: {flops: {max: 120k}}
search: {trials: 8, seed: 3, early_stopping: {kind: asha, grace_epochs: 1, reduction: 2}}
training: {epochs: 3, batch_size: 32, precision: float32}
"""


class Silent:
    def phase(self, text: str) -> None:
        pass

    def trial(self, trial: object, metrics: object) -> None:
        pass


def tiny(folder: Path, *overrides: str) -> tuple[SearchSpace, ExperimentFolder]:
    file = folder / "tiny.yaml"
    file.write_text(SPACE)
    space = load_space(file, overrides)
    experiment = ExperimentFolder(folder / "experiment")
    create(space, experiment, name="tiny")
    return space, experiment


def finished(folder: Path, *overrides: str) -> ExperimentFolder:
    """The experiment of `tiny`, driven to its end."""
    space, experiment = tiny(folder, *overrides)
    drive_locally(space, experiment)
    end(experiment)
    return experiment


def end(experiment: ExperimentFolder) -> None:
    """What the driver writes when a search has ended."""
    with Ledger.open(experiment.ledger) as ledger:
        ledger.begin()
        ledger.end("finished")


def drive_locally(
    space: SearchSpace,
    folder: ExperimentFolder,
    *,
    reports: int | None = None,
    workers: int = 1,
    save_every: float = math.inf,
    shared: bool = False,
    goes_on: Callable[[SearchSpace, Ledger], bool] = lambda space, ledger: False,
    observer: Observer | None = None,
) -> Search:
    """Until every worker rests, or they have reported so often; then the driver is gone, as after a SIGKILL.

    With `shared` the workers write and read states themselves. Several workers report in turn; one that must wait
    asks again after every report.
    """
    images, waiting, sent = load_images(space.data), Ready(), 0
    place = folder if shared else None
    with Ledger.open(folder.ledger) as ledger:
        parents = kept_parents(folder, ledger)
        lanes = {
            n: TrialWorker(images, space.training, threads=1, save_every=save_every, folder=place, parents=parents)
            for n in range(workers)
        }
        search = Search(
            space=space,
            folder=folder,
            ledger=ledger,
            observer=observer or Silent(),
            shares_disk=shared,
            parents=parents,
            goes_on=lambda: goes_on(space, ledger),
        )
        orders: dict[int, Instruction] = {lane: search.respond(waiting) for lane in lanes}
        while not all(isinstance(order, Rest) for order in orders.values()):
            assert not all(isinstance(order, Wait | Rest) for order in orders.values()), "everybody waits for nobody"
            for lane, worker in lanes.items():
                if isinstance(orders[lane], Wait | Rest):
                    continue
                if reports is not None and sent >= reports:
                    return search
                orders[lane], sent = search.respond(worker.carry_out(orders[lane])), sent + 1
                for other in lanes:
                    if isinstance(orders[other], Wait):
                        orders[other] = search.respond(waiting)
        return search
