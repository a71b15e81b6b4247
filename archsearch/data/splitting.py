"""Which images are in which split: stratified draws from labels, by a seed of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet, Split
from archsearch.reading.errors import refuse
from archsearch.space.datasets import validation_images
from archsearch.space.settings import DataSettings
from archsearch.space.tasks import TaskName

Labels = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

TEST_SEED = 0  # test images never depend on a setting: what is touched once stays the same for everybody
QUANTILES = 10


def strata(labels: Labels) -> npt.NDArray[np.int64]:
    """The group (N,) of each image of which a split gets its share: its class; of several labels the rarest that it
    has, or that it has none; of numbers the tenth of the images in which its first one lies."""
    groups: npt.NDArray[np.int64] = labels
    if labels.dtype.kind == "f":
        limits = np.quantile(labels[:, 0], np.arange(1, QUANTILES) / QUANTILES)
        groups = np.searchsorted(limits, labels[:, 0], side="right").astype(np.int64)
    elif labels.ndim == 2:
        rarest_first = np.argsort(labels.sum(0, dtype=np.int64), kind="stable")
        rarest = rarest_first[labels[:, rarest_first].argmax(1)]
        groups = np.where(labels.any(1), rarest, labels.shape[1]).astype(np.int64)
    return groups


def stratified(labels: Labels, count: int, *, seed: int) -> tuple[Indices, Indices]:
    """(chosen, rest), ascending: `count` images, each class (see `strata`) by its share (largest remainders).

    A class of two images or more whose share is none gets one, of a class whose share was rounded up.
    """
    generator, labels = np.random.default_rng(seed), strata(labels)
    classes, members = np.unique(labels, return_counts=True)
    exact = members * (count / len(labels))
    quota = np.floor(exact).astype(np.int64)
    missing = count - int(quota.sum())
    quota[np.argsort(quota - exact, kind="stable")[:missing]] += 1
    for rare in np.flatnonzero((quota == 0) & (members > 1)):
        excess = np.where(quota > 1, quota - exact, 0)
        if excess.max() <= 0:
            break
        quota[[excess.argmax(), rare]] += -1, 1
    chosen = np.zeros(len(labels), bool)
    for label, size in zip(classes, quota, strict=True):
        chosen[generator.permutation(np.flatnonzero(labels == label))[:size]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def without_test(labels: Labels, share: float) -> tuple[Indices, Indices]:
    """(test, rest) for data that comes without a test split: always the same."""
    return stratified(labels, max(1, round(share * len(labels))), seed=TEST_SEED)


def train_and_validation(labels: Labels, settings: DataSettings) -> tuple[Indices, Indices]:
    """(train, validation) of the images that are no test images.

    The validation split is taken first; `limit` then thins out the training images, so that a quick look is
    judged by the same images as a long one. Raises InputError where nothing would be left to train on.
    """
    total = len(labels)
    count = validation_images(settings.validation, total)
    if count >= total:
        raise refuse(
            f"data.validation: {settings.validation} leaves none of {total} images to train on",
            allowed=f"1 to {total - 1}, or a share below 1",
        )
    validation, train = stratified(labels, count, seed=settings.split_seed)
    return limited(train, labels, settings), validation


def limited(train: Indices, labels: Labels, settings: DataSettings) -> Indices:
    """At most `limit` of the training images, each class by its share."""
    if settings.limit is None or settings.limit >= len(train):
        return train
    chosen, _ = stratified(labels[train], settings.limit, seed=settings.split_seed)
    return train[chosen]


def subset(split: Split, index: Indices) -> Split:
    """The images `index` of a split in memory."""
    weights = None if split.weights is None else split.weights[index]
    return Split(images=split.images[index], labels=split.labels[index], weights=weights)


def assemble(
    classes: tuple[str, ...], train: Split, test: Split, settings: DataSettings, *, task: TaskName = "single_label"
) -> ImageSet:
    """The data set of these training and test images, the validation split taken from the former."""
    training, validation = train_and_validation(train.labels, settings)
    return ImageSet.of(
        name=settings.name,
        classes=classes,
        train=subset(train, training),
        validation=subset(train, validation),
        test=test,
        task=task,
    )
