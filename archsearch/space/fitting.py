"""What a file leaves out, from its images: how long trials train, their batches, augmentation and first rung.

What decides is steps, not epochs: a rung after 16 steps orders networks by how quickly they start, and 150 steps in all
teach nothing. So epochs, batch size and the first rung follow from the number of training images; random crops and
mirrored images make the more of them the fewer there are (on 1,084 images of clothes 70 % became 78 % on test), once a
training is long enough for them. Only settings that a file does not set are filled, and the resolved file has them
written out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archsearch.experiment.objective import ACCURACY, BY_ACCURACY
from archsearch.space.datasets import DataFacts, split_sizes
from archsearch.space.datasets import facts as known_facts
from archsearch.space.loading import space_of
from archsearch.space.plausibility import implausible
from archsearch.space.recipes import RECIPES, filled
from archsearch.space.search_settings import seeking
from archsearch.space.settings import TrainingSettings
from archsearch.space.space import SearchSpace
from archsearch.space.tasks import TaskName, default_metric, is_imbalanced

STEPS, STEPS_IN_TIME = 2_000, 6_000  # of a full training; the second where a wall time ends the search, for it shortens
EPOCHS, EPOCHS_IN_TIME = (20, 200), (20, 400)  # the fewest and the most that follow from them
FIRST_RUNG_STEPS = 150  # at least, before trials are compared
FEW_STEPS = 150  # of a full training: fewer teach nothing
AUGMENTED_STEPS = 1_000  # from which crops and flips help: after 150 steps of digits they cost 1.3 points of accuracy
MIRRORED = 0.5  # of a linear classifier's accuracy that mirrored images must keep for flips to be plausible
CROPPED_BELOW = 96  # pixels a side; larger images are photos, which are cropped and resized instead
ORIGIN = "the images"


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """Of a data set's training images: how many, (channels, height, width), the share of a linear classifier's
    accuracy, above that of the commonest class, that is left where the images are mirrored: about 1 for photos, a
    quarter for digits; and how many there are of each class (none: not known, or another task)."""

    train: int
    shape: tuple[int, int, int]
    mirrored: float
    task: TaskName = "single_label"
    counts: tuple[int, ...] = ()

    @property
    def imbalanced(self) -> bool:
        """Whether their classes are of very different size."""
        return is_imbalanced(self.counts)

    @property
    def metric(self) -> str:
        """The name of the metric that is sought on these images where nothing else is asked for."""
        return default_metric(self.task, imbalanced=self.imbalanced)


def fitted(space: SearchSpace, facts: ImageFacts) -> SearchSpace:
    """The space with what its file leaves out of `training:`, of early stopping's first rung, and of the objectives,
    filled to suit the images; `notes` of it say what and why. Where its recipe is not auto, the objectives alone."""
    space = by_classes(space, facts.counts)
    if space.training.recipe != "auto":
        return replace(space, notes=(*space.notes, *warnings(space, facts.train)))
    known = DataFacts(input=space.input, classes=space.classes, task=None)
    document = space.document.with_value(("search", "objectives"), dict(space.search.objectives), ORIGIN)
    present = document.data.get("training") or {}
    settings = auto_recipe(present, facts, timed=space.search.wall_time is not None)
    for name, value in settings.items():
        document = document.with_value(("training", name), value, ORIGIN)
    resolved = space_of(document, data=known)
    stopping = resolved.search.early_stopping
    if "grace_epochs" not in stopping.model_fields_set:
        grace = first_rung(resolved.training, facts, stopping.reduction)
        resolved = space_of(
            document.with_value(("search", "early_stopping", "grace_epochs"), grace, ORIGIN), data=known
        )
    added = {name: value for name, value in settings.items() if name != "recipe"}
    notes = (*space.notes, *([_note(added, facts)] if added else []), *warnings(resolved, facts.train))
    return replace(resolved, data=space.data, notes=notes)


def by_classes(space: SearchSpace, counts: Sequence[int]) -> SearchSpace:
    """The space, by balanced accuracy where its file states no objectives and its classes have training images of very
    different numbers, `counts`; a note of it says so."""
    stated = (space.document.data.get("search") or {}).get("objectives")
    default = default_metric("single_label", imbalanced=is_imbalanced(counts))
    if stated is not None or space.search.objective != BY_ACCURACY or default == ACCURACY:
        return space
    present = [count for count in counts if count > 0]
    note = (
        f"search.objectives: {default}: max, since classes have {min(present):,} to {max(present):,} training images; "
        "accuracy would hardly depend on the small ones (--set search.objectives='{accuracy: max}' searches by it)"
    )
    document = space.document.with_value(("search", "objectives"), dict(seeking(default)), ORIGIN)
    search = space.search.model_copy(update={"objectives": seeking(default)})
    return replace(space, search=search, document=document, notes=(*space.notes, note))


def expected(space: SearchSpace, train: int | None = None, counts: Sequence[int] = ()) -> SearchSpace:
    """`fitted` before any image is read, flips taken to be plausible, for so many training images, `counts` of each
    class; None: for those of a data set that is known by its name. A folder's number is not known then, and its space
    is as it is."""
    space = by_classes(space, counts)
    if train is None:
        images = known_facts(space.data).images
        if images is None:
            return space
        train, _ = split_sizes(space.data, images)
    return replace(fitted(space, ImageFacts(train=train, shape=space.input, mirrored=1.0)), notes=space.notes)


def auto_recipe(present: Mapping[str, Any], facts: ImageFacts, *, timed: bool = False) -> dict[str, Any]:
    """The settings of `training:` that suit the images, but for those that are `present` already, and recipe: none.
    `timed`: a wall time ends the search, so that the last trials train as long as there is time."""
    side = min(facts.shape[1:])
    batch = next(size for size, images in ((32, 2_000), (64, 10_000), (128, math.inf)) if facts.train < images)
    steps = max(1, facts.train // _number(present.get("batch_size"), batch))
    fewest, most = EPOCHS_IN_TIME if timed else EPOCHS
    epochs = min(most, max(fewest, round((STEPS_IN_TIME if timed else STEPS) / steps)))
    augmented = steps * _number(present.get("epochs"), epochs) >= AUGMENTED_STEPS
    settings: dict[str, Any] = {
        **RECIPES["fast"],
        "epochs": epochs,
        "batch_size": batch,
        "flip": augmented and facts.mirrored >= MIRRORED,
    }
    if augmented:
        settings |= {"resized_crop": 0.35} if side >= CROPPED_BELOW else {"crop_padding": max(1, side // 10)}
    complete = filled({**settings, **present, "recipe": "none"})
    if {"resized_crop", "scale_jitter"} & present.keys():
        complete.pop("crop_padding", None)
    if {"crop_padding", "scale_jitter"} & present.keys() and side >= CROPPED_BELOW:
        complete.pop("resized_crop", None)
    return {name: value for name, value in complete.items() if name not in present or name == "recipe"}


def first_rung(training: TrainingSettings, facts: ImageFacts, reduction: int) -> int:
    """The epochs of the first rung: the least of epochs / reduction^k, k = 1, 2, ..., that has steps enough to tell
    networks apart; with k = 1 where none has."""
    steps = steps_an_epoch(training, facts.train)
    levels: list[int] = [math.ceil(training.epochs / reduction**k) for k in range(1, 20)]
    enough = [level for level in levels if level * steps >= FIRST_RUNG_STEPS]
    return min(enough, default=levels[0])


def suited(training: TrainingSettings, facts: ImageFacts) -> TrainingSettings:
    """The settings of a single training with what was not set filled to suit the images, where its recipe is auto."""
    if training.recipe != "auto":
        return training
    present = {name: getattr(training, name) for name in training.model_fields_set}
    return training.with_overrides(auto_recipe(present, facts))


def warnings(space: SearchSpace, train: int) -> list[str]:
    """What is odd about a space that is `fitted` to so many training images: values that are hardly meant, and
    trainings that are too short."""
    return [*implausible(space, train), *_too_short(space.training, space.input, train)]


def steps_an_epoch(training: TrainingSettings, train: int) -> int:
    """Steps of an epoch of so many images: whole batches alone."""
    return max(1, train // training.batch_size)


def _number(value: Any, default: int) -> int:
    """A number as the file has it; of one that varies, or is wrong, the default."""
    return value if isinstance(value, int) and value > 0 else default


def _note(settings: Mapping[str, Any], facts: ImageFacts) -> str:
    channels, height, width = facts.shape
    named = ("epochs", "batch_size", "crop_padding", "resized_crop", "flip")
    listed = ", ".join(f"{name} {str(settings[name]).lower()}" for name in named if name in settings)
    compared = f"; a linear classifier recognises mirrored images {facts.mirrored:.0%} as often as unmirrored ones"
    mirrored = compared if "flip" in settings else ""
    images = f"{facts.train:,} training images of {channels}x{height}x{width}"
    return f"training: recipe auto, for {images}{mirrored}: {listed or ', '.join(settings)}"


def _too_short(training: TrainingSettings, shape: tuple[int, int, int], train: int) -> list[str]:
    steps = steps_an_epoch(training, train)
    if steps * training.epochs >= FEW_STEPS:
        return []
    facts = ImageFacts(train=train, shape=shape, mirrored=1.0)
    epochs = auto_recipe({"batch_size": training.batch_size}, facts)["epochs"]
    return [
        f"training: {steps} steps per epoch, {steps * training.epochs} in total, which is too few "
        f"to learn much; try --set training.epochs={epochs}"
    ]
