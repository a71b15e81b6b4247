"""A source that is a class of a person's own module, which is imported only where the command line allows it."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.experiment.suggested import ALLOWED_SOURCES as ALLOWED_CLASSES
from archsearch.reading.errors import InputError, refuse
from archsearch.sources.source import ANY_SPLIT, SPLITS, Content, Labels, Numbers

ALLOWED = (
    "a class that is called with the path of the data, with `labels` (a sequence), `read(number)` (the bytes or the "
    "path of an image file, or an array), and perhaps `splits`, `weights`, `groups`, `classes`, `shape`, `name(number)`"
)


def allow(names: Iterable[str]) -> None:
    """Lets these classes (module:Class) be imported, in this process."""
    ALLOWED_CLASSES.update(names)


@dataclass(frozen=True, kw_only=True)
class OwnSource:
    """An object of somebody's class as a source. `title` is module:Class, `path` what the class was called with."""

    title: str
    path: str
    inner: Any
    labels: Labels
    splits: npt.NDArray[np.int8] | None
    weights: npt.NDArray[np.float32] | None
    groups: npt.NDArray[np.int64] | None
    shape: tuple[int, int, int] | None

    def __len__(self) -> int:
        return len(self.labels.values)

    def name(self, number: int) -> str:
        """What the object calls the image, or its number."""
        name = getattr(self.inner, "name", None)
        return str(name(number)) if callable(name) else f"{self.title}: image {number}"

    def file(self, number: int) -> Path:
        """The path that the class was called with."""
        return Path(self.path).absolute()

    def read(self, number: int) -> Content:
        """The image. Raises InputError for what is none."""
        content = self.inner.read(number)
        if not isinstance(content, bytes | Path | np.ndarray):
            problem = f"read({number}) returned a {type(content).__name__}"
            raise refuse(problem, allowed="bytes, a Path or a NumPy array", file=self.name(number))
        return content

    def identity(self, numbers: Numbers) -> Iterable[bytes]:
        """The class and the images' names."""
        yield self.title.encode()
        yield b"\0".join(os.fsencode(self.name(number)) for number in numbers.tolist())

    def refused(self, problem: str, number: int | None = None) -> InputError:
        """The refusal of the class, or of one image."""
        return refuse(problem, allowed=ALLOWED, file=self.title if number is None else self.name(number))

    def prepare(self) -> Iterable[str]:
        """Does nothing: the class has to be ready when it is made."""
        return ()


def imported(title: str, *, key: str, kind: Literal["class", "function"], allowed: str) -> Any:
    """What module:name means, the value of a file's `key`; None where its module has no such name. Raises InputError
    for one that was not allowed, since importing a module runs its code, and for a module that is not there."""
    if title not in ALLOWED_CLASSES:
        # Without the name: a terminal, or whoever reads this text, is told nothing that the file's author chose.
        raise refuse(
            f"{key}: the file names a {kind}, and importing its module runs its code",
            hint=f"--allow-source MODULE:{kind.upper()}, if you trust that module",
            file="data",
        )
    module, _, attribute = title.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise refuse(f"{key}: {title!r:.80}: {error}", allowed=allowed, file="data") from error


def open_own(title: str, path: str) -> OwnSource:
    """The source that the class module:Class makes of the data at `path`. Raises InputError for one that was not
    allowed, since importing a module runs its code, and for one that lacks something."""
    kind = imported(title, key="data.name", kind="class", allowed=ALLOWED)
    if not inspect.isclass(kind):
        raise refuse(f"data.name: {title!r:.80} is no class", allowed=ALLOWED, file="data")
    inner: Any = kind(path)  # type: ignore[call-arg]
    labels = np.asarray(getattr(inner, "labels", ()))
    if not callable(getattr(inner, "read", None)) or labels.ndim not in (1, 2) or not len(labels):
        raise refuse(f"labels of {labels.dtype} {labels.shape}, or no read", allowed=ALLOWED, file=title)
    kept: dict[str, Any] = {name: getattr(inner, name, None) for name in ("splits", "weights", "groups", "shape")}
    for name in ("splits", "weights", "groups"):
        if kept[name] is not None and len(kept[name]) != len(labels):
            raise refuse(f"{len(kept[name])} {name} for {len(labels)} images", allowed="as many", file=title)
    groups = kept["groups"]
    return OwnSource(
        title=title,
        path=path,
        inner=inner,
        labels=Labels(
            values=labels.astype(np.int64) if labels.dtype.kind in "bu" else labels,
            names=tuple(map(str, getattr(inner, "classes", ()))),
        ),
        splits=None if kept["splits"] is None else _splits(kept["splits"], title),
        weights=None if kept["weights"] is None else np.asarray(kept["weights"], np.float32),
        groups=None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64),
        shape=kept["shape"],
    )


def _splits(names: Sequence[str | None], title: str) -> npt.NDArray[np.int8]:
    if not set(names) <= {*SPLITS, "", None}:
        raise refuse(f"splits {sorted(map(str, set(names)))}", allowed=f"{', '.join(SPLITS)}, or empty", file=title)
    return np.array([SPLITS.index(name) if name else ANY_SPLIT for name in names], np.int8)
