"""Networks drawn at random from a space and trained alike: what the space itself is worth, whoever searches it.

After Radosavovic 2019 (arXiv:1905.13214) and RegNet (Radosavovic 2020, arXiv:2003.13678): spaces compare by the error
distributions of random samples under one short training.
"""

from __future__ import annotations

from pathlib import Path

from archsearch.experiment import ExperimentFolder
from archsearch.experiment.files import numbered
from archsearch.experiment.folder import EXPERIMENTS
from archsearch.reading.document import Document
from archsearch.reading.errors import InputError
from archsearch.search.confirming.random_search import is_space_of, random_overrides
from archsearch.search.session import create
from archsearch.space.fitting import expected
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace

SHARE = 3  # one in so many of a full training's epochs, where nobody says how many


def short_epochs(*spaces: SearchSpace) -> int:
    """A third of the shortest full training, at least 1: a whole schedule in which networks already differ."""
    return max(1, round(min(expected(space).training.epochs for space in spaces) / SHARE))


def sample_of(file: Path, *, trials: int, epochs: int, seed: int) -> SearchSpace:
    """The file's space as a search that only draws: every network within the budget as likely as any other, each
    trained for the same epochs, nothing stopped early. Raises InputError."""
    fixed = ["search.early_stopping.kind=none", f"training.epochs={epochs}"]
    return load_space(file, [*random_overrides(space_alone(file), trials=trials, seed=seed), *fixed])


def space_alone(file: Path) -> SearchSpace:
    """The file's space. Raises InputError, also for one whose networks begin with trained weights: what such networks
    reach says little of the space."""
    return load_space(file, completed=_without_start)


def _without_start(document: Document) -> Document:
    if isinstance(document.data, dict) and "start" in document.data:
        problem, allowed = "start in a space that is sampled", "spaces whose networks begin with initial values"
        hint = "`archsearch run` both files, then compare the experiments"
        raise InputError(document.problem(("start",), problem, allowed=allowed, hint=hint))
    return document


def experiment_of(sample: SearchSpace) -> ExperimentFolder:
    """The sample's experiment: the first of experiments/NAME-sample, NAME-sample-2, ... that holds this very sample, or
    is free and is made. Raises InputError where it cannot be."""
    for folder in map(ExperimentFolder, numbered(EXPERIMENTS / f"{sample.name}-sample")):
        if not folder.path.exists():
            create(sample, folder, name=folder.name)
            break
        if folder.ledger.exists() and is_space_of(folder, sample):
            break
    return folder
