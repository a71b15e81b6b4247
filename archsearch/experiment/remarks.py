"""What a search's end calls for: whether its best is above the floor, and whether it was trained enough, or too much.

Plain sentences for a person, from the ledger alone; each with what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.experiment.records import Epoch, Trial

FLOOR = "floor"  # of the ledger's notes: accuracies of simple models, on so many validation images
SIMPLE = {
    "random_forest": "a random forest on the pixels",
    "logistic_regression": "logistic regression on the pixels",
    "commonest_class": "always predicting the most common class",
}
NORMAL = 1.645  # standard errors by which the best has to be above the floor: the upper 5 % of a normal variable
RISING = 0.02  # of accuracy, that a training of up to FACTOR times the epochs gained: more would gain more
FACTOR = 4
BY_HEART = 0.15  # by which the accuracy on training images is above that on validation images


def remarks(
    best: Trial,
    epochs: Sequence[Epoch],
    floor: Mapping[str, Any] | None,
    rungs: Sequence[int],
    *,
    value: float | None = None,
) -> list[str]:
    """What is to be said of a finished `best` trial: `epochs` are its own, `rungs` the epochs at which its schedule
    had ended before; `value` is the accuracy of the weights handed over (None: the trial's). The gravest comes first;
    nothing where all is well."""
    sentences, value = [], best.value if value is None else value
    if floor is not None and value is not None and (sentence := _beside_floor(value, floor)):
        sentences.append(sentence)
    curve = {epoch.epoch: epoch.metrics for epoch in epochs}
    below = [rung for rung in rungs if best.epochs / FACTOR <= rung < best.epochs and rung in curve]
    before = curve[below[-1]].get("validation_accuracy") if below else None
    if before is not None and best.value is not None and best.value - before >= RISING:
        gain = 100 * (best.value - before)
        sentences.append(
            f"From {below[-1]} to {best.epochs} epochs it gained {gain:.1f} points, and more epochs "
            "may gain more (training.epochs)."
        )
    last = curve.get(best.epochs, {})
    training, validation = last.get("train_accuracy"), last.get("validation_accuracy")
    if training is not None and validation is not None and training - validation >= BY_HEART:
        known, others = _percent(training, 0), _percent(validation, 0)
        sentences.append(
            f"It classifies {known} of the training images and {others} of the validation images "
            "correctly: it overfits. More images, more augmentation (training.crop_padding, flip, "
            "cutmix) or fewer epochs help."
        )
    return sentences


def _beside_floor(value: float, floor: Mapping[str, Any]) -> str | None:
    """The sentence for a best that is not above the best of the simple models by more than chance (5 %, one-sided; both
    accuracies are of as many images, taken as independent, which is cautious). None where it is."""
    simple = {SIMPLE[name]: floor[name] for name in SIMPLE if isinstance(floor.get(name), int | float)}
    if reference := floor.get("reference"):
        simple[f"a {reference['name']} of the same budget"] = reference["accuracy"]
    images = floor.get("images")
    if not simple or not isinstance(images, int) or images < 1:
        return None
    name = max(simple, key=lambda key: simple[key])
    accuracy = simple[name]
    error = math.sqrt((value * (1 - value) + accuracy * (1 - accuracy)) / images)
    if value - accuracy > NORMAL * error:
        return None
    best, scores = _percent(value), f"{name}, {_percent(accuracy)} ({images:,} validation images)"
    if value > accuracy:
        return f"The best network, {best}, is above {scores}, but not significantly."
    relation = "below" if value < accuracy else "no better than"
    return (
        f"The best network, {best}, is {relation} {scores}: the search has not beaten these "
        "baselines yet. More epochs, a larger budget or more images may help."
    )


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
