"""Images that came as arrays: turned into pixels of 8 or 16 bits, written to a folder, and read from it as a data set.

The folder holds SPLIT-images.npy (uint8 or uint16, NCHW) and SPLIT-labels.npy (int64; uint8 for several labels,
float32 for targets) of train and, where they were given, of validation and test; and arrays.json, which says the task,
the classes, the sizes and each file's SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from archsearch.data.images import LABEL_TYPES, ImageSet, Split
from archsearch.data.labels import as_classes, as_columns, given_labels, task_of
from archsearch.data.splitting import assemble, limited, subset, without_test
from archsearch.experiment import write_atomically
from archsearch.experiment.machine import free_memory
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular
from archsearch.space.datasets import ARRAYS, described
from archsearch.space.settings import DataSettings
from archsearch.space.tasks import TASKS, TaskName

TEST_SHARE = 0.15
SPLITS = ("train", "validation", "test")
USUAL_CHANNELS, MOST_CHANNELS = 4, 64
CHUNK = 1024  # images that are converted at once
LAYOUTS = (
    "(N, height, width), (N, channels, height, width) or (N, height, width, channels), of 1 to 4 channels, or of up to "
    "64 where they are fewer than height and width"
)
PIXELS = "whole numbers from 0 to 255, uint16, or floating-point numbers from 0 to 1"


@runtime_checkable
class Dataset(Protocol):
    """A torch Dataset with a length, or what looks like one: item i is an image and its label."""

    def __len__(self) -> int:
        """How many items there are."""

    def __getitem__(self, index: int, /) -> Any:
        """(image, label)."""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Splits of images; `train` is among them. Labels are those of the task: indices of `classes`, or a column for
    each of them."""

    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    task: TaskName = "single_label"

    @property
    def training_images(self) -> int:
        """How many images training and validation have together."""
        count = sum(len(self.splits[name]) for name in ("train", "validation") if name in self.splits)
        return count if "test" in self.splits else count - max(1, round(TEST_SHARE * len(self.splits["train"])))

    def write(self, folder: Path) -> None:
        """Writes the arrays to a folder, which is made; arrays.json comes last. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files: dict[str, str] = {}
        for name, split in self.splits.items():
            for kind, array in (("images", split.images), ("labels", split.labels)):
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                content = buffer.getvalue()
                files[f"{name}-{kind}.npy"] = hashlib.sha256(content).hexdigest()
                write_atomically(folder / f"{name}-{kind}.npy", content)
        document = {
            "archsearch arrays": 1,
            "input": list(self.splits["train"].images.shape[1:]),
            "task": self.task,
            "classes": list(self.classes),
            "images": self.training_images,
            "sha256": files,
        }
        write_atomically(folder / ARRAYS, json.dumps(document, indent=1))


def collect(data: Any) -> Arrays:
    """The arrays of (images, labels), of a torch Dataset, or of a mapping of `train`, and perhaps `validation` and
    `test`, to these; such a mapping may also have `task`, a task's name, and `classes`, the names of the labels or
    targets. A Dataset's `classes` are its classes' names.

    Whole numbers or texts are classes (single_label); a table (N, K) of 0 and 1 is K labels (multi_label);
    floating-point numbers, (N,) or (N, K), are targets (regression). A `task` says otherwise: of whole numbers
    regression makes targets.

    A Dataset is read once: a random transform is drawn once for all epochs. Raises InputError.
    """
    parts = dict(data) if isinstance(data, Mapping) else {"train": data}
    task, names = parts.pop("task", "auto"), parts.pop("classes", None)
    if "train" not in parts or not set(parts) <= set(SPLITS):
        problem = f"data of {', '.join(map(repr, parts)) or 'nothing'}"
        raise refuse(problem, allowed="train, optionally with validation and test", file="data")
    if task not in ("auto", *TASKS):
        raise refuse(f"task is {task!r:.40}", allowed=f"auto, {', '.join(TASKS)}", file="data")
    pairs = _of_one_type({name: _pair(part, name) for name, part in parts.items() if part is not None})
    labels = {name: given_labels(given, len(images), name, task) for name, (images, given) in pairs.items()}
    names = getattr(parts["train"], "classes", None) if names is None else names
    kinds = {"text" if array.dtype.kind in "US" else "number" for array in labels.values()}
    if len(kinds) > 1:
        raise refuse(
            "labels that are strings in one split and numbers in another",
            allowed="strings in all splits, or numbers in all",
            file="data",
        )
    task = task_of(labels) if task == "auto" else task
    classes, indices = (as_classes if task == "single_label" else as_columns)(list(labels.values()), names, task)
    splits, start = {}, 0
    for name, (images, _) in pairs.items():
        end = start + len(images)
        splits[name] = Split(images=images, labels=np.ascontiguousarray(indices[start:end], LABEL_TYPES[task]))
        start = end
    shapes = {name: split.images.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise refuse(f"images of several sizes: {shapes}", allowed="one size (channels, height, width)", file="data")
    return Arrays(classes=classes, splits=splits, task=task)


def load(settings: DataSettings) -> ImageSet:
    """The arrays of the folder `settings.root`, split: what was given is used as it is, and the rest is drawn.

    Raises InputError for files that are missing, damaged, or not those that were written."""
    root = Path(settings.root)
    document = described(root)
    splits = {}
    for name in SPLITS:
        if f"{name}-images.npy" in document["sha256"]:
            images, labels = (_read(root, f"{name}-{kind}.npy", document["sha256"]) for kind in ("images", "labels"))
            splits[name] = _checked(images, labels, root)
    classes, task, train = tuple(document["classes"]), document["task"], splits["train"]
    if settings.task not in ("auto", task):
        raise refuse(
            f"data.task: {settings.task}, but the labels were given as {task}",
            allowed=f"auto, {task}",
            hint=f'give them with the task: data={{"train": (images, labels), "task": "{settings.task}"}}',
            file=str(root / ARRAYS),
        )
    try:
        if "test" not in splits:
            test, remaining = without_test(train.labels, TEST_SHARE)
            splits["test"], train = subset(train, test), subset(train, remaining)
        if "validation" not in splits:
            return assemble(classes, train, splits["test"], settings, task=task)
        splits["train"] = subset(train, limited(np.arange(len(train)), train.labels, settings))
        return ImageSet.of(
            name=settings.name, classes=classes, task=task,
            train=splits["train"], validation=splits["validation"], test=splits["test"],
        )  # fmt: skip
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise refuse(str(error), allowed="arrays as archsearch wrote them", file=str(root)) from error


def _read(root: Path, name: str, digests: Mapping[str, str]) -> npt.NDArray[Any]:
    try:
        with open_regular(root / name) as file:
            digest = hashlib.sha256()
            for part in iter(lambda: file.read(2**20), b""):
                digest.update(part)
            if digest.hexdigest() != digests.get(name):
                raise ValueError("its SHA-256 is not the one in arrays.json")
            file.seek(0)
            return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise refuse(
            f"arrays that cannot be read: {error}", hint="give the arrays again", file=str(root / name)
        ) from None


def _checked(images: npt.NDArray[Any], labels: npt.NDArray[Any], root: Path) -> Split:
    try:
        return Split(images=images, labels=labels)
    except ValueError as error:
        raise refuse(str(error), hint="give the arrays again", file=str(root)) from None


def _of_one_type(pairs: Mapping[str, tuple[npt.NDArray[Any], Any]]) -> dict[str, tuple[npt.NDArray[Any], Any]]:
    """The splits' images, as uint8 where no uint16 is above 255. Raises InputError where types differ."""
    wide = {name: images.dtype == np.uint16 for name, (images, _) in pairs.items()}
    if not any(wide[name] and int(images.max()) > 255 for name, (images, _) in pairs.items()):
        return {name: (images.astype(np.uint8, copy=False), labels) for name, (images, labels) in pairs.items()}
    if not all(wide.values()):
        kinds = ", ".join(f"{name}: {images.dtype}" for name, (images, _) in pairs.items())
        raise refuse(f"images of several types ({kinds})", allowed="one type in all splits", file="data")
    return dict(pairs)


