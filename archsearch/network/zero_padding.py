"""Option A with zero channels on both sides of the shortcut's, as weights for our shortcut, which pads behind.

Both are the same function, but for the order of the channels between blocks: theirs has the shortcut's in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archsearch.architecture.spec import Architecture, Stage


def reordered(weights: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """The weights of a residual network with option A whose zero channels are on both sides, a quarter of the width
    each: whatever reads or writes the channels between blocks has them in the order of ours."""
    orders = [torch.arange(architecture.stem.width)]
    for stage in architecture.stages:
        orders.append(_order(stage, orders[-1]))
    result = dict(weights)
    for key, value in weights.items():
        section, _, name = key.partition(".")
        if section.startswith("stage"):
            number = int(section.removeprefix("stage"))
            before, after = orders[number - 1], orders[number]
            block, _, layer = name.partition(".")
            result[key] = _in_block(
                layer, value, architecture.stages[number - 1], before if block == "block1" else after, after
            )
        elif section == "head" and value.ndim == 2:
            result[key] = value[:, orders[-1]]
    return result


def _order(stage: Stage, before: Tensor) -> Tensor:
    """Of each of our channels behind a stage, its number among theirs."""
    if stage.block.shortcut != "A" or len(before) == stage.width:
        return before if len(before) == stage.width else torch.arange(stage.width)
    side = stage.width // 4
    shortcut = before + side
    return torch.cat([shortcut, torch.arange(side), torch.arange(side + len(before), stage.width)])


def _in_block(layer: str, value: Tensor, stage: Stage, before: Tensor, after: Tensor) -> Tensor:
    last = 3 if stage.block.kind == "bottleneck" else 2
    slot, _, name = layer.partition(".")
    op, _, _ = name.partition(".")
    if value.ndim == 0:
        return value
    if op == "conv1" or (slot == "shortcut" and value.ndim == 4):
        value = value[:, before]
    return value[after] if op in (f"conv{last}", f"norm{last}") or slot == "shortcut" else value
