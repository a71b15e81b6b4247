"""Layer-wise learning rates: how deep each parameter of a network is, and the factor of its rate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from archsearch.guests.guest import Guest

LISTS = (nn.Sequential, nn.ModuleList)  # exactly these: their subclasses are layers of a kind
WITHIN = re.compile(r"^stage(\d+)\.(?:block(\d+)|(entry|exit))\.")


def rate_factors(model: nn.Module, decay: float) -> dict[str, float]:
    """The factor of the learning rate of each parameter, by its name: decay ** (layers above its own), of the head 1.

    Layers are the stem, each unit of the plan, and the head: with n units a parameter of the stem has
    decay ** (n + 1), and one of unit i, from 1, has decay ** (n + 1 - i). What a stage has before its first unit
    belongs to that, what it has behind its last to that one. This is the rule of ELECTRA (Clark 2020,
    arXiv:2003.10555) and BEiT (Bao 2021, arXiv:2106.08254), which timm has as `layer_decay`.

    Of another library's module the layers are what its lists of modules consist of, lists within them taken apart
    (torchvision's ResNet-18: eight blocks); what stands before the first list is the first layer, what stands behind
    the last one the head.
    """
    layers = _layers_of_guest(model) if isinstance(vars(model).get("architecture"), Guest) else _layers(model)
    top = max(layers.values(), default=0)
    return {name: decay ** (top - layer) for name, layer in layers.items()}


def _layers(model: nn.Module) -> dict[str, int]:
    """The layer of each parameter of a network of the grammar, from 0; parameters stand in the order of the plan."""
    units: dict[tuple[int, int], int] = {}
    blocks: dict[int, int] = {}
    names = [name for name, _ in model.named_parameters()]
    for name in names:
        if (match := WITHIN.match(name)) and match[2]:
            unit = int(match[1]), int(match[2])
            units.setdefault(unit, len(units) + 1)
            blocks[unit[0]] = max(blocks.get(unit[0], 0), unit[1])
    layers = {}
    for name in names:
        match = WITHIN.match(name)
        if match is None:
            layers[name] = len(units) + 1 if name.startswith("head.") else 0
            continue
        stage = int(match[1])
        block = int(match[2] or (1 if match[3] == "entry" else blocks.get(stage, 1)))
        layers[name] = units.get((stage, block), 0)
    return layers


def _layers_of_guest(model: nn.Module) -> dict[str, int]:
    """The layer of each parameter of another library's module, from 0; what belongs to no part is in the first."""
    parts = [part for part in _parts(model, "") if next(model.get_submodule(part[0]).parameters(), None) is not None]
    last = max((index for index, (_, in_list) in enumerate(parts) if in_list), default=len(parts))
    layers, layer = {name: 0 for name, _ in model.named_parameters()}, 0
    for index, (path, in_list) in enumerate(parts):
        layer += in_list or index == last + 1
        layers |= {f"{path}.{name}": layer for name, _ in model.get_submodule(path).named_parameters()}
    return layers


def _parts(module: nn.Module, path: str, *, in_list: bool = False) -> Iterator[tuple[str, bool]]:
    """(dotted path, whether it is of a list) of the modules that a network consists of, lists taken apart."""
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if type(child) in LISTS:
            yield from _parts(child, inner, in_list=True)
        elif not in_list and any(type(part) in LISTS for part in child.children()):
            yield from _parts(child, inner)
        else:
            yield inner, in_list
