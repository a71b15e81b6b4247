"""How much each class and each image counts in a training: class weights, and how often an image is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet
from archsearch.data.splitting import strata
from archsearch.data.streaming import StreamedImages
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.space.settings import TrainingSettings

Weights = npt.NDArray[np.float64]
CLASSIFYING = ("auto", "cross_entropy", "binary_cross_entropy", "focal")


def check_recipe(images: ImageSet, settings: TrainingSettings) -> None:
    """Raises InputError for settings that the images' task, or their classes, do not admit."""
    regression = images.task == "regression"
    losses = ("auto", "squared_error", "smooth_l1") if regression else CLASSIFYING
    if settings.loss not in losses:
        problem = f"training.loss: {settings.loss}, but the task is {images.task}"
        raise refuse(problem, allowed=", ".join(losses), hint="--set training.loss=auto")
    if regression and settings.class_weights != "none":
        hint = "numbers have no classes: --set training.class_weights=none"
        raise refuse("training.class_weights, but the task is regression", allowed="none", hint=hint)
    if regression and settings.sampling == "balanced":
        hint = "numbers have no classes: --set training.sampling=uniform"
        raise refuse("training.sampling: balanced, but the task is regression", allowed="uniform, weights", hint=hint)
    if settings.sampling == "weights" and images.train.weights is None:
        hint = "name the column of a table that has them, or --set training.sampling=balanced"
        raise refuse("training.sampling: weights, but the data states none", allowed="uniform, balanced", hint=hint)
    if settings.crops_files and images.form is not None and not isinstance(images, StreamedImages):
        hint = "--set data.in_memory=false, or --set training.crop_from=image"
        raise refuse("training.crop_from: file, but the images are held in memory", allowed="image", hint=hint)
    if settings.policy != "none" and images.white != 255:
        hint = "--set data.bits=8, or --set training.policy=none"
        raise refuse(f"training.policy: {settings.policy}, but the images have 16 bits", allowed="none", hint=hint)
    named = settings.class_weights if isinstance(settings.class_weights, dict) else {}
    for name in named:
        if name not in images.classes:
            raise refuse(
                f"training.class_weights names the class {name!r:.80}",
                allowed=f"the classes of {images.name}: {', '.join(images.classes[:20])}",
                hint=did_you_mean(name, images.classes),
            )


def class_counts(images: ImageSet) -> npt.NDArray[np.int64]:
    """How many training images have each class or label (K,)."""
    labels = images.train.labels
    single = labels.ndim == 1
    counts = np.bincount(labels, minlength=len(images.classes)) if single else labels.sum(0, dtype=np.int64)
    return np.asarray(counts, np.int64)


def class_weights(images: ImageSet, settings: TrainingSettings) -> Weights | None:
    """The factors (K,) of the classes' losses; None where there are none. Raises InputError as `check_recipe`.

    balanced: of N images of K classes, n of one of them, N / (K n); of several labels, of which n images have one,
    (N - n) / n, so that its presence weighs as much as its absence. A class without training images has 1.
    """
    check_recipe(images, settings)
    if settings.class_weights == "none":
        return None
    if isinstance(settings.class_weights, dict):
        return np.array([settings.class_weights.get(name, 1.0) for name in images.classes])
    counts, total = class_counts(images), len(images.train)
    present = np.maximum(counts, 1)
    factors = total / (np.count_nonzero(counts) * present) if images.task == "single_label" else total / present - 1
    return np.where((counts > 0) & (factors > 0), factors, 1.0)


def image_weights(images: ImageSet, settings: TrainingSettings) -> Weights | None:
    """How likely each training image (N,) is drawn, as a multiple of an unknown unit; None where each comes once.
    Raises InputError as `check_recipe`."""
    check_recipe(images, settings)
    if settings.sampling == "uniform":
        return None
    if settings.sampling == "weights":
        assert images.train.weights is not None
        return images.train.weights.astype(np.float64)
    groups = strata(images.train.labels)
    return 1 / np.bincount(groups)[groups]
