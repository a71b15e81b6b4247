"""Any folder of images, a sub-folder a class: ROOT/train/CLASS/*, or ROOT/CLASS/* with a test split drawn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from archsearch.data.form import suffixes
from archsearch.data.images import ImageSet, Progress
from archsearch.data.sourced import Part, image_set, parts_of
from archsearch.sources.folders import FolderSource
from archsearch.sources.layout import ARRAY, Layout, class_name, first_array, is_hidden, layout, refused, subfolders
from archsearch.sources.source import SPLITS, Labels
from archsearch.space.settings import DataSettings

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})  # which Windows leaves in any folder


def load(settings: DataSettings, tell: Progress) -> ImageSet:
    """The folder's images, in the form that the settings name (form.py), turned as EXIF says.

    Validation and test folders are used where they are (`layout`); else they are drawn, before anything is decoded:
    only what is used is. Raises InputError for no images, classes that differ, and as `image_set`.
    """
    classes, parts = parts_in(settings, tell)
    return image_set(settings.root, parts, classes, settings, tell)


def parts_in(settings: DataSettings, tell: Progress) -> tuple[tuple[str, ...], dict[str, Part]]:
    """The folder's classes, and the files of train, validation and test; nothing is decoded. Tells of files that are no
    images, and of classes that a split lacks. Raises InputError for no images, and for classes that differ."""
    root = Path(settings.root)
    if not root.is_dir():
        raise refused(root, "no such folder")
    plan = layout(root)
    for note in plan.notes:
        tell(note)
    if len(plan.classes) < 2:
        raise refused(plan.train, f"{len(plan.classes)} sub-folders")
    source, passed_over = listed(root, plan)
    parts = parts_of(source, source.labels.values, settings)
    if passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common(8))
        tell(
            f"{settings.root}: {passed_over.total()} files ignored, since their names are not those of images: {kinds}"
        )
    for name, part in parts.items():
        absent = [plan.classes[label] for label in np.setdiff1d(np.arange(len(plan.classes)), part.labels)]
        if absent:
            count = f"{len(absent)} of {len(plan.classes)} classes have no {name} image"
            examples = ", ".join(map(repr, absent[:8]))
            tell(f"{settings.root}: {count}: {examples}")
    return plan.classes, parts


def listed(root: Path, plan: Layout) -> tuple[FolderSource, Counter[str]]:
    """The images below `root`, split by split, and how many files of which endings are none.

    Raises InputError for a sub-folder that is no class, and where there are no images."""
    passed_over = Counter[str]()
    endings = suffixes() if first_array(root) is None else frozenset({ARRAY})
    paths: list[Path] = []
    labels: list[int] = []
    splits: list[int] = []
    for split, top in enumerate((plan.train, plan.validation, plan.test)):
        if top is not None:
            files = _files(top, plan.classes, endings, passed_over, every=SPLITS[split] == "train")
            for label, members in enumerate(files):
                paths += members
                labels += [label] * len(members)
                splits += [split] * len(members)
    stated = Labels(values=np.array(labels, np.int64), names=plan.classes)
    return FolderSource.of(root, paths, stated, np.array(splits, np.int8)), passed_over


def _files(
    top: Path, classes: tuple[str, ...], endings: frozenset[str], passed_over: Counter[str], *, every: bool
) -> list[list[Path]]:
    """The images of a split, by their `endings`: a list a class, sorted; `every` where each class must have some. Other
    endings are counted in `passed_over`.

    Raises InputError for a sub-folder that is no class, and where there are no images."""
    folders: dict[str, list[Path]] = {name: [] for name in classes}
    for folder in subfolders(top):
        if class_name(folder) not in folders:
            raise refused(top, f"the class {folder!r}, which has no training images")
        folders[class_name(folder)] += _images(top / folder, endings, passed_over)
    for path in top.iterdir():
        if path.suffix.lower() in endings and path.name[0] != "." and path.is_file():
            passed_over[f"{path.suffix.lower()} outside a class folder"] += 1
    absent = [name for name, files in folders.items() if not files]
    if len(absent) == len(classes) or (every and absent):
        raise refused(top if len(absent) == len(classes) else top / absent[0], "no images")
    return [sorted(files) for files in folders.values()]


def _images(folder: Path, endings: frozenset[str], passed_over: Counter[str]) -> Iterator[Path]:
    """The images below a class's folder, at any depth, but not in hidden folders or those of thumbnails. What is a file
    is known from the folder's own list: network file systems are not asked about each. Raises InputError."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise refused(folder, f"it cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not is_hidden(entry.name):
                yield from _images(Path(entry.path), endings, passed_over)
        elif not entry.name.startswith(".") and entry.name.lower() not in SYSTEM_FILES and entry.is_file():
            path = Path(entry.path)
            if path.suffix.lower() in endings:
                yield path
            else:
                passed_over[path.suffix.lower() or entry.name] += 1
