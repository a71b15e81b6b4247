"""Values that a file may have and that are hardly meant: a batch larger than the images, a learning rate of 50.

They are no errors, and `check`, `run --dry-run` and `run` name each with its position, before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archsearch.reading.document import Document
from archsearch.space.settings import TrainingSettings
from archsearch.space.space import SearchSpace

HIGHEST_RATE = {"sgd": 10.0, "adamw": 0.1, "lamb": 1.0}  # of what is in use; higher ones diverge
HIGHEST_DECAY = 1.0
MOST_EPOCHS = 2_000
LOOKED_AT = ("batch_size", "learning_rate", "weight_decay", "epochs", "crop_padding", "cutout")


def implausible(space: SearchSpace, train: int) -> list[str]:
    """A sentence for each implausible value, `FILE:LINE:COLUMN: KEY is VALUE, ...`; `train` is the number of training
    images. Of a parameter of the training that varies its largest value counts."""
    varied, side = space.trainings.varied, min(space.input[1:])
    values: dict[str, Any] = {name: space.trainings.most(name) for name in LOOKED_AT}
    values["optimizer"] = "sgd" if "optimizer" in varied else space.training.optimizer
    sentences = [(f"training.{name}", sentence) for name, sentence in _of_training(values, train, side)]
    stopping, epochs, trials = space.search.early_stopping, values["epochs"], space.search.trials
    if stopping.kind == "asha" and "grace_epochs" in stopping.model_fields_set and stopping.grace_epochs >= epochs:
        text = f"{stopping.grace_epochs:,}, and trials have {epochs:,} epochs: none is stopped early"
        sentences.append(("search.early_stopping.grace_epochs", text))
    extent = space.extent()
    if extent.exact and extent.count < trials and "trials" in space.search.model_fields_set:
        networks = f"{extent.count:,} combination{'s' if extent.count != 1 else ''}"
        sentences.append(("search.trials", f"{trials:,}, and the space has {networks}: the search ends with those"))
    return [f"{_position(space.document, key)}{key} is {text}" for key, text in sentences]


def implausible_training(training: TrainingSettings, train: int, side: int) -> list[str]:
    """The same of a single training on so many images of this shorter `side` in pixels."""
    values = training.model_dump()
    return [f"training.{name} is {text}" for name, text in _of_training(values, train, side)]


def _of_training(values: dict[str, Any], train: int, side: int) -> Iterator[tuple[str, str]]:
    """(setting, its value and what is odd about it)."""
    batch, rate, optimizer = values["batch_size"], values["learning_rate"], values["optimizer"]
    if batch > train:
        yield "batch_size", f"{batch:,}, and there are {train:,} training images: an epoch is one step over all of them"
    if rate > (highest := HIGHEST_RATE[optimizer]):
        yield "learning_rate", f"{rate:g}: with {optimizer} a training above {highest:g} hardly ever converges"
    if (decay := values["weight_decay"]) > HIGHEST_DECAY:
        yield "weight_decay", f"{decay:g}: above {HIGHEST_DECAY:g} it outweighs what is learned"
    if (epochs := values["epochs"]) > MOST_EPOCHS:
        yield "epochs", f"{epochs:,}: published recipes have at most some hundreds"
    for name in ("crop_padding", "cutout"):
        if (pixels := values[name]) >= side:
            yield name, f"{pixels}, and the images have {side} pixels on a side: of some images nothing is left"


def _position(document: Document, key: str) -> str:
    """`FILE:LINE:COLUMN: ` of a key that somebody wrote; empty for another."""
    location = tuple(key.split("."))
    if location not in document.values:
        return ""
    position = document.position(location)
    return ":".join([position.file, *(str(number) for number in (position.line, position.column) if number)]) + ": "
