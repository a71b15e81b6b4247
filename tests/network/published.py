"""torchvision's and timm's models with random weights: no download, no global random state."""

from __future__ import annotations

import math

import timm
import torch
import torchvision
from timm.layers import BlurPool2d
from torch import Tensor, nn


def published(name: str, source: str, *, seed: int = 0, **words: object) -> nn.Module:
    """The model of torchvision or timm. Every tensor is drawn, the norms' statistics too, so that nothing is
    hidden behind ones and zeros; convolutions keep the scale (He 2015b)."""
    with torch.device("meta"):
        if source == "timm":
            model = timm.create_model(name, pretrained=False, **words)
        else:
            model = torchvision.models.get_model(name, weights=None, **words)
    return filled(model, seed=seed)


def filled(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """The model with every tensor drawn; it may be on the meta device."""
    draws = torch.Generator().manual_seed(seed)
    drawn = {key: _drawn(key, value, draws) for key, value in model.state_dict().items()}
    model.load_state_dict(drawn, assign=True)
    for module in model.modules():
        if isinstance(module, BlurPool2d):  # whose filter is in no state dict
            module.filt = torch.empty(module.filt.shape)
            module.reset_parameters()
    return model


def _drawn(key: str, like: Tensor, draws: torch.Generator) -> Tensor:
    if not like.is_floating_point():
        return torch.tensor(7)
    value = torch.empty(like.shape)
    if value.ndim > 1:
        return value.normal_(0, math.sqrt(2 / value[0].numel()), generator=draws)
    if key.endswith("running_var"):
        return value.uniform_(0.5, 1.5, generator=draws)
    if key.endswith(("running_mean", "bias")):
        return value.normal_(0, 0.2, generator=draws)
    return value.uniform_(0.3, 1.0, generator=draws)
