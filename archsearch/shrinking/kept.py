"""Parents in an experiment's folder: trained networks whose weights the search's candidates begin with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.layout import ParentFolder
from archsearch.reading.errors import refuse
from archsearch.shrinking.slice_space import is_slice
from archsearch.shrinking.slices import groups_of
from archsearch.space.many.draws import draws
from archsearch.space.optimization_settings import PARENT

if TYPE_CHECKING:
    from archsearch.guests.either import Described
    from archsearch.space.settings import TrainingSettings
    from archsearch.space.space import SearchSpace

KIND = "parent"  # of the ledger's notes, one a parent, in their order
COUNTED = 200  # candidates, of which is counted how many begin with trained weights


@dataclass(frozen=True, kw_only=True)
class KeptParent:
    """A trained network for the images and classes of an experiment; `weights` is a safetensors file.

    `free` are the sizes that a candidate may have smaller. `importance` is how much worse the network is without each
    block that can be left out, by (stage, block) from 1; None: unknown. With `scored` all weights are trained ones, so
    that a candidate has a score before any training; otherwise the classifier has initial values. `source` is what a
    person wrote, `origin` where the weights come from, in a line; `licence` is theirs, where it is stated; `path` is
    the folder that all was read from.
    """

    source: str
    architecture: Architecture
    weights: bytes = field(repr=False)
    free: frozenset[tuple[str, int]] = frozenset()
    importance: Mapping[tuple[int, int], float] | None = None
    scored: bool = True
    path: Path | None = None
    origin: str = ""
    licence: str | None = None

    @cached_property
    def _groups(self) -> list[int]:
        return groups_of(self.architecture)

    def is_parent_of(self, child: Architecture) -> bool:
        """Whether the child begins with weights of this network: it is the same one, or a slice of it."""
        same_classes = child.classes == self.architecture.classes
        return same_classes and is_slice(self.architecture, child, self.free, self._groups)

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, with their SHA-256: plain JSON values."""
        importance = None if self.importance is None else [[*key, value] for key, value in self.importance.items()]
        return {
            "source": self.source,
            "origin": self.origin,
            "licence": self.licence,
            "digest": digest(self.architecture),
            "sha256": hashlib.sha256(self.weights).hexdigest(),
            "architecture": self.architecture.to_dict(),
            "free": sorted([name, index] for name, index in self.free),
            "importance": importance,
            "scored": self.scored,
        }


def files_of(folder: ExperimentFolder, index: int) -> ParentFolder:
    """What lies in an experiment's folder of a parent, whether it is there or not."""
    return ParentFolder(folder.path / "parents" / str(index))


def keep(parents: tuple[KeptParent, ...], folder: ExperimentFolder, ledger: Ledger) -> None:
    """Copies parents into the experiment's folder, then notes each in its ledger."""
    for index, parent in enumerate(parents):
        document = parent.to_dict()
        copy_parent(folder, files_of(folder, index), parent.architecture, parent.weights, document)
        ledger.note(KIND, document)


def copy_parent(
    folder: ExperimentFolder, files: ParentFolder, network: Described, weights: bytes, document: Mapping[str, Any]
) -> None:
    """Writes a trained network into an experiment's folder: its model.yaml, its safetensors file, what is known of it.
    Raises InputError for a link on the way, and OSError."""
    files.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.write(files.model_yaml, network.to_yaml())
    folder.write(files.weights, weights)
    folder.write(files.document, json.dumps(document, indent=1))


def kept_parents(folder: ExperimentFolder, ledger: Ledger) -> tuple[KeptParent, ...]:
    """The parents of an experiment, as its ledger has them. Raises InputError for weights that are not there, or are
    not those that the search began with."""
    parents = []
    for index, event in enumerate(ledger.events_of(KIND)):
        data, file = event.data, files_of(folder, index).weights
        try:
            weights = folder.read_weights(file, data["sha256"])
        except OSError as error:
            hint = "put the file back: the search begins with these weights"
            raise refuse(f"the weights cannot be read: {error.strerror}", hint=hint, file=str(file)) from error
        parents.append(_noted(data, weights, file.parent))
    return tuple(parents)


def start_of(folder: ExperimentFolder, child: Architecture) -> Path | None:
    """The folder of the trained network with whose weights a network of an experiment began; None for initial
    values."""
    if not files_of(folder, 0).path.exists():
        return None
    with Ledger.read(folder.ledger) as ledger:
        notes = enumerate(ledger.events_of(KIND))
        parents = [_noted(event.data, b"", files_of(folder, index).path) for index, event in notes]
    index = parent_of(parents, child)
    return None if index is None else parents[index].path


def _noted(data: Mapping[str, Any], weights: bytes, path: Path) -> KeptParent:
    """A parent of a ledger's note."""
    importance = data["importance"]
    return KeptParent(
        source=data["source"], architecture=Architecture.from_dict(data["architecture"]), weights=weights,
        free=frozenset((str(name), int(number)) for name, number in data["free"]),
        importance=importance and {(int(stage), int(block)): value for stage, block, value in importance},
        path=path, scored=data["scored"], origin=data["origin"], licence=data["licence"],
    )  # fmt: skip


def taught(settings: TrainingSettings, parents: Sequence[KeptParent]) -> TrainingSettings:
    """The settings with the folder of the first parent where the teacher is `parent`."""
    return settings.with_overrides({"teacher": str(parents[0].path)} if settings.teacher == PARENT else {})


def parent_of(parents: Sequence[KeptParent], child: Architecture) -> int | None:
    """The index of the first parent that the child begins with; None for initial values."""
    return next((index for index, parent in enumerate(parents) if parent.is_parent_of(child)), None)


@dataclass(frozen=True, kw_only=True)
class Inheriting:
    """Of so many `candidates` of a space, how many begin with the weights of one of the networks `sources`, and how
    many of those have a score before any training."""

    sources: tuple[str, ...]
    candidates: int
    begin: int
    scored: int

    @classmethod
    def of(cls, parents: Sequence[KeptParent], space: SearchSpace) -> Inheriting:
        """Counted among some candidates of the space."""
        candidates = islice(draws(space, seed=space.search.seed), COUNTED)
        indices = [parent_of(parents, candidate) for candidate in candidates]
        scored = sum(index is not None and parents[index].scored for index in indices)
        begin = sum(index is not None for index in indices)
        sources = tuple(parent.source for parent in parents)
        return cls(sources=sources, candidates=len(indices), begin=begin, scored=scored)

    @property
    def share_scored(self) -> float:
        """The share of candidates with a score before any training; 0 of none."""
        return self.scored / max(1, self.candidates)

    def __str__(self) -> str:
        """A sentence for people, without its end."""
        share = "all" if self.begin == self.candidates else f"{self.begin} of {self.candidates}"
        return f"{share} candidates begin with weights of {', '.join(self.sources)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "sources": list(self.sources), "sentence": str(self)}
