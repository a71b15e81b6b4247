"""Image files in folders, each labelled by its sub-folder, as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archsearch.reading.errors import InputError
from archsearch.sources.layout import refused
from archsearch.sources.source import Labels, Numbers, identity_of_files


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Image files below a folder, each labelled by its sub-folder.

    `names` are relative to `root`, as the file system's bytes: one plain array, which processes share. `shown` is the
    folder as a person named it.
    """

    shown: str
    root: str
    names: npt.NDArray[np.bytes_]
    labels: Labels
    splits: npt.NDArray[np.int8] | None
    weights: None = None
    groups: None = None
    shape: None = None

    @classmethod
    def of(cls, root: Path, paths: Sequence[Path], labels: Labels, splits: npt.NDArray[np.int8]) -> FolderSource:
        """The files `paths`, which lie below `root`."""
        names = np.array([os.fsencode(path.relative_to(root)) for path in paths], dtype=np.bytes_)
        return cls(shown=str(root), root=str(root.absolute()), names=names, labels=labels, splits=splits)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        """The image's file, below the folder as it was named."""
        return str(Path(self.shown) / self._name(number))

    def file(self, number: int) -> Path:
        """The image's file, by its absolute path."""
        return Path(self.root) / self._name(number)

    def read(self, number: int) -> Path:
        """The image's file."""
        return self.file(number)

    def identity(self, numbers: Numbers) -> Iterable[bytes]:
        """The names, and the lengths of the files. Raises OSError for a file that is missing."""
        return identity_of_files(self.names[numbers], map(self.file, numbers.tolist()))

    def refused(self, problem: str, number: int | None = None) -> InputError:
        """The refusal of the folder, or of the one that holds an image."""
        return refused(Path(self.shown) if number is None else Path(self.name(number)).parent, problem)

    def prepare(self) -> Iterable[str]:
        """Does nothing: files can be read as they are."""
        return ()

    def _name(self, number: int) -> str:
        return os.fsdecode(bytes(self.names[number]))
