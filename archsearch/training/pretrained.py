"""A file of weights -> the start of a training. Nothing in a file is run: safetensors, or pickles of tensors alone."""

from __future__ import annotations

import hashlib
import io
import pickle
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.experiment.folder import refuse_links_around
from archsearch.experiment.machine import free_memory
from archsearch.guests.either import Described, described, digest, load, named
from archsearch.guests.parents import Parent, suited
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import read_json, read_regular
from archsearch.reading.pickles import Refused
from archsearch.training.checkpoint import CheckpointDamaged, weights_from_bytes
from archsearch.training.saved import checked

KINDS = "a .safetensors file from `archsearch train`, or a .pth file from torchvision, timm or pytorch_resnet_cifar10"
SUFFIXES = (".safetensors", ".pth", ".pt", ".th")
LARGEST = 4 * 2**30  # bytes: the largest published network of the family has 3.3 GB
COPIES = 4  # of a file's bytes that are in memory at once
# What torch.load raises for bytes that are no checkpoint: it has no error of its own for them.
UNREADABLE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, OSError, AssertionError)

UNREADABLE_NOTES = (OSError, ValueError, KeyError, TypeError)  # a file beside weights that is absent, or not ours


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The tensors of a file, under the names that they have there, and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    tensors: dict[str, Tensor]


def read_weights(path: Path) -> WeightsFile:
    """The tensors of a file with one of `SUFFIXES`. Raises InputError for one that is absent, damaged, or has more."""
    if path.suffix not in SUFFIXES:
        raise refuse(f"weights with the suffix {path.suffix!r}", allowed=KINDS, file=str(path))
    refuse_links_around(path)
    try:
        data = read_regular(path, min(LARGEST, free_memory() // COPIES))
    except OSError as error:
        raise refuse(f"the weights cannot be read: {error.strerror}", allowed=KINDS, file=str(path)) from error
    tensors = _safetensors(path, data) if path.suffix == ".safetensors" else _pickled(path, data)
    return WeightsFile(path=path, sha256=hashlib.sha256(data).hexdigest(), tensors=tensors)


def start_from(file: WeightsFile, module: nn.Module) -> dict[str, Any]:
    """Loads the weights into a network's module; the JSON fields of what was loaded and what started anew.

    Raises InputError, under the file's name, for weights of another network.
    """
    try:
        start = load(module, file.tensors)
    except InputError as error:
        raise InputError(*(replace(problem, file=str(file.path)) for problem in error.problems)) from error
    return {
        "file": str(file.path),
        "sha256": file.sha256,
        "source": start.source,
        "loaded": start.loaded,
        "replaced": list(start.replaced),
    }


def parent_of_file(path: Path, network: Described, source: str | None = None) -> Parent:
    """The network with the weights of a file, its channels and classes those of the weights. Where `archsearch train`
    has left them, the normalization and where they began are those of its result.json. `source` is what a person
    wrote. Raises InputError, under the file's name, for weights of another network."""
    file = read_weights(path)
    try:
        network, weights, names = named(file.tensors, network)
    except InputError as error:
        raise InputError(*(replace(problem, file=str(path)) for problem in error.problems)) from error
    data, start = _trained_beside(file)
    mean, std = data.get("mean"), data.get("std")
    began = f", which began with {start['origin']}" if start.get("origin") else ""
    return Parent(
        source=source or str(path), network=network, weights=weights, sha256=file.sha256, names=names,
        origin=f"{path.parent.name}/{path.name} (SHA-256 {file.sha256[:16]}){began}", licence=start.get("licence"),
        normalization=(tuple(mean), tuple(std)) if mean and std and len(mean) == network.input[0] else None,
    )  # fmt: skip


def begin(parent: Parent, module: nn.Module, *, seed: int) -> dict[str, Any]:
    """Loads the parent's weights into the module of the same network, for its images and classes (see `suited`); the
    JSON fields of what was loaded and what started anew. Raises InputError for another network."""
    network = described(module)
    fitted = suited(parent, network.input, network.classes, seed=seed)
    if digest(fitted.network) != digest(network):
        name = network.name or digest(network)
        raise refuse(f"these are not the weights of {name}", allowed=f"the network {name}", file=parent.source)
    module.load_state_dict(fitted.weights)
    return {
        "file": parent.source,
        "sha256": parent.sha256,
        "source": parent.names,
        "loaded": len(fitted.weights) - len(fitted.replaced),
        "replaced": list(fitted.replaced),
        "changed": fitted.note,
        "origin": parent.origin,
        "licence": parent.licence,
    }


def _trained_beside(file: WeightsFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the result.json beside a file says of its data and of where the training began, or the parent.json of an
    experiment of where the weights come from; nothing where it is of other weights."""
    with suppress(*UNREADABLE_NOTES):
        result = read_json(file.path.with_name("result.json"))
        if result["weights"]["sha256"] == file.sha256:
            return dict(result["data"]), dict(result["start"] or {})
    with suppress(*UNREADABLE_NOTES):
        parent = read_json(file.path.with_name("parent.json"))
        if parent["sha256"] == file.sha256:
            return {}, {"origin": parent["origin"], "licence": parent["licence"]}
    return {}, {}


def _safetensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        return weights_from_bytes(data)
    except CheckpointDamaged as error:
        raise refuse(f"not a safetensors file ({error})", allowed=KINDS, file=str(path)) from error


def _pickled(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        content = torch.load(io.BytesIO(checked(data)), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, Refused) as error:
        raise refuse(
            "a pickle that is damaged, or contains more than tensors; it was not executed",
            allowed="a state dict, as written by torch.save(model.state_dict(), FILE)",
            file=str(path),
        ) from error
    except UNREADABLE as error:
        raise refuse("the file is damaged: torch cannot read it", allowed=KINDS, file=str(path)) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise refuse(
            f"the file contains {type(content).__name__}, not a state dict of tensors",
            allowed="a state dict, as written by torch.save(model.state_dict(), FILE)",
            file=str(path),
        )
    return {str(key): value for key, value in content.items()}
