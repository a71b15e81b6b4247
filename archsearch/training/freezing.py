"""The part of a network that does not train: its trunk, or its norms."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from archsearch.network.pretrained import classifier_of
from archsearch.space.optimization_settings import Freeze


class Frozen:
    """Keeps a part of `model` as it is, bit for bit: its parameters get no gradient, its norms stay in eval mode.

    trunk: everything but the classifier; bn: every norm's scale, shift and statistics. Dropout and stochastic depth
    go on drawing.
    """

    def __init__(self, model: nn.Module, freeze: Freeze) -> None:
        self.freeze = freeze
        self.norms = [module for module in model.modules() if isinstance(module, (_BatchNorm, nn.GroupNorm))]
        match freeze:
            case "none":
                self.norms, parameters = [], []
            case "bn":
                parameters = [parameter for norm in self.norms for parameter in norm.parameters()]
            case "trunk":
                trained = {id(parameter) for parameter in classifier_of(model)[1].parameters()}
                parameters = [parameter for parameter in model.parameters() if id(parameter) not in trained]
        for parameter in parameters:
            parameter.requires_grad_(False)
        self.parameters = sum(parameter.numel() for parameter in parameters)

    def keep(self) -> None:
        """Puts the frozen norms back into eval mode; called after each `model.train()`."""
        for norm in self.norms:
            norm.eval()

    def to_dict(self) -> dict[str, Any]:
        """JSON fields: the part that is frozen, how many parameters it has, how many norms."""
        return {"freeze": self.freeze, "parameters": self.parameters, "norms": len(self.norms)}
