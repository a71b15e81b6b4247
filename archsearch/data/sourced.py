"""A source of images as a data set: its splits drawn where they are not stated, held in memory or read from disk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.data.advice import advice, as_seen, bits_of, sampled_headers
from archsearch.data.decoding import NAMED, attempted, broken, form_of, unreadable
from archsearch.data.form import ImageForm
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.splitting import TEST_SEED, limited, train_and_validation, without_test
from archsearch.data.streaming import MEASURED, SourceImages, StreamedImages, StreamedSplit, sampled_moments
from archsearch.experiment.machine import free_memory
from archsearch.reading.errors import Problem, refuse
from archsearch.sources.source import ANY_SPLIT, SPLITS, Numbers, Source
from archsearch.space.datasets import validation_images
from archsearch.space.settings import DataSettings
from archsearch.space.sourcing import TEST_SHARE, Targets, open_source, targets_of
from archsearch.space.tasks import TaskName

MEMORY_SHARE = 0.25  # of the free memory, which images may take unasked: a training holds them twice


@dataclass(frozen=True, kw_only=True)
class Part:
    """The images of a source that make a split, by their `numbers` (N,), with their `labels`, (N,) or (N, K); none is
    decoded yet."""

    source: Source
    numbers: Numbers
    labels: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def weights(self) -> npt.NDArray[np.float32] | None:
        """How often each image is drawn, where the source states that."""
        return None if self.source.weights is None else self.source.weights[self.numbers]

    @property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """The group of each image, where the source states that."""
        return None if self.source.groups is None else self.source.groups[self.numbers]

    def __getitem__(self, keep: npt.NDArray[np.int64]) -> Part:
        return Part(source=self.source, numbers=self.numbers[keep], labels=self.labels[keep])


def load(settings: DataSettings, tell: Progress) -> ImageSet:
    """The images of the source that the settings name. Raises InputError for a source, or images, that cannot be
    read."""
    targets, parts = opened(settings, tell)
    return image_set(settings.location, parts, targets.classes, settings, tell, task=targets.task)


def opened(settings: DataSettings, tell: Progress) -> tuple[Targets, dict[str, Part]]:
    """The source's labels, and its splits, ready to be read; nothing is decoded. Raises InputError."""
    source = open_source(settings)
    targets = targets_of(source, settings)
    for message in source.prepare():
        tell(message)
    return targets, parts_of(source, targets.labels, settings)


def parts_of(source: Source, labels: npt.NDArray[Any], settings: DataSettings) -> dict[str, Part]:
    """Train, validation and test: as the source states them, and drawn where it states none. Raises InputError where
    nothing is left to train on."""
    splits = np.full(len(source), ANY_SPLIT, np.int8) if source.splits is None else source.splits
    train, validation, test = (
        Part(source=source, numbers=np.flatnonzero(chosen), labels=labels[chosen])
        for chosen in ((splits == 0) | (splits == ANY_SPLIT), splits == 1, splits == 2)
    )
    groups = source.groups
    if not len(test):
        if groups is None:
            drawn, remaining = without_test(train.labels, TEST_SHARE)
        else:
            drawn, remaining = grouped(groups[train.numbers], TEST_SHARE, seed=TEST_SEED)
        test, train = train[drawn], train[remaining]
    if not len(validation) and groups is None:
        used, drawn = train_and_validation(train.labels, settings)
        train, validation = train[used], train[drawn]
    else:
        if groups is not None and not len(validation):
            share = validation_images(settings.validation_size, len(train)) / len(train)
            drawn, remaining = grouped(groups[train.numbers], share, seed=settings.split_seed)
            validation, train = train[drawn], train[remaining]
        train = train[limited(np.arange(len(train)), train.labels, settings)]
    return dict(zip(SPLITS, (train, validation, test), strict=True))


