"""What a recipe has to know of images: how many there are, and whether a mirrored one is still one of its class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet, Split
from archsearch.data.weighing import check_recipe, class_counts
from archsearch.space.fitting import ImageFacts
from archsearch.space.settings import TrainingSettings

LOOKED_AT = 2_000  # training images, at most
AT_ONCE = 256
SIDE = 12  # pixels to which they are averaged
TRAINED = 2 / 3  # of them the classifier learns from


def describe(images: ImageSet, training: TrainingSettings) -> ImageFacts:
    """The facts of a data set's training images that these settings leave to them. Whether mirrored ones are of their
    class takes about a second, and reads images on disk: it is measured where the recipe is auto and says nothing of
    flips, else taken to be so. Raises InputError for settings that the images do not admit (see check_recipe)."""
    check_recipe(images, training)
    measured = training.recipe == "auto" and "flip" not in training.model_fields_set
    share = mirrored_share(images.train) if measured else 1.0
    return ImageFacts(
        train=len(images.train),
        shape=images.shape,
        mirrored=share,
        task=images.task,
        counts=tuple(class_counts(images).tolist()) if images.task == "single_label" else (),
    )


def mirrored_share(split: Split, *, seed: int = 0) -> float:
    """How much of its accuracy, above that of the commonest class, a linear classifier of the pixels keeps on mirrored
    images: 1 where left and right do not matter, 0 where the class is lost. 1 where it has learnt nothing. Of several
    labels, and of numbers, it is the share of the variance that is explained.

    The classifier is ridge regression on the classes' indicators (Hoerl & Kennard 1970), its penalty the number of
    pixels, solved by the images' products.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split))[:LOOKED_AT])
    labels, pixels = split.labels[chosen], averaged(split, chosen, SIDE)
    order = np.random.default_rng(seed).permutation(len(labels))
    count = int(TRAINED * len(labels))
    learnt, judged = order[:count], order[count:]
    if len(np.unique(labels[learnt], axis=0)) < 2 or not len(judged):
        return 1.0
    pixels = (pixels - pixels[learnt].mean()) / (pixels[learnt].std() or 1.0)
    rows = pixels[learnt].reshape(count, -1)
    targets = np.eye(int(labels.max()) + 1)[labels] if labels.ndim == 1 else labels.astype(np.float64)
    targets = targets / (targets[learnt].std(0) if labels.ndim == 2 and targets[learnt].std(0).all() else 1.0)
    mean = targets[learnt].mean(axis=0)
    weights = np.linalg.solve(rows @ rows.T + rows.shape[1] * np.eye(count), targets[learnt] - mean)
    upright, mirrored = (
        _right(part.reshape(len(judged), -1) @ rows.T @ weights + mean, targets[judged], labels[judged])
        for part in (pixels[judged], pixels[judged][..., ::-1])
    )
    commonest = float(np.bincount(labels[judged]).max() / len(judged)) if labels.ndim == 1 else 0.0
    return 1.0 if upright <= commonest else max(0.0, min(1.0, (mirrored - commonest) / (upright - commonest)))


def _right(scores: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> float:
    """The accuracy of classes; of several labels or numbers the share of the variance that is explained."""
    if labels.ndim == 1:
        return float((scores.argmax(1) == labels).mean())
    spread = ((targets - targets.mean(0)) ** 2).sum()
    return float(1 - ((scores - targets) ** 2).sum() / spread) if spread else 0.0


def averaged(split: Split, chosen: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.float64]:
    """The chosen images, (n, C, h, w), larger ones averaged over squares: h, w, or the less of both, are between `side`
    and twice that. Of channels that are all the same one is left."""
    parts = []
    for start in range(0, len(chosen), AT_ONCE):
        images = np.asarray(split.images[chosen[start : start + AT_ONCE]])
        count, channels, height, width = images.shape
        factor = max(1, min(height, width) // side)
        rows, columns = height // factor, width // factor
        cut = images[:, :, : rows * factor, : columns * factor]
        squares = cut.reshape(count, channels, rows, factor, columns, factor)
        parts.append(squares.mean(axis=(3, 5), dtype=np.float64))
    pixels = np.concatenate(parts)
    return pixels[:, :1] if np.array_equal(pixels[:, 1:], pixels[:, :-1]) else pixels
