"""How a folder of images is laid out: which sub-folders are splits, which are classes, and which are neither."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    import numpy as np

SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid", "validate", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}
PICTURES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff",
    ".avif", ".heic", ".heif",
})  # fmt: skip
ARRAY = ".npy"
RENAME = "rename the folder, or name another: --set data.root=DIR"
_KINDS = {word: kind for kind, names in SPLITS.items() for word in names}
_FILLERS = frozenset({"set", "data", "dataset", "images", "image", "imgs", "img", "split", "samples", "folder"})
_THUMBNAILS = frozenset({
    "@eadir", "#recycle", "@recycle", "$recycle.bin", "__macosx", "__pycache__", "lost+found",
    "thumbnails", "_thumbnails", "_thumbs",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of the splits; `validation` and `test` are None where they are to be drawn from `train`, whose
    sub-folders are the `classes`. `notes` say what is left out, in sentences for a person."""

    train: Path
    validation: Path | None
    test: Path | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def layout(root: Path) -> Layout:
    """The layout of the folder `root`: ROOT/CLASS, or ROOT/SPLIT/CLASS with splits by any of their usual names.

    Raises InputError for test or validation folders without one for training, and for a class whose name is no UTF-8;
    OSError for what cannot be read.
    """
    children = subfolders(root)
    splits = {kind: _candidates(root, children, kind) for kind in SPLITS}
    train = next(iter(splits["train"]), None)
    if train is not None and not _exactly(train) and len(children) > 1 and not (splits["validation"] or splits["test"]):
        train = None  # a class that is called train_station
    if train is None:
        if children and all(map(_exactly, children)) and any(splits.values()):
            raise refused(root, f"the splits {', '.join(children)}, but none for training", hint=RENAME)
        return Layout(train=root, validation=None, test=None, classes=_classes(root), notes=())
    roles = {"train": train} | {kind: splits[kind][0] for kind in ("validation", "test") if splits[kind]}
    notes = []
    if others := [name for name in children if name not in roles.values()]:
        unlabelled = [name for name in others if split_kind(name) and not _labelled(root / name)]
        strange = [name for name in others if name not in unlabelled]
        for names, reason in ((unlabelled, "without one sub-folder per class"), (strange, "not used as a split")):
            if names:
                notes.append(f"{root}: ignored beside {train}: {', '.join(map(repr, names))}, {reason}")
    folders = {kind: _innermost(root / name, kind) for kind, name in roles.items()}
    return Layout(
        train=folders["train"],
        validation=folders.get("validation"),
        test=folders.get("test"),
        classes=_classes(folders["train"]),
        notes=tuple(notes),
    )


def subfolders(folder: Path) -> list[str]:
    """The names of its folders that are neither hidden nor thumbnails of a program, sorted."""
    return sorted(path.name for path in folder.iterdir() if not is_hidden(path.name) and path.is_dir())


def first_array(root: Path) -> Path | None:
    """The first .npy file of the first class, where the images of the folder are such: the class has no picture. None
    for a folder without classes. Raises OSError for what cannot be read."""
    plan = layout(root) if root.is_dir() else None
    if plan is None or not plan.classes:
        return None
    first = None
    for top in sorted(path for path in plan.train.iterdir() if class_name(path.name) == plan.classes[0]):
        for parent, below, names in os.walk(top):
            below[:] = sorted(name for name in below if not is_hidden(name))
            for name in sorted(names):
                ending = Path(name).suffix.lower()
                if ending in PICTURES:
                    return None
                first = Path(parent, name) if first is None and ending == ARRAY and name[0] != "." else first
    return first


def array_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """(shape, type) of the array in a .npy file, of which no more is read. Raises ValueError for another file."""
    import numpy as np  # here, for reading a search space needs none of it

    major, _ = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if len(shape) not in (2, 3):
        raise ValueError(f"an array {shape}, which is no image")
    return shape, kind


def is_hidden(folder: str) -> bool:
    """Whether a folder of this name holds no images of its own: hidden, or copies that a program keeps there."""
    return folder.startswith(".") or folder.lower() in _THUMBNAILS


def class_name(folder: str) -> str:
    """The class that a folder's name stands for: the same in all Unicode forms of one text (NFC)."""
    return unicodedata.normalize("NFC", folder)


def split_kind(name: str) -> str | None:
    """train, validation or test where a folder's name has a word for exactly one of them, in any case: Training,
    seg_test, images-val, trainset."""
    kinds = {_KINDS[word] for word in _words(name) if word in _KINDS}
    return kinds.pop() if len(kinds) == 1 else None


def _words(name: str) -> list[str]:
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    return [re.sub(r"(?<=.)(set|data|images)$", "", word) for word in words]


def _exactly(name: str) -> bool:
    """Whether a folder's name says that it is a split, and nothing else: no prefix that could be of a class."""
    return split_kind(name) is not None and all(word in _KINDS or word in _FILLERS for word in _words(name))


def _candidates(root: Path, children: list[str], kind: str) -> list[str]:
    """The folders that could be this split and have classes, the likeliest first."""
    names = [name for name in children if split_kind(name) == kind and _labelled(root / name)]
    usual = SPLITS[kind]
    order = {name: usual.index(name.lower()) if name.lower() in usual else len(usual) for name in names}
    return sorted(names, key=lambda name: (order[name], not _exactly(name)))


def _labelled(folder: Path) -> bool:
    return bool(subfolders(_innermost(folder, split_kind(folder.name))))


def _innermost(folder: Path, kind: str | None) -> Path:
    """The folder, or the single one in it that names the same split again, as archives have it: train/train."""
    while len(names := subfolders(folder)) == 1 and split_kind(names[0]) == kind and kind is not None:
        folder /= names[0]
    return folder


def _classes(folder: Path) -> tuple[str, ...]:
    names = sorted({class_name(name) for name in subfolders(folder)})
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise refused(folder, f"a class whose name is not valid UTF-8: {name!a}", hint=RENAME) from None
    return tuple(names)


def refused(folder: Path, problem: str, *, hint: str = "name another folder: --set data.root=DIR") -> InputError:
    """The refusal of a folder of images, or of one in it, with how one is laid out."""
    return refuse(
        f"data.root: {problem}",
        allowed="a folder with one sub-folder of images per class (two classes at least), or with "
        "such folders named train, val and test",
        hint=hint,
        file=str(folder),
    )
