"""Checkpoints: safetensors and JSON with a SHA-256 manifest, and no pickle.

A checkpoint is a folder. It is written under a temporary name, fsynced and renamed, so that it is whole or
absent; the one before stays beside it as NAME.before until the next is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from archsearch.experiment.files import sync_folder
from archsearch.reading.files import open_regular

THRESHOLDS = "thresholds"  # among a safetensors file's metadata
WEIGHTS, EXTRA, MANIFEST = "weights.safetensors", "extra.json", "manifest.json"
FORMAT = 1
LARGEST_HEADER = 2**24  # bytes of a safetensors file: of 100,000 tensors


class CheckpointDamaged(ValueError):
    """A checkpoint or weights that are not what was written: missing parts, other bytes, no tensors."""


def save_checkpoint(folder: Path, model_state: dict[str, Tensor], extra: dict[str, Any]) -> None:
    """Writes the checkpoint `folder`; `extra` holds JSON values. What `folder` held becomes NAME.before.

    Raises OSError (a full disk); `folder` or NAME.before is whole at every moment.
    """
    contents = {WEIGHTS: weights_to_bytes(model_state), EXTRA: json.dumps(extra).encode()}
    files = {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in contents.items()}
    contents[MANIFEST] = json.dumps({"format": FORMAT, "files": files}).encode()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for unfinished in folder.parent.glob(f".{folder.name}.new-*"):  # by a process that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.new-"))  # mode 0700
    try:
        for name, data in contents.items():
            _write_synced(new / name, data)
        sync_folder(new)
        load_checkpoint(new)
        if folder.exists():
            # A damaged one is no "one before": the last good one must not make room for it.
            if _is_whole(folder):
                shutil.rmtree(_before(folder), ignore_errors=True)
                folder.rename(_before(folder))
            else:
                shutil.rmtree(folder)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, extra) as `save_checkpoint` was given them. Raises CheckpointDamaged where they are not whole."""
    try:
        manifest = json.loads(_read(folder / MANIFEST))
        files = {name: manifest["files"][name] for name in (WEIGHTS, EXTRA)}
        contents = {name: _read(folder / name) for name in files}
        sound = manifest["format"] == FORMAT and all(
            (len(data), _sha256(data)) == (files[name]["bytes"], files[name]["sha256"])
            for name, data in contents.items()
        )
        extra = json.loads(contents[EXTRA]) if sound else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointDamaged(f"{folder}: {error}") from error
    if not isinstance(extra, dict):
        raise CheckpointDamaged(f"{folder}: its files are not those of its manifest")
    return weights_from_bytes(contents[WEIGHTS]), extra


def load_latest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint, or the one before where it is damaged or absent, or None where neither can be used."""
    for candidate in (folder, _before(folder)):
        try:
            return load_checkpoint(candidate)
        except CheckpointDamaged:
            continue
    return None


def remove_checkpoint(folder: Path) -> None:
    """Deletes the checkpoint and the one before, where they are."""
    for checkpoint in (folder, _before(folder)):
        shutil.rmtree(checkpoint, ignore_errors=True)


def weights_to_bytes(state: dict[str, Tensor], *, thresholds: npt.NDArray[np.float64] | None = None) -> bytes:
    """Tensors as safetensors, from any device and memory format: how a worker hands weights to its driver.

    `thresholds` are the probabilities from which each of several labels is present; the file's metadata keep them.
    """
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    # safetensors refuses tensors that share memory, as tied weights do.
    pointers: set[int] = set()
    for name, value in tensors.items():
        pointer = value.untyped_storage().data_ptr()
        if pointer in pointers and value.numel():
            tensors[name] = value.clone()
        pointers.add(pointer)
    return save(tensors, None if thresholds is None else {THRESHOLDS: json.dumps(thresholds.tolist())})


def thresholds_of(weights: bytes) -> npt.NDArray[np.float64] | None:
    """The thresholds (K,) that `weights_to_bytes` was given; None where it was given none. Raises CheckpointDamaged."""
    length = int.from_bytes(weights[:8], "little")
    if length > LARGEST_HEADER:
        raise CheckpointDamaged("weights: a header that is too long")
    try:
        text = json.loads(weights[8 : 8 + length]).get("__metadata__", {}).get(THRESHOLDS)
        values = None if text is None else np.array(json.loads(text), np.float64)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointDamaged(f"weights: {error}") from error
    if values is not None and (values.ndim != 1 or not np.isfinite(values).all()):
        raise CheckpointDamaged("weights: thresholds that are no list of numbers")
    return values


def weights_from_bytes(data: bytes) -> dict[str, Tensor]:
    """The inverse of `weights_to_bytes`. Raises CheckpointDamaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if int.from_bytes(data[:8], "little") > LARGEST_HEADER:
        raise CheckpointDamaged("weights: a header that is too long")
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointDamaged(f"weights: {error}") from error


def _before(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.before")


def _is_whole(folder: Path) -> bool:
    try:
        load_checkpoint(folder)
    except CheckpointDamaged:
        return False
    return True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    """The bytes of a file of the folder itself: a symbolic link raises OSError, where the system can tell."""
    with open_regular(path, follow=False) as file:
        return file.read()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


EXTRA = "extra.json"  # among a state's tensors: its plain values


def pack(tensors: dict[str, Tensor], extra: dict[str, Any]) -> bytes:
    """A training's state as one safetensors file, the plain values as JSON among its tensors."""
    import torch

    from archsearch.training.checkpoint import weights_to_bytes

    values = torch.frombuffer(bytearray(json.dumps(extra).encode()), dtype=torch.uint8)
    return weights_to_bytes({**tensors, EXTRA: values})


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `pack`. Raises ValueError (CheckpointDamaged) or KeyError for what is no state."""
    from archsearch.training.checkpoint import weights_from_bytes

    tensors = weights_from_bytes(data)
    try:
        return tensors, json.loads(bytes(tensors.pop(EXTRA).numpy()))
    except RecursionError as error:
        raise ValueError("values that are nested too deeply") from error