def grouped(groups: npt.NDArray[np.int64], share: float, *, seed: int) -> tuple[Numbers, Numbers]:
    """(chosen, rest), ascending: whole groups, at random, that have about this share of the images, one at least.

    Raises InputError for a single group."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise refuse("images of a single group, which cannot be divided", allowed="three groups or more", file="data")
    order = np.random.default_rng(seed).permutation(len(names))
    count = int(np.abs(np.cumsum(sizes[order])[:-1] - share * len(groups)).argmin()) + 1
    chosen = np.isin(groups, names[order[:count]])
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def image_set(
    root: str,
    parts: Mapping[str, Part],
    classes: tuple[str, ...],
    settings: DataSettings,
    tell: Progress,
    *,
    task: TaskName = "single_label",
) -> ImageSet:
    """The images of these splits. What takes more than a quarter of the free memory, or must not be held, is a
    StreamedImages. `root` is what messages call the source.

    Raises InputError for unreadable images unless they are skipped (of streamed ones those are found only when they
    are read), and, must it be held, more than half of the free memory.
    """
    source = parts["train"].source
    headers = sampled_headers(source, parts["train"].numbers)
    forms = forms_for(source, settings, bits_of(headers, settings))
    held = _in_memory(sum(map(len, parts.values())), forms, settings, tell)
    for message in advice(headers, as_seen(source, settings)):
        tell(message)
    described: dict[str, Any] = {"name": settings.name, "classes": classes, "task": task}
    if not held:
        return _streamed(root, parts, forms, settings, tell, described)
    images: dict[str, list[Split]] = {}
    problems: list[Problem] = []
    for name, part in parts.items():
        tell(f"reading {len(part)} {name} images from {root}")
        sized, unread = attempted(part.source, part.numbers, forms)
        problems += unread.values()
        remaining = part
        if unread and settings.broken == "skip":
            readable = _readable(part, unread, name)
            sized, remaining = [pixels[readable] for pixels in sized], part[readable]
        labels, weights, groups = remaining.labels, remaining.weights, remaining.groups
        images[name] = [Split(images=pixels, labels=labels, weights=weights, groups=groups) for pixels in sized]
    _left_out(problems, settings, tell)
    _tell_of_duplicates({name: splits[0] for name, splits in images.items()}, root, tell)
    sets = []
    for index, form in enumerate(forms):
        train, validation, test = (images[name][index] for name in SPLITS)
        sets.append(ImageSet.of(**described, train=train, validation=validation, test=test, form=form))
    return replace(sets[0], others=tuple(sets[1:]))


def forms_for(source: Source, settings: DataSettings, auto_bits: Literal[8, 16]) -> list[ImageForm]:
    """The forms that the source's images get, one a size, the largest first: arrays keep their shape. `auto_bits` are
    the bits of a value where the settings leave them to the images."""
    form = form_of(settings, auto_bits)
    if source.shape is not None:
        channels, height, width = source.shape
        return [replace(form, channels=channels, height=height, width=width)]
    return [replace(form, height=height, width=width) for height, width in settings.sizes]


def _streamed(
    root: str,
    parts: Mapping[str, Part],
    forms: Sequence[ImageForm],
    settings: DataSettings,
    tell: Progress,
    described: Mapping[str, Any],
) -> StreamedImages:
    """The images as they lie on disk, at each size. Broken ones are looked for now only where they are to be left
    out."""
    problems: list[Problem] = []
    remaining = dict(parts)
    if settings.broken == "skip":
        for name, part in parts.items():
            tell(f"checking {len(part)} {name} images from {root}")
            if unread := unreadable(part.source, part.numbers, forms[0]):
                problems += unread.values()
                remaining[name] = part[_readable(part, unread, name)]
    _left_out(problems, settings, tell)
    tell(f"measuring up to {MEASURED} training images from {root}")
    measured = sampled_moments(remaining["train"].source, remaining["train"].numbers, forms)
    sets = []
    for form, (mean, std) in zip(forms, measured, strict=True):
        train, validation, test = (_on_disk(remaining[name], form) for name in SPLITS)
        sets.append(
            StreamedImages(**described, train=train, validation=validation, test=test, mean=mean, std=std, form=form)
        )
    return replace(sets[0], others=tuple(sets[1:]))


def _on_disk(part: Part, form: ImageForm) -> StreamedSplit:
    return StreamedSplit(
        images=SourceImages(source=part.source, numbers=part.numbers, form=form),
        labels=part.labels,
        weights=part.weights,
        groups=part.groups,
    )


def _readable(part: Part, unread: Mapping[int, Problem], name: str) -> npt.NDArray[np.int64]:
    """The indices of the other images. Raises InputError where a split, or a class in training, would have none."""
    readable = np.delete(np.arange(len(part)), list(unread))
    lost = np.setdiff1d(part.labels, part.labels[readable]) if part.labels.ndim == 1 else np.empty(0)
    if not len(readable) or (name == "train" and len(lost)):
        first = int(part.numbers[np.flatnonzero(part.labels == lost[0])[0] if len(lost) else 0])
        raise part.source.refused(f"no readable {name} image", first if name == "train" else None)
    return readable


def _left_out(problems: list[Problem], settings: DataSettings, tell: Progress) -> None:
    """Tells of broken images that are left out. Raises InputError, which names them, where they are to be refused."""
    if problems and settings.broken == "refuse":
        raise broken(problems)
    if problems:
        files = ", ".join(problem.file for problem in problems[:NAMED])
        tell(f"{len(problems)} unreadable images skipped: {files}{', ...' if len(problems) > NAMED else ''}")


def _tell_of_duplicates(images: Mapping[str, Split], root: str, tell: Progress) -> None:
    """Tells how many images of a split are, pixel for pixel, in another: what is measured on them is flattered."""
    prints = {name: Counter(hash(image.tobytes()) for image in split.images) for name, split in images.items()}
    for name, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        if count := sum(times for pixels, times in prints[name].items() if pixels in prints[other]):
            tell(
                f"{root}: {count} of {len(images[name])} {name} images are also among the {other} "
                "images, pixel for pixel"
            )


def _in_memory(count: int, forms: Sequence[ImageForm], settings: DataSettings, tell: Progress) -> bool:
    """Whether the images are to be held in memory. Raises InputError where they must be and cannot."""
    needed, free = count * sum(math.prod(form.shape) * form.dtype.itemsize for form in forms), free_memory()
    sizes = " and ".join(f"{form.height}x{form.width}" for form in forms)
    if settings.in_memory is True and needed > free // 2:
        raise refuse(
            f"data: {count} images of {sizes} take {needed / 2**30:.1f} GiB; {free / 2**30:.1f} GiB of memory are free",
            allowed=f"half of the free memory, {free / 2**31:.1f} GiB",
            hint="read them from disk: --set data.in_memory=auto; smaller images: --set data.size=N; or fewer: "
            "--set data.limit=N",
        )
    if settings.in_memory == "auto" and needed > free * MEMORY_SHARE:
        tell(
            f"{count} images would take {needed / 2**30:.1f} of {free / 2**30:.1f} GiB of free "
            "memory, so they are read from disk"
        )
        return False
    return settings.in_memory is not False
