"""What a winner's network outputs for each validation and test image: a .npz file without pickle, beside its weights.

It is written when the test split is evaluated, in the same pass, and bounded in bytes. The ledger's note names the
weights and the file by their SHA-256, so that no reader takes the outputs of one network for those of another.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from archsearch.experiment.crash import crash_point
from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.layout import PREDICTIONS, TrainingFolder
from archsearch.experiment.ledger import Ledger
from archsearch.experiment.winner import Winner
from archsearch.reading.errors import InputError

NOTE = "predictions"  # of the ledger's notes
LARGEST = 2**24  # bytes of all outputs
_ROOM = 2**27  # bytes of a file: with labels and the names of classes
_KINDS = {"single_label": "i", "multi_label": "u", "regression": "f"}  # of NumPy's label types, by task
_LONGEST_HEADER = 10_000  # bytes of an array's


@dataclass(frozen=True, kw_only=True)
class SplitPredictions:
    """A split's images in their order: `scores` (N, K) are the network's outputs, float16 or float32 (logits, or a
    regression's numbers; of a single label less the image's highest), `labels` (N,) or (N, K) as `Split.labels`."""

    scores: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Predictions on their way to the disk: the file's `content`; where it is None, `reason` says why there is none."""

    content: bytes | None
    reason: str | None = None

    @property
    def sha256(self) -> str | None:
        """The content's digest, hex."""
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The outputs of one network by split; `task` is a TaskName, `classes` are the K outputs' names, `thresholds` of
    several labels the probabilities from which each is predicted (None: 0.5)."""

    task: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitPredictions]
    thresholds: tuple[float, ...] | None = None

    def recorded(self) -> Recorded:
        """The file's content, with scores as float16 where float32 would take more than LARGEST bytes."""
        count = sum(split.scores.size for split in self.splits.values())
        dtype = np.float32 if 4 * count <= LARGEST or self.task == "regression" else np.float16
        if (reason := too_large(count * np.dtype(dtype).itemsize)) is not None:
            return Recorded(content=None, reason=reason)
        largest = np.finfo(dtype).max
        values = {"task": self.task, "classes": self.classes, "thresholds": self.thresholds}
        about = json.dumps(values).encode()
        arrays: dict[str, npt.NDArray[Any]] = {"about": np.frombuffer(about, np.uint8)}
        for name, split in self.splits.items():
            scores = split.scores.astype(np.float32)
            if self.task == "single_label":  # where the highest are near one another, float16 is finest near 0
                scores -= scores.max(1, keepdims=True)
            arrays |= {f"{name}_scores": scores.clip(-largest, largest).astype(dtype), f"{name}_labels": split.labels}
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return Recorded(content=file.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The inverse of `recorded`. Raises ValueError for anything else, before it takes memory."""
        try:
            arrays = _arrays(content)
            about = json.loads(arrays.pop("about").tobytes())
            task, classes, thresholds = about["task"], tuple(about["classes"]), about.get("thresholds")
            names = [name.removesuffix("_scores") for name in arrays if name.endswith("_scores")]
            splits = {
                name: SplitPredictions(scores=arrays[f"{name}_scores"], labels=arrays[f"{name}_labels"])
                for name in names
            }
            limits = None if thresholds is None else tuple(map(float, thresholds))
            whole = cls(task=task, classes=classes, splits=splits, thresholds=limits)
            named = all(isinstance(name, str) for name in classes) and len(limits or classes) == len(classes)
            if not splits or not named or not all(map(whole._fits, splits)):
                raise ValueError("its arrays do not belong together")
        except (zipfile.BadZipFile, KeyError, TypeError, EOFError, NotImplementedError, RecursionError) as error:
            raise ValueError(f"not a file of predictions: {error}") from error
        return whole

    def _fits(self, name: str) -> bool:
        split, count = self.splits[name], len(self.classes)
        scores, labels = split.scores, split.labels
        if scores.dtype.kind != "f" or scores.ndim != 2 or scores.shape[1] != count or not scores.size:
            return False
        if labels.dtype.kind != _KINDS[self.task] or not np.isfinite(scores).all():
            return False
        if self.task == "single_label":
            return labels.shape == scores.shape[:1] and labels.min() >= 0 and labels.max() < count
        return labels.shape == scores.shape and bool(np.isfinite(labels).all())


def too_large(size: int) -> str | None:
    """Why outputs of so many bytes are not written; None where they are."""
    if size <= LARGEST:
        return None
    return f"the outputs for all images take {size / 2**20:.0f} MiB, more than {LARGEST // 2**20}"


def _arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an uncompressed .npz, each no larger than its part of the content."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = file.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > len(
            content
        ):
            raise ValueError("files that are larger than they look")
        for member in members:
            data = io.BytesIO(file.read(member))
            if np.lib.format.read_magic(data) != (1, 0):
                raise ValueError("an array of another version")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(data, max_header_size=_LONGEST_HEADER)
            if fortran or dtype.kind not in "iuf":
                raise ValueError(f"an array of {dtype}")
            body = data.read()
            if len(body) != dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object)):
                raise ValueError("an array of another size")
            arrays[member.filename.removesuffix(".npy")] = np.frombuffer(body, dtype).reshape(shape)
    return arrays


def keep(
    folder: ExperimentFolder, ledger: Ledger, recorded: Recorded, weights: Path, sha256: str | None, trial: int | None
) -> None:
    """Writes the predictions of the winner whose weights are the file `weights` with this SHA-256 beside it, then notes
    them in the ledger, unless that was its last such note."""
    if recorded.content is not None:
        folder.write(weights.with_name(PREDICTIONS), recorded.content)
        crash_point("predictions-written")
    note = {"weights": sha256, "sha256": recorded.sha256, "reason": recorded.reason}
    before = ledger.events_of(NOTE)
    if not before or dict(before[-1].data) != note:
        ledger.note(NOTE, note, trial=trial)


def keep_of_run(
    folder: ExperimentFolder, ledger: Ledger, run: TrainingFolder, result: Mapping[str, Any], weights: Path,
    trial: int | None,
) -> None:  # fmt: skip
    """Keeps beside the winner's `weights` what the training in `run` recorded when its test split was evaluated, as its
    `result` says."""
    entry = result.get("predictions") or {"reason": "its outputs were not recorded when the test split was evaluated"}
    keep(folder, ledger, _read(folder, run.predictions, entry), weights, result["weights"]["sha256"], trial)


def _read(folder: ExperimentFolder, path: Path, entry: Mapping[str, Any]) -> Recorded:
    """The file, where it has the SHA-256 of the entry; without one, the entry's reason."""
    if entry.get("sha256") is None:
        return Recorded(content=None, reason=str(entry.get("reason")))
    try:
        recorded = Recorded(content=folder.read_bytes(path, _ROOM))
    except (OSError, InputError) as error:
        message = error.problems[0].message if isinstance(error, InputError) else error.strerror or error
        return Recorded(content=None, reason=f"{path.name} cannot be read: {message}")
    if recorded.sha256 != entry["sha256"]:
        return Recorded(content=None, reason=f"{path.name} is damaged: its SHA-256 is not the recorded one")
    return recorded


def predictions_of(folder: ExperimentFolder, ledger: Ledger, winner: Winner) -> Predictions | str:
    """The winner's recorded outputs; where there are none, why, as a text."""
    notes = [event.data for event in ledger.events_of(NOTE) if event.data.get("weights") == winner.sha256]
    if winner.sha256 is None or not notes:
        evaluated = winner.test is not None
        return (
            "the archsearch that tested it did not record its outputs"
            if evaluated
            else "its test split was not evaluated"
        )
    path = winner.weights.with_name(PREDICTIONS)
    recorded = _read(folder, path, notes[-1])
    if recorded.content is None:
        return str(recorded.reason)
    try:
        return Predictions.from_bytes(recorded.content)
    except ValueError as error:
        return f"{path.name} is damaged: {error}"
