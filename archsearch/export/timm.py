"""timm's arguments for a network that timm can build, with the names that its weights have there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.network.published import PUBLISHED, layout_of, published_names
from archsearch.reading.errors import InputError
from archsearch.zoo import get


def timm_arguments(architecture: Architecture) -> dict[str, Any] | None:
    """`{"model", "arguments", "modules"}`: timm's name, what `create_model` takes beside it, and the name that each
    module of ours has there. None where timm publishes no network that computes the same, but for image and classes."""
    for names, _ in PUBLISHED["timm"]:
        for name in names:
            theirs = get(name).model_copy(update={"input": architecture.input, "classes": architecture.classes})
            if len(theirs.stages) == len(architecture.stages) and _equivalent(theirs, architecture):
                arguments = {"num_classes": architecture.classes, "in_chans": architecture.input[0]}
                modules = dict(published_names(architecture, layout_of(name, "timm")))
                return {"model": name, "arguments": arguments, "modules": modules}
    return None


def _equivalent(theirs: Architecture, architecture: Architecture) -> bool:
    """Whether both compute the same; False where the image is too small for timm's network."""
    try:
        return digest(theirs) == digest(architecture)
    except InputError:
        return False


def timm_weights(state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Our weights under timm's names; the tensors are the given ones."""
    renamed = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition(".")
        renamed[f"{arguments['modules'][module]}.{tensor}"] = value
    return renamed
