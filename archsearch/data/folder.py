"""Any folder of images, a sub-folder a class: ROOT/train/CLASS/*, or ROOT/CLASS/* with a test split drawn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsearch.data.decoding import decoded, suffixes
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.splitting import limited, train_and_validation, without_test
from archsearch.data.streaming import MEASURED, FilesOnDisk, StreamedImages, StreamedSplit
from archsearch.experiment.machine import free_memory
from archsearch.reading.errors import InputError, refuse
from archsearch.space.folders import class_name, is_hidden, layout, subfolders
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
    """The folder's images in RGB: shorter side resized to `size`, centre cropped.

    Validation and test folders are used where they are (`layout`); else they are drawn, before
    anything is decoded: only what is used is. What takes more than a quarter of the free memory, or must not be
    held, is a StreamedImages. Raises InputError for no images, an unreadable one (of streamed ones those are found
    only when they are read), classes that differ, and, must it be held, more than half of the free memory.
    """
    root = Path(settings.root)
    if not root.is_dir():
        raise _refused(root, "no such folder")
    plan = layout(root)
    for note in plan.notes:
        tell(note)
    classes, passed_over = plan.classes, Counter[str]()
    if len(classes) < 2:
        raise _refused(plan.train, f"{len(classes)} sub-folders")
    train = _listed(plan.train, classes, passed_over, every=True)
    if plan.test is not None:
        test = _listed(plan.test, classes, passed_over, every=False)
    else:
        test_index, remaining = without_test(train.labels, TEST_SHARE)
        test, train = train[test_index], train[remaining]
    if plan.validation is None:
        train_index, validation_index = train_and_validation(train.labels, settings)
        train, validation = train[train_index], train[validation_index]
    else:
        validation = _listed(plan.validation, classes, passed_over, every=False)
        train = train[limited(np.arange(len(train.labels)), train.labels, settings)]
    if passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common(8))
        tell(f"{root}: {passed_over.total()} files passed over, no images by their names: {kinds}")
    splits = {"train": train, "validation": validation, "test": test}
    for name, files in splits.items():
        if absent := [label for number, label in enumerate(classes) if number not in files.labels]:
            tell(f"{root}: {len(absent)} of {len(classes)} classes have no {name} image, so that nothing is measured "
                 f"or learnt of them there: {', '.join(map(repr, absent[:8]))}")  # fmt: skip
    if not _in_memory(sum(len(files.paths) for files in splits.values()), settings, tell):
        tell(f"measuring up to {MEASURED} training images from {root}")
        streamed = {
            name: StreamedSplit(images=FilesOnDisk.of(root, files.paths, settings.size), labels=files.labels)
            for name, files in splits.items()
        }
        return StreamedImages.of(name=settings.name, classes=classes, **streamed)
    images = {}
    for name, files in splits.items():
        tell(f"reading {len(files.paths)} {name} images from {root}")
        images[name] = Split(images=decoded(files.paths, settings.size), labels=files.labels)
    return ImageSet.of(name=settings.name, classes=classes, **images)


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
        tell(f"{count} images would take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} free: read from disk instead")
        return False
    return settings.in_memory is not False


def _listed(top: Path, classes: tuple[str, ...], passed_over: Counter[str], *, every: bool) -> Files:
    """The images of a split, by class and name; `every` where each class must have some. Endings of files that are no
    images are counted in `passed_over`.

    Raises InputError for a sub-folder that is no class, and where there are no images."""
    folders: dict[str, list[Path]] = {name: [] for name in classes}
    for folder in subfolders(top):
        if class_name(folder) not in folders:
            raise _refused(top, f"the class {folder!r}, which has no training images")
        folders[class_name(folder)] += _images(top / folder, passed_over)
    for path in top.iterdir():
        if path.suffix.lower() in suffixes() and path.name[0] != "." and path.is_file():
            passed_over[f"{path.suffix.lower()} outside a class"] += 1
    paths = tuple(path for files in folders.values() for path in sorted(files))
    absent = [name for name, files in folders.items() if not files]
    if not paths or (every and absent):
        raise _refused(top / absent[0] if paths else top, "no images")
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


def _refused(folder: Path, problem: str) -> InputError:
    return refuse(
        f"data.root: {problem}",
        allowed="a folder with one sub-folder of images a class, two classes at least, or with such "
        "folders named train, val and test",
        hint="name another folder: --set data.root=DIR",
        file=str(folder),
    )
