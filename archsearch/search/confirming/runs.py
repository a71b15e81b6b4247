"""One training of a retraining: of a contender, with a seed, on the usual split or with one fold for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.experiment import ConfirmationFolder, Ledger, TrainingFolder
from archsearch.experiment.confirmed import check_result
from archsearch.experiment.objective import Objective
from archsearch.reading.errors import refuse
from archsearch.reading.files import read_json
from archsearch.search.confirming.contenders import Contender
from archsearch.space.settings import TrainingSettings

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.data.splitting import Fold
    from archsearch.guests.parents import Parent


@dataclass(frozen=True, kw_only=True)
class Run:
    """A contender that is trained with one seed, in a folder of its own: on the training split, or, with a `fold`, on
    the other folds of the training and validation images."""

    contender: Contender = field(hash=False)
    seed: int
    folder: Path
    fold: Fold | None = None

    def result(self, images_digest: str, settings: TrainingSettings, objective: Objective) -> dict[str, Any] | None:
        """What result.json holds, where it is of this very training and the weights are whole; None otherwise. Raises
        InputError where such a file does not hold what archsearch writes, or not the objective's metric."""
        files = TrainingFolder(self.folder)
        try:
            document: dict[str, Any] = read_json(files.result)
            sha256 = hashlib.sha256(files.weights.read_bytes()).hexdigest()
            recorded = (document["digest"], document["seed"], document["data"]["digest"], _recipe(document["training"]),
                        (document.get("start") or {}).get("sha256"))  # fmt: skip
            intact = document["weights"]["sha256"] == sha256
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        recipe = settings.with_overrides(self.contender.training)
        contender, settled = self.contender, _recipe(recipe.model_dump(mode="json"))
        expected = (contender.digest, self.seed, images_digest, settled, contender.starts_from)
        if not intact or recorded != expected:
            return None
        try:
            check_result(document, objective)
        except ValueError as error:
            hint = f"remove {self.folder} to train it again"
            raise refuse(f"the training is damaged: {error}", hint=hint, file=str(files.result)) from error
        return document


def images_of(images: ImageSet, run: Run) -> ImageSet:
    """The data set as the run trains on it: at its network's input size, split as its fold has it (None: as it is),
    normalised as its initial weights expect."""
    from archsearch.data.splitting import fold_of

    images, initial = images.at(run.contender.architecture.input), run.contender.initial
    images = images if run.fold is None else fold_of(images, run.fold)
    if initial is None or initial.normalization is None:
        return images
    return images.normalised(*initial.normalization)


def parent_of(run: Run) -> Parent | None:
    """The pretrained network that the run begins with, from the confirmation's folder; None where it begins from
    scratch. Raises InputError for a file that is not that network's any more."""
    from archsearch.training.pretrained import parent_of_file

    initial = run.contender.initial
    if initial is None:
        return None
    parent = parent_of_file(initial.file, run.contender.architecture, initial.source)
    return replace(parent, origin=initial.origin, licence=initial.licence)


def _recipe(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without the device: a machine with a GPU may go on from one without."""
    return {key: value for key, value in settings.items() if key != "device"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended: with a result (result.json's content), or with a failure, as a text (`failed`)."""

    run: Run
    result: dict[str, Any] | None = None
    failed: str | None = None


def new_seeds(ledger: Ledger, number: int) -> list[int]:
    """The first `number` of 1, 2, 3, ... that no trial was trained with: the same for every network, so that they
    pair."""
    used = {trial.seed for trial in ledger.trials()}
    return list(islice((seed for seed in count(1) if seed not in used), number))


def folds_of(number: int, seed: int) -> list[Fold]:
    """All folds of a cross-validation."""
    from archsearch.data.splitting import Fold

    return [Fold(number=fold, of=number, seed=seed) for fold in range(1, number + 1)]


def runs_of(
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    files: ConfirmationFolder,
    folds: Sequence[Fold | None] = (None,),
) -> list[Run]:
    """Each contender once with each seed and fold (None: the usual split), in folders of a confirmation."""
    runs: dict[Path, Run] = {}
    for fold, seed, contender in product(folds, seeds, contenders):
        key = contender.key
        folder = files.run(key, seed) if fold is None else files.fold_run(key, seed, fold.number, fold.of)
        runs.setdefault(folder.path, Run(contender=contender, seed=seed, folder=folder.path, fold=fold))
    return list(runs.values())
