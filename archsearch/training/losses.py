"""What training minimises, by the task: its loss and how an output is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.data.images import ImageSet
from archsearch.data.weighing import class_weights
from archsearch.space.settings import TrainingSettings
from archsearch.space.tasks import TaskName
from archsearch.training import recipe

PRESENT = 0.2  # of a mixed image: a class with a larger share is present (as timm trained for Wightman 2021)
LOWER = 1000.0  # by what `ends_linearly` lowers a bias: below any activation function's reach
_LEAST = 1e-6  # of what the focal loss raises to a power, whose slope at 0 may be infinite


@dataclass(frozen=True)
class Units:
    """Mean and deviation (K,) of the training split's targets: a network of a regression trains on targets of mean 0
    and deviation 1."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, images: ImageSet, device: torch.device) -> Units:
        """Those of these images; a target that is the same for all has a deviation of 1."""
        targets = images.train.labels.astype(np.float64)
        std = targets.std(0)
        mean, std = (torch.tensor(values, dtype=torch.float32, device=device) for values in
                     (targets.mean(0), np.where(std > 0, std, 1.0)))  # fmt: skip
        return cls(mean, std)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The loss of a task, and its outputs' meaning.

    Labels are a batch's as they come from a feed: (N,) int64, or (N, K) uint8 or float32. single_label: cross-entropy,
    the mean over images; multi_label: binary cross-entropy, the mean over images and labels; regression: squared error,
    or smooth L1, of standardised targets, the mean over both. `binary` makes classes labels: present or absent, each by
    itself. `gamma` makes it focal (None: it is not). `weights` (K,)
    multiply the loss of each class's images, or of each label where it is present; the mean is not divided by them.

    A regression's network gives standardised numbers while it trains, for numbers far from 0 would be rounded away in
    bfloat16; the weights that are handed over give the targets' units.
    """

    task: TaskName = "single_label"
    units: Units | None = None
    gamma: float | None = None
    weights: Tensor | None = None
    smooth: bool = False
    binary: bool = False

    @classmethod
    def of(cls, images: ImageSet, device: torch.device, settings: TrainingSettings | None = None) -> Loss:
        """The loss of these images' task, its tensors on the device: as `settings` have it, or plain, by which splits
        are evaluated. The settings are those that archsearch.data.weighing.check_recipe admits."""
        units = Units.of(images, device) if images.task == "regression" else None
        if settings is None:
            return cls(task=images.task, units=units)
        factors = class_weights(images, settings)
        return cls(
            task=images.task,
            units=units,
            gamma=settings.focal_gamma if settings.loss == "focal" else None,
            weights=None if factors is None else torch.tensor(factors, dtype=torch.float32, device=device),
            smooth=settings.loss in ("auto", "smooth_l1"),
            binary=settings.loss == "binary_cross_entropy",
        )

    def __call__(
        self,
        scores: Tensor,
        labels: Tensor,
        smoothing: float = 0.0,
        partners: Tensor | None = None,
        share: float | Tensor = 1.0,
    ) -> Tensor:
        """The mean loss in float32 of scores (N, K). Of mixed images `share` of the target is that of `labels`,
        1 - share that of `partners`. `smoothing` spreads that much of a class's target over all classes, of a label's
        over present and absent; targets of a regression are not smoothed."""
        if self.task == "single_label" and self.binary:
            return self._of_labels(scores.float(), self._present(scores, labels, smoothing, partners, share))
        if self.task == "single_label":
            if self.gamma is None and self.weights is None:
                return recipe.loss(scores, labels, smoothing, partners, share)
            first = self._of_classes(scores.float(), labels, smoothing)
            if partners is None:
                return first
            return recipe.blended(share, first, self._of_classes(scores.float(), partners, smoothing))
        targets = self.targets(labels, smoothing)
        if partners is not None:
            targets = recipe.blended(share, targets, self.targets(partners, smoothing))
        if self.task == "multi_label":
            return self._of_labels(scores.float(), targets)
        return (functional.smooth_l1_loss if self.smooth else functional.mse_loss)(scores.float(), targets)

    def _of_classes(self, scores: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        losses = functional.cross_entropy(
            scores, labels, weight=self.weights, label_smoothing=smoothing, reduction="none"
        )
        if self.gamma is not None:
            right = (-functional.cross_entropy(scores, labels, reduction="none")).exp()
            losses = losses * (1 - right).clamp_min(_LEAST) ** self.gamma
        return losses.mean()

    def _of_labels(self, scores: Tensor, targets: Tensor) -> Tensor:
        losses = functional.binary_cross_entropy_with_logits(scores, targets, pos_weight=self.weights, reduction="none")
        if self.gamma is not None:
            present = scores.sigmoid()
            right = present * targets + (1 - present) * (1 - targets)
            losses = losses * (1 - right).clamp_min(_LEAST) ** self.gamma
        return losses.mean()

    @staticmethod
    def _present(
        scores: Tensor, labels: Tensor, smoothing: float, partners: Tensor | None, share: float | Tensor
    ) -> Tensor:
        """Targets (N, K) of classes as labels: 1 where present, less the smoothing, which is spread over all."""
        classes = torch.arange(scores.shape[1], device=scores.device)  # one_hot reads its input for the host
        present = (labels[:, None] == classes).float()
        if partners is not None:
            present = present.maximum((partners[:, None] == classes).float() * (1 - share > PRESENT))
        return present * (1 - smoothing) + smoothing / len(classes)

    def targets(self, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """What scores (N, K) are compared with, of several labels or numbers."""
        if self.units is not None:
            return (labels - self.units.mean) / self.units.std
        return labels.float() * (1 - smoothing) + smoothing / 2

    def outputs(self, scores: Tensor) -> Tensor:
        """What scores (N, K) mean: probabilities of classes or labels; numbers in the targets' units."""
        scores = scores.float()
        if self.units is not None:
            return scores * self.units.std + self.units.mean
        return scores.softmax(1) if self.task == "single_label" else scores.sigmoid()

    def in_units(self, model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a network that gives the targets' units, from those of `model` as it trains: the last layer's
        are scaled and shifted. Those of other tasks are as they are."""
        if self.units is None:
            return weights
        mean, std = self.units.mean, self.units.std
        name, _ = _last_layer(model)
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        scaled = {f"{name}.weight": weight * std.view(-1, *[1] * (weight.ndim - 1)), f"{name}.bias": bias * std + mean}
        return {**weights, **scaled}

    @torch.no_grad()
    def standardise(self, model: nn.Module) -> None:
        """The inverse of `in_units`, for a model that holds weights that were handed over."""
        if self.units is not None:
            _, layer = _last_layer(model)
            layer.weight /= self.units.std.view(-1, *[1] * (layer.weight.ndim - 1))
            layer.bias.copy_((layer.bias - self.units.mean) / self.units.std)


@torch.no_grad()
def ends_linearly(model: nn.Module, image: tuple[int, int, int]) -> bool:
    """Whether the outputs of `model`, for images of this (channels, height, width), are its last layer's, so that they
    can be any numbers: a lower bias lowers them by as much. `in_units` needs that; a network of another library may
    lack it."""
    _, layer = _last_layer(model)
    if layer.bias is None:
        return False
    training, images = model.training, torch.zeros(1, *image, device=layer.bias.device)
    before, bias = model.eval()(images), layer.bias.clone()
    layer.bias -= LOWER
    lowered = model(images)
    layer.bias.copy_(bias)
    model.train(training)
    return torch.allclose(lowered, before - LOWER, atol=0.01 * LOWER)


def classifier_of(model: nn.Module) -> str:
    """Name of the module that makes a network's outputs of its features."""
    return _last_layer(model)[0]


def _last_layer(model: nn.Module) -> tuple[str, Any]:
    """Name and module of the classifier, a Linear or a Conv2d of 1x1 with a bias, in whose place a regression has its
    last layer."""
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return layers[-1]
