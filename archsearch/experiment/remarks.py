"""What a search's end calls for: whether its best is above the floor, and whether it was trained enough, or too much.

Plain sentences for a person, from the ledger alone; each with what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.experiment.objective import ACCURACY, BY_ACCURACY, Objective
from archsearch.experiment.records import Epoch, Trial

NONE_BEGAN = "no trial began: the time (search.wall_time) was over before. Search again with more of it: --time"
FLOOR = "floor"  # of the ledger's notes: accuracies of simple models, on so many validation images
SIMPLE = {
    "random_forest": "a random forest on the pixels",
    "logistic_regression": "logistic regression on the pixels",
    "commonest_class": "always predicting the most common class",
}
SIMPLE_OF_ANY = {
    "random_forest": SIMPLE["random_forest"],
    "logistic_regression": "a linear model on the pixels",
    "commonest_class": "the same answer for every image",
}  # by another metric than accuracy, of labels and numbers too
NORMAL = 1.645  # standard errors by which the best has to be above the floor: the upper 5 % of a normal variable
RISING = 0.02  # that a training of up to FACTOR times the epochs gained: more would gain more;
RISING_BY = 0.05  # of the value, where the metric is no share
FACTOR = 4
BY_HEART = 0.15  # by which the accuracy on training images is above that on validation images


def remarks(
    best: Trial,
    epochs: Sequence[Epoch],
    floor: Mapping[str, Any] | None,
    rungs: Sequence[int],
    *,
    value: float | None = None,
    objective: Objective = BY_ACCURACY,
) -> list[str]:
    """What is to be said of a finished `best` trial: `epochs` are its own, `rungs` the epochs at which its schedule
    had ended before; `value` is that of the weights handed over (None: the trial's) by the search's `objective`. The
    gravest comes first; nothing where all is well."""
    sentences, value = [], best.value if value is None else value
    if floor is not None and value is not None and (sentence := _beside_floor(value, floor, objective)):
        sentences.append(sentence)
    curve = {epoch.epoch: epoch.metrics for epoch in epochs}
    below = [rung for rung in rungs if best.epochs / FACTOR <= rung < best.epochs and rung in curve]
    before = curve[below[-1]].get(objective.validation) if below else None
    if before is not None and best.value is not None:
        gain = objective.gain(best.value, before)
        if gain >= (RISING if objective.percent else RISING_BY * abs(before)):
            gained = objective.points(gain, 1) + ("" if objective.percent else f" in {objective.label}")
            sentences.append(
                f"From {below[-1]} to {best.epochs} epochs it gained {gained}, and more epochs may gain more "
                "(training.epochs)."
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


def floor_of(floor: Mapping[str, Any], objective: Objective) -> dict[str, float]:
    """The values of the simple models that a floor has by the objective's metric, by what a person calls them."""
    if floor.get("metric", ACCURACY) != objective.name:
        return {}
    labels = SIMPLE if objective.name == ACCURACY else SIMPLE_OF_ANY
    return {label: floor[name] for name, label in labels.items() if isinstance(floor.get(name), int | float)}


def _beside_floor(value: float, floor: Mapping[str, Any], objective: Objective) -> str | None:
    """The sentence for a best that is not above the best of the simple models by more than chance (5 %, one-sided; both
    accuracies are of as many images, taken as independent, which is cautious). None where it is."""
    simple = floor_of(floor, objective)
    if (reference := floor.get("reference")) and not reference.get("stopped"):  # of as many epochs, or more
        simple[f"a {reference['name']} of the same budget"] = reference[objective.name]
    images = floor.get("images")
    if not simple or not isinstance(images, int) or images < 1:
        return None
    name = max(simple, key=lambda label: objective.key(simple[label]))
    other = simple[name]
    # Of accuracy alone the error follows from the number of images; of another metric any lead counts.
    shares = objective.name == ACCURACY
    error = math.sqrt((value * (1 - value) + other * (1 - other)) / images) if shares else 0.0
    if objective.gain(value, other) > NORMAL * error:
        return None
    best, scores = objective.named(value, 1), f"{name}, {objective.text(other, 1)} ({images:,} validation images)"
    if objective.better(value, other):
        return f"The best network, {best}, is above {scores}, but not significantly."
    worse = "below" if objective.sense == "max" else "above"
    relation = worse if objective.better(other, value) else "no better than"
    return (
        f"The best network, {best}, is {relation} {scores}: the search has not beaten these "
        "baselines yet. More epochs, a larger budget or more images may help."
    )


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
