"""Where a network that predicts numbers is wrong: by target, and image by image."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from archsearch.experiment.predictions import Predictions

SHOWN = 12  # images of the list
POINTS = 400  # of a chart; of more images an even choice
BINS = 21  # of the residuals' distribution


class Target(TypedDict):
    """One target: its errors in its own unit, `r2` (None: all images have one value), (true, predicted) of some images,
    and how many residuals (predicted less true) lie between each two of the `edges`."""

    name: str
    mean_absolute_error: float
    root_mean_square_error: float
    r2: float | None
    points: list[tuple[float, float]]
    edges: list[float]
    counts: list[int]


class Miss(TypedDict):
    """An image, by its index in the split, and the target that it misses by most; `name` is its file's, where known."""

    split: str
    image: int
    target: str
    label: float
    predicted: float
    name: str | None


class Residuals(TypedDict):
    """The errors on the images of `split`; `worst` are the largest, each measured by its target's deviation."""

    split: str
    images: int
    targets: list[Target]
    worst: list[Miss]


def residuals(outputs: Predictions) -> Residuals:
    """The figures of a regression on the test images, where those were evaluated, else on the validation images."""
    name = "test" if "test" in outputs.splits else next(iter(outputs.splits))
    split = outputs.splits[name]
    truth, predicted = split.labels.astype(np.float64), split.scores.astype(np.float64)
    errors = predicted - truth
    deviations = truth.std(0)
    relative = np.abs(errors) / np.where(deviations > 0, deviations, 1.0)
    some = np.unique(np.linspace(0, len(truth) - 1, min(POINTS, len(truth))).astype(int))
    targets: list[Target] = []
    for column, target in enumerate(outputs.classes):
        squared, error = float((errors[:, column] ** 2).mean()), errors[:, column]
        counts, edges = np.histogram(error, BINS)
        variance = float(deviations[column] ** 2)
        targets.append({
            "name": target,
            "mean_absolute_error": float(np.abs(error).mean()),
            "root_mean_square_error": squared**0.5,
            "r2": 1 - squared / variance if variance > 0 else None,
            "points": [(float(truth[i, column]), float(predicted[i, column])) for i in some],
            "edges": edges.tolist(),
            "counts": counts.tolist(),
        })  # fmt: skip
    order = np.argsort(-relative.max(1), kind="stable")[:SHOWN]
    worst: list[Miss] = []
    for i, column in zip(order.tolist(), relative.argmax(1)[order].tolist(), strict=True):
        label, value = float(truth[i, column]), float(predicted[i, column])
        worst.append({"split": name, "image": i, "target": outputs.classes[column], "label": label, "predicted": value,
                      "name": None})  # fmt: skip
    return {"split": name, "images": len(truth), "targets": targets, "worst": worst}
