"""Any folder of images, a sub-folder a class: ROOT/train/CLASS/*, or ROOT/CLASS/* with a test split drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsearch.data.decoding import SUFFIXES, decoded
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.splitting import limited, train_and_validation, without_test
from archsearch.data.streaming import MEASURED, FilesOnDisk, StreamedImages, StreamedSplit
from archsearch.experiment.machine import free_memory
from archsearch.reading.errors import InputError, refuse
from archsearch.space.settings import DataSettings

TEST_SHARE = 0.15
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

    ROOT/val (or ROOT/validation) and ROOT/test are used where they are; else they are drawn, before
    anything is decoded: only what is used is. What takes more than a quarter of the free memory, or must not be
    held, is a StreamedImages. Raises InputError for no images, an unreadable one (of streamed ones those are found
    only when they are read), classes that differ, and, must it be held, more than half of the free memory.
    """
    root = Path(settings.root)
    if not root.is_dir():
        raise _refused(root, "no such folder")
    top = root / "train" if (root / "train").is_dir() else root
    classes = tuple(_subfolders(top))
    if len(classes) < 2:
        raise _refused(top, f"{len(classes)} sub-folders")
    train = _listed(top, classes, every=True)
    validation_folder = next((root / name for name in ("val", "validation") if _is_split(root, top, name)), None)
    if _is_split(root, top, "test"):
        test = _listed(root / "test", classes, every=False)
    else:
        test_index, remaining = without_test(train.labels, TEST_SHARE)
        test, train = train[test_index], train[remaining]
    if validation_folder is None:
        train_index, validation_index = train_and_validation(train.labels, settings)
        train, validation = train[train_index], train[validation_index]
    else:
        validation = _listed(validation_folder, classes, every=False)
        train = train[limited(np.arange(len(train.labels)), train.labels, settings)]
    splits = {"train": train, "validation": validation, "test": test}
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


def _subfolders(folder: Path) -> list[str]:
    """The names of its folders that are not hidden, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _is_split(root: Path, top: Path, name: str) -> bool:
    """Whether the folder `name` is a split: beside `train` it is, among the classes it is a class."""
    return top != root and (root / name).is_dir()


def _listed(top: Path, classes: tuple[str, ...], *, every: bool) -> Files:
    """The images of a split, by class and name; `every` where each class must have some.

    Raises InputError for a sub-folder that is no class, and where there are no images."""
    if strange := [name for name in _subfolders(top) if name not in classes]:
        raise _refused(top, f"the class {strange[0]!r}, which has no training images")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(
            path
            for path in (top / name).rglob("*")
            if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()
        )
        paths += files
        labels += [label] * len(files)
    absent = sorted(set(range(len(classes))) - set(labels))
    if not paths or (every and absent):
        raise _refused(top / (classes[absent[0]] if paths else ""), "no images")
    return Files(paths=tuple(paths), labels=np.array(labels, np.int64))


def _refused(folder: Path, problem: str) -> InputError:
    return refuse(
        f"data.root: {problem}",
        allowed="a folder with one sub-folder of images a class, two classes at least, or with such "
        "folders named train, val and test",
        hint="name another folder: --set data.root=DIR",
        file=str(folder),
    )
