"""A search driven in this process, with the real trainer, worker and ledger: everything but Ray."""

from __future__ import annotations

from pathlib import Path

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.messages import Report, Rest
from archsearch.search.objective import TrialWorker
from archsearch.search.search import Search
from archsearch.search.session import create
from archsearch.space import SearchSpace, load_space
from archsearch.training.datasets import load_images

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
training: {epochs: 3, batch_size: 32}
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


def drive_locally(space: SearchSpace, folder: ExperimentFolder, *, reports: int | None = None) -> None:
    """One worker, until it rests or has reported so often; then the driver is gone, as after a SIGKILL."""
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, watcher=Silent())
        instruction, sent = search.respond(Report(kind="ready")), 0
        while not isinstance(instruction, Rest):
            if reports is not None and sent >= reports:
                return
            instruction, sent = search.respond(worker.carry_out(instruction)), sent + 1