def _pair(part: Any, name: str) -> tuple[npt.NDArray[Any], Any]:
    """(pixels, labels as they were given) of a split."""
    if isinstance(part, tuple | list) and len(part) == 2:
        return pixels(part[0], name), part[1]
    if isinstance(part, Dataset) and not isinstance(part, str | bytes | tuple | list | np.ndarray):
        return _read_once(part, name)
    allowed = "(images, labels), a torch Dataset with a length, a data set's name or a folder"
    raise refuse(f"data of type {type(part).__name__}", allowed=allowed, file=f"data: {name}")


def _read_once(dataset: Dataset, name: str) -> tuple[npt.NDArray[Any], list[Any]]:
    """Every item of a Dataset. Raises InputError where they would take more than half of the free memory."""
    count = len(dataset)
    if not count:
        raise refuse("an empty Dataset", allowed="images with labels", file=f"data: {name}")
    labels, images = [], np.empty(0, np.uint8)
    for index in range(count):
        item = dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise refuse(f"item {index} is not a pair", allowed="(image, label)", file=f"data: {name}")
        image = pixels(np.asarray(item[0])[None], f"{name}, item {index}")[0]
        if index == 0:
            needed, free = count * image.nbytes, free_memory()
            if needed > free // 2:
                raise refuse(
                    f"{count} images of {'x'.join(map(str, image.shape))} take {needed / 2**30:.1f} GiB; "
                    f"{free / 2**30:.1f} GiB of memory are free",
                    allowed=f"half of the free memory, {free / 2**31:.1f} GiB",
                    hint="a folder of images is read from disk if it is too large for memory: data='DIR'",
                    file=f"data: {name}",
                )
            images = np.empty((count, *image.shape), image.dtype)
        if image.shape != images.shape[1:] or image.dtype != images.dtype:
            shapes = [f"{part.shape}" + " of 16 bits" * (part.itemsize == 2) for part in (image, images[0])]
            problem = f"item {index} is {shapes[0]}, not {shapes[1]} as the first"
            raise refuse(problem, allowed="images of one size and type", file=f"data: {name}")
        images[index] = image
        labels.append(item[1] if isinstance(item[1], str) else np.asarray(item[1]).tolist())
    return images, labels


