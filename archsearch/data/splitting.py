"""Which images are in which split: stratified draws from labels, by a seed of their own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet, Split
from archsearch.data.streaming import StreamedSplit
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
    count = validation_images(settings.validation_size, total)
    if count >= total:
        raise refuse(
            f"data.validation: {settings.validation_size} leaves none of {total} images to train on",
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
    """The images `index` of a split, in memory or on disk."""
    weights = None if split.weights is None else split.weights[index]
    groups = None if split.groups is None else split.groups[index]
    if isinstance(split, StreamedSplit):
        chosen = replace(split.images, numbers=split.images.numbers[index])
        return replace(split, images=chosen, labels=split.labels[index], weights=weights, groups=groups)
    return Split(images=split.images[index], labels=split.labels[index], weights=weights, groups=groups)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Fold `number` (from 1) of `of` folds, drawn with `seed`, of the training and validation images together."""

    number: int
    of: int
    seed: int

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}"


def folds(labels: npt.NDArray[Any], count: int, *, seed: int, groups: Indices | None = None) -> list[Indices]:
    """`count` sets of indices, ascending, disjoint and together all of `labels`: of equal size, each class (see
    `strata`) by its share. Images of one of the `groups` (N,) are in one set. Raises InputError for more folds than
    images, or than groups."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    units, name = (len(labels), "images") if groups is None else (len(np.unique(groups)), "groups")
    if count > units:
        raise refuse(f"{count} folds of {units} {name}", allowed=f"2 to {units} folds", file="--folds")
    classes = strata(labels)
    by_class = bool(np.bincount(classes).max() >= count)  # else no class can be in each fold
    kinds = (KFold, StratifiedKFold) if groups is None else (GroupKFold, StratifiedGroupKFold)
    splitter = kinds[by_class](n_splits=count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer images than folds, which some folds lack
        return [chosen for _, chosen in splitter.split(np.zeros(len(labels)), classes, groups)]


def fold_of(images: ImageSet, fold: Fold) -> ImageSet:
    """The data set whose validation split is one fold of the training and validation images, and whose training split
    is the others, at one size; mean and deviation are those of that training split. The test split stays as it is.
    Raises as `folds`."""
    both = _joined(images.train, images.validation)
    chosen = folds(both.labels, fold.of, seed=fold.seed, groups=both.groups)[fold.number - 1]
    train, validation = (subset(both, index) for index in (np.setdiff1d(np.arange(len(both)), chosen), chosen))
    mean, std = train.moments()
    std = images.std if set(images.std) == {1.0} else std  # centred: see ImageSet.centred
    return replace(images, train=train, validation=validation, mean=mean, std=std, others=())


def _joined(first: Split, second: Split) -> Split:
    """The images of both splits of a data set, one after the other."""
    values: dict[str, Any] = {"labels": np.concatenate([first.labels, second.labels])}
    for name in ("weights", "groups"):
        if getattr(first, name) is not None and getattr(second, name) is not None:
            values[name] = np.concatenate([getattr(first, name), getattr(second, name)])
    if isinstance(first, StreamedSplit) and isinstance(second, StreamedSplit):
        numbers = np.concatenate([first.images.numbers, second.images.numbers])
        return replace(first, images=replace(first.images, numbers=numbers), **values)
    return Split(images=np.concatenate([first.images, second.images]), **values)


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
