"""Any folder of images, a sub-folder a class: ROOT/train/CLASS/*, or ROOT/CLASS/* with a test split drawn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.data.decoding import NAMED, attempted, broken, suffixes, unreadable
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.splitting import limited, train_and_validation, without_test
from archsearch.data.streaming import MEASURED, FilesOnDisk, StreamedImages, StreamedSplit
from archsearch.experiment.machine import free_memory
from archsearch.reading.errors import Problem, refuse
from archsearch.space.folders import Layout, class_name, is_hidden, layout, refused, subfolders
from archsearch.space.settings import DataSettings

TEST_SHARE = 0.15
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})  # which Windows leaves in any folder
MEMORY_SHARE = 0.25  # of the free memory, which images may take unasked: a training holds them twice


@dataclass(frozen=True, kw_only=True)
class Files:
    """Images on disk with their labels; nothing is decoded yet."""

    paths: tuple[Path, ...]
    labels: np.ndarray[tuple[int], np.dtype[np.int64]]

    def __getitem__(self, keep: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Files:
        return Files(paths=tuple(self.paths[i] for i in keep), labels=self.labels[keep])


def load(settings: DataSettings, tell: Progress) -> ImageSet:
    """The folder's images in RGB, turned as EXIF says: shorter side resized to `size`, centre cropped.

    Validation and test folders are used where they are (`layout`); else they are drawn, before anything is decoded:
    only what is used is. What takes more than a quarter of the free memory, or must not be held, is a StreamedImages.

    Raises InputError for no images, classes that differ, unreadable images unless they are skipped (of streamed ones
    those are found only when they are read), and, must it be held, more than half of the free memory.
    """
    root, classes, splits = files_of(settings, tell)
    if not _in_memory(sum(len(files.paths) for files in splits.values()), settings, tell):
        return _streamed(root, splits, classes, settings, tell)
    images: dict[str, Split] = {}
    problems: list[Problem] = []
    for name, files in splits.items():
        tell(f"reading {len(files.paths)} {name} images from {root}")
        pixels, unread = attempted(files.paths, settings.size)
        problems += unread.values()
        labels = files.labels
        if unread and settings.broken == "skip":
            readable = _readable(files, unread, root, name)
            pixels, labels = pixels[readable], labels[readable]
        images[name] = Split(images=pixels, labels=labels)
    _left_out(problems, settings, tell)
    _tell_of_duplicates(images, root, tell)
    return ImageSet.of(name=settings.name, classes=classes, **images)


def files_of(settings: DataSettings, tell: Progress) -> tuple[Path, tuple[str, ...], dict[str, Files]]:
    """The folder, its classes, and the files of train, validation and test; nothing is decoded. Raises InputError for
    no images, and for classes that differ."""
    root = Path(settings.root)
    if not root.is_dir():
        raise refused(root, "no such folder")
    plan = layout(root)
    for note in plan.notes:
        tell(note)
    classes = plan.classes
    if len(classes) < 2:
        raise refused(plan.train, f"{len(classes)} sub-folders")
    splits = _splits(plan, settings, tell)
    return root, classes, splits


def _splits(plan: Layout, settings: DataSettings, tell: Progress) -> dict[str, Files]:
    """The files of train, validation and test; those splits without a folder are drawn. Tells of files that are no
    images, and of classes that a split lacks."""
    passed_over = Counter[str]()
    train = _listed(plan.train, plan.classes, passed_over, every=True)
    if plan.test is not None:
        test = _listed(plan.test, plan.classes, passed_over, every=False)
    else:
        test_index, remaining = without_test(train.labels, TEST_SHARE)
        test, train = train[test_index], train[remaining]
    if plan.validation is None:
        train_index, validation_index = train_and_validation(train.labels, settings)
        train, validation = train[train_index], train[validation_index]
    else:
        validation = _listed(plan.validation, plan.classes, passed_over, every=False)
        train = train[limited(np.arange(len(train.labels)), train.labels, settings)]
    if passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common(8))
        tell(
            f"{settings.root}: {passed_over.total()} files ignored, since their names are not those of images: {kinds}"
        )
    splits = {"train": train, "validation": validation, "test": test}
    for name, files in splits.items():
        absent = [plan.classes[label] for label in np.setdiff1d(np.arange(len(plan.classes)), files.labels)]
        if absent:
            count = f"{len(absent)} of {len(plan.classes)} classes have no {name} image"
            examples = ", ".join(map(repr, absent[:8]))
            tell(f"{settings.root}: {count}: {examples}")
    return splits


def _tell_of_duplicates(images: dict[str, Split], root: Path, tell: Progress) -> None:
    """Tells how many images of a split are, pixel for pixel, in another: what is measured on them is flattered."""
    prints = {name: Counter(hash(image.tobytes()) for image in split.images) for name, split in images.items()}
    for name, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        if count := sum(times for pixels, times in prints[name].items() if pixels in prints[other]):
            tell(
                f"{root}: {count} of {len(images[name])} {name} images are also among the {other} "
                "images, pixel for pixel"
            )


def _streamed(
    root: Path, splits: dict[str, Files], classes: tuple[str, ...], settings: DataSettings, tell: Progress
) -> StreamedImages:
    """The images as they lie on disk; those that are broken are looked for now only where they are to be left out."""
    problems: list[Problem] = []
    if settings.broken == "skip":
        for name, files in splits.items():
            tell(f"checking {len(files.paths)} {name} images from {root}")
            if unread := unreadable(files.paths, settings.size):
                problems += unread.values()
                splits = splits | {name: files[_readable(files, unread, root, name)]}
    _left_out(problems, settings, tell)
    tell(f"measuring up to {MEASURED} training images from {root}")
    streamed = {
        name: StreamedSplit(images=FilesOnDisk.of(root, files.paths, settings.size), labels=files.labels)
        for name, files in splits.items()
    }
    return StreamedImages.of(name=settings.name, classes=classes, **streamed)


def _readable(files: Files, unread: dict[int, Problem], root: Path, name: str) -> np.ndarray[tuple[int], Any]:
    """The indices of the other images. Raises InputError where a split, or a class in training, would have none."""
    readable = np.delete(np.arange(len(files.paths)), list(unread))
    lost = np.setdiff1d(files.labels, files.labels[readable])
    if not len(readable) or (name == "train" and len(lost)):
        where = files.paths[int(np.flatnonzero(files.labels == lost[0])[0])].parent
        raise refused(where if name == "train" else root, f"no readable {name} image")
    return readable


def _left_out(problems: list[Problem], settings: DataSettings, tell: Progress) -> None:
    """Tells of broken images that are left out. Raises InputError, which names them, where they are to be refused."""
    if problems and settings.broken == "refuse":
        raise broken(problems)
    if problems:
        files = ", ".join(problem.file for problem in problems[:NAMED])
        tell(f"{len(problems)} unreadable images skipped: {files}{', ...' if len(problems) > NAMED else ''}")


def _in_memory(count: int, settings: DataSettings, tell: Progress) -> bool:
    """Whether the images are to be held in memory. Raises InputError where they must be and cannot."""
    needed, free = count * 3 * settings.size**2, free_memory()
    if settings.in_memory is True and needed > free // 2:
        raise refuse(
            f"data: {count} images of {settings.size}x{settings.size} take {needed / 2**30:.1f} GiB; "
            f"{free / 2**30:.1f} GiB of memory are free",
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


def _listed(top: Path, classes: tuple[str, ...], passed_over: Counter[str], *, every: bool) -> Files:
    """The images of a split, by class and name; `every` where each class must have some. Endings of files that are no
    images are counted in `passed_over`.

    Raises InputError for a sub-folder that is no class, and where there are no images."""
    folders: dict[str, list[Path]] = {name: [] for name in classes}
    for folder in subfolders(top):
        if class_name(folder) not in folders:
            raise refused(top, f"the class {folder!r}, which has no training images")
        folders[class_name(folder)] += _images(top / folder, passed_over)
    for path in top.iterdir():
        if path.suffix.lower() in suffixes() and path.name[0] != "." and path.is_file():
            passed_over[f"{path.suffix.lower()} outside a class folder"] += 1
    paths = tuple(path for files in folders.values() for path in sorted(files))
    absent = [name for name, files in folders.items() if not files]
    if not paths or (every and absent):
        raise refused(top / absent[0] if paths else top, "no images")
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in folders.values()])
    return Files(paths=paths, labels=labels.astype(np.int64))


def _images(folder: Path, passed_over: Counter[str]) -> Iterator[Path]:
    """The images below a class's folder, at any depth, but not in hidden folders or those of thumbnails."""
    for parent, below, names in os.walk(folder):
        below[:] = [name for name in below if not is_hidden(name)]
        for name in names:
            path = Path(parent, name)
            if name.startswith(".") or name.lower() in SYSTEM_FILES or not path.is_file():
                continue
            if path.suffix.lower() in suffixes():
                yield path
            else:
                passed_over[path.suffix.lower() or name] += 1
