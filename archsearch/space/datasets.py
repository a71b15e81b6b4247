"""What a search must know of a data set before any image is read: its shape, its classes, its size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.reading.errors import refuse
from archsearch.reading.files import open_regular, read_json
from archsearch.sources.layout import ARRAY, array_header, first_array, layout, refused
from archsearch.space.settings import DataSettings
from archsearch.space.tasks import TASKS, TaskName

ARRAYS = "arrays.json"
ELSEWHERE = "name another folder: --set data.root=DIR, or --root DIR for an existing experiment"


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """An image's (channels, height, width), the number of classes, labels or targets of its task, and of training
    images where it is known; the task is None where only a network is known of them.

    The training images are those that `validation` is taken from.
    """

    input: tuple[int, int, int]
    classes: int
    images: int | None = None
    task: TaskName | None = "single_label"


def facts(data: DataSettings) -> DataFacts:
    """What is known of the data that the settings name. Raises InputError for a folder without classes."""
    match data.name:
        case "digits":
            return DataFacts(input=(1, 8, 8), classes=10, images=1438)
        case "cifar10":
            return DataFacts(input=(3, 32, 32), classes=10, images=50_000)
        case "cifar100":
            return DataFacts(input=(3, 32, 32), classes=100, images=50_000)
        case "fashion_mnist":
            return DataFacts(input=(1, 28, 28), classes=10, images=60_000)
        case "folder":
            return DataFacts(input=file_shape(data), classes=len(class_folders(data.root)))
        case "mnist":
            return DataFacts(input=(1, 28, 28), classes=10, images=60_000)
        case "svhn":
            return DataFacts(input=(3, 32, 32), classes=10, images=73_257)
        case "arrays":
            document = described(Path(data.root))
            channels, height, width = document["input"]
            classes = len(document["classes"])
            return DataFacts(
                input=(channels, height, width), classes=classes, images=document["images"], task=document["task"]
            )
        case _:
            return _facts_of_source(data)


def file_shape(data: DataSettings) -> tuple[int, int, int]:
    """(channels, height, width) that image files get by these settings, the largest of several sizes. Raises InputError
    for a folder or a table of .npy files of which the first does not show how many channels it has."""
    height, width = data.sizes[0]
    if data.channels != "auto":
        return data.channels, height, width
    array = _first_array(data)
    return 3 if array is None else _channels_of(array), height, width


def _first_array(data: DataSettings) -> Path | None:
    """The first .npy file of a folder or a table; None where the images are others."""
    if data.name == "folder":
        return first_array(Path(data.root))
    if data.name == "table":
        from archsearch.sources.table import TableSource
        from archsearch.space.sourcing import open_source

        source = open_source(data)  # bytes in Parquet would have to be unpacked first
        return source.file(0) if isinstance(source, TableSource) and source.file(0).suffix.lower() == ARRAY else None
    return None


def _channels_of(file: Path) -> int:
    """How many channels the array in a .npy file has: its shorter end is that of the channels."""
    try:
        with open_regular(file) as opened:
            shape, _ = array_header(opened)
    except (OSError, ValueError) as error:
        raise refuse(f"it cannot be read: {error}", allowed=".npy files of images", file=str(file)) from None
    if len(shape) == 2:
        return 1
    if shape[0] == shape[2]:
        allowed = "(height, width), (height, width, channels) or (channels, height, width)"
        hint = "give the number of channels: --set data.channels=N"
        raise refuse(f"an array {shape}", allowed=allowed, hint=hint, file=str(file))
    return int(min(shape[0], shape[2]))


def _facts_of_source(data: DataSettings) -> DataFacts:
    from archsearch.space.sourcing import open_source, targets_of, without_test

    source = open_source(data)
    targets, shape = targets_of(source, data), source.shape or file_shape(data)
    return DataFacts(input=shape, classes=len(targets.classes), images=without_test(source), task=targets.task)


def validation_images(validation: float, images: int) -> int:
    """How many of a data set's `images`, test images apart, `data.validation` keeps for validation: that many where it
    is 1 or more, else that share, one at least."""
    return round(validation) if validation >= 1 else max(1, round(validation * images))


def split_sizes(data: DataSettings, images: int) -> tuple[int, int]:
    """(train, validation): the images that an epoch sees, of the data's `images` without the test split."""
    validation = validation_images(data.validation_size, images)
    train = images - validation
    return max(1, min(train, data.limit or train)), validation


def class_folders(root: str | Path) -> tuple[str, ...]:
    """The classes of a folder of images, sorted: the sub-folders of its training split, or of ROOT where there is none.

    Raises InputError for a folder that is missing, unreadable, or has fewer than two of them.
    """
    folder = Path(root)
    try:
        if not folder.is_dir():
            raise refused(folder, "no such folder", hint=ELSEWHERE)
        plan = layout(folder)
    except OSError as error:
        raise refused(folder, f"it cannot be read: {error.strerror or error}", hint=ELSEWHERE) from None
    top, names = plan.train, plan.classes
    if len(names) < 2:
        raise refused(top, "no sub-folder" if not names else "a single sub-folder", hint=ELSEWHERE)
    return names


def described(root: Path) -> dict[str, Any]:
    """What arrays.json says of the arrays in a folder: `input` (channels, height, width), `task`, `classes`, `images`
    (how many training and validation have together) and each file's `sha256`. Raises InputError."""
    file = root / ARRAYS
    try:
        document = {"task": "single_label", **read_json(file)}
        if not (
            document["archsearch arrays"] == 1
            and len(document["input"]) == 3
            and all(type(size) is int and size > 0 for size in (*document["input"], document["images"]))
            and document["task"] in TASKS
            and len(document["classes"]) >= (2 if document["task"] == "single_label" else 1)
            and all(isinstance(text, str) for text in (*document["classes"], *document["sha256"].values()))
        ):
            raise ValueError("a value of another kind")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise refuse(
            f"data.root holds no arrays that can be read: {problem}",
            allowed="the folder `arrays` of an experiment that archsearch.search was given arrays for",
            hint="the folder may have been moved: --set data.root=DIR, or --root DIR for an existing experiment",
            file=str(file),
        ) from None
    return dict(document)