def pixels(images: Any, name: str) -> npt.NDArray[Any]:
    """Images as (N, C, H, W): uint16 as they are, all others as uint8, floating-point pixels times 255, rounded. Raises
    InputError; `name` is the split."""
    array, file = np.asarray(images), f"data: {name}"
    if array.ndim == 3:
        array = array[:, None]
    first, last = (array.ndim == 4 and 1 <= array.shape[axis] <= USUAL_CHANNELS for axis in (1, 3))
    if array.ndim == 4 and not (first or last):  # more channels, where no other axis is as short
        shortest = min(array.shape[1:]) if array.shape[1:].count(min(array.shape[1:])) == 1 else 0
        first, last = (array.shape[axis] == shortest <= MOST_CHANNELS for axis in (1, 3))
    if not array.size or array.dtype.kind not in "buif" or not (first or last):
        raise refuse(f"images are {array.dtype} {np.shape(images)}", allowed=LAYOUTS, file=file)
    if first and last and array.shape[1] != array.shape[3]:
        raise refuse(f"images of {np.shape(images)}, where either axis may be the channels", allowed=LAYOUTS, file=file)
    if last and not first:
        array = array.transpose(0, 3, 1, 2)
    if array.dtype.kind == "u" and array.itemsize <= 2:
        return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    scale = 255.0 if array.dtype.kind in "bf" else 1.0
    whole = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), CHUNK):
        part = array[start : start + CHUNK]
        low, high = part.min(), part.max()
        if not (low >= 0 and high * scale <= 255):
            raise refuse(
                f"images are {array.dtype} from {low:g} to {high:g}",
                allowed=PIXELS,
                hint="pass unnormalised pixels, since archsearch normalises them. Other ranges: "
                "(255 * images / images.max()).astype('uint8')",
                file=file,
            )
        whole[start : start + CHUNK] = np.rint(part * scale)
    return whole
