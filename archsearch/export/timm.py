"""timm's arguments for a network that timm can build, with the names that its weights have there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from archsearch.architecture.spec import Architecture
from archsearch.network.published import equivalent, layout_for, published_names
from archsearch.zoo import get
from archsearch.zoo.libraries import LIBRARIES


def timm_arguments(architecture: Architecture) -> dict[str, Any] | None:
    """`{"model", "arguments", "modules"}`: timm's name, what `create_model` takes beside it, and the name that each
    module of ours has there. None where timm publishes no network that computes the same, but for image and classes."""
    layout = layout_for(architecture, "timm")
    for name in LIBRARIES["timm"] if layout else ():
        if layout and equivalent(get(name), architecture):
            arguments = {"num_classes": architecture.classes, "in_chans": architecture.input[0]}
            return {"model": name, "arguments": arguments, "modules": dict(published_names(architecture, layout))}
    return None


def timm_weights(state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Our weights under timm's names; the tensors are the given ones."""
    renamed = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition(".")
        renamed[f"{arguments['modules'][module]}.{tensor}"] = value
    return renamed
