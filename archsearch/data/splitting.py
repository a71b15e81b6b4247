"""Which images are in which split: stratified draws from labels, by a seed of their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet, Split
from archsearch.reading.errors import refuse
from archsearch.space.datasets import validation_images
from archsearch.space.settings import DataSettings

Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

TEST_SEED = 0  # test images never depend on a setting: what is touched once stays the same for everybody


def stratified(labels: Labels, count: int, *, seed: int) -> tuple[Indices, Indices]:
    """(chosen, rest), ascending: `count` images, each class by its share (largest remainders).

    A class of two images or more whose share is none gets one, of a class whose share was rounded up.
    """
    generator = np.random.default_rng(seed)
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


def assemble(classes: tuple[str, ...], train: Split, test: Split, settings: DataSettings) -> ImageSet:
    """The data set of these training and test images, the validation split taken from the former."""
    training, validation = train_and_validation(train.labels, settings)
    return ImageSet.of(
        name=settings.name,
        classes=classes,
        train=Split(images=train.images[training], labels=train.labels[training]),
        validation=Split(images=train.images[validation], labels=train.labels[validation]),
        test=test,
    )
