"""Distillation: a network learns a trained one's outputs beside the labels (Hinton 2015, arXiv:1503.02531)."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.data.images import ImageSet
from archsearch.experiment.layout import TrainingFolder
from archsearch.guests.either import Described, build, read
from archsearch.reading.errors import refuse
from archsearch.space.settings import TrainingSettings
from archsearch.space.tasks import TaskName
from archsearch.training.pretrained import read_weights, start_from

FILE = "training.teacher"
KINDS = "a folder that `archsearch train` or `archsearch shrink` wrote, with model.yaml and weights.safetensors"


class Teacher:
    """A trained `model` in eval mode, whose outputs replace a `share` of the labels' loss. Both outputs are divided by
    the `temperature`; the loss between them is multiplied by its square, so that gradients keep their size."""

    def __init__(self, model: nn.Module, *, task: TaskName, share: float, temperature: float) -> None:
        self.model, self.task = model.eval().requires_grad_(False), task
        self.share, self.temperature = share, temperature

    @classmethod
    def of(cls, settings: TrainingSettings, images: ImageSet, device: torch.device) -> Self | None:
        """The teacher that the settings name, None where they name none. Raises InputError for a folder without a
        trained network, for a network of other images or classes, and for a regression."""
        if settings.teacher is None:
            return None
        architecture, weights = trained(settings.teacher, images)
        model = build(architecture)
        start_from(read_weights(weights), model)
        return cls.made(model, settings, images, device)

    @classmethod
    def made(cls, model: nn.Module, settings: TrainingSettings, images: ImageSet, device: torch.device) -> Self:
        """A trained model as the teacher of a training with these settings, on the device."""
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(model, task=images.task, share=settings.teacher_share, temperature=settings.teacher_temperature)

    def __call__(self, images: Tensor) -> Tensor:
        """The teacher's scores (N, K) of images as the network sees them, augmented and mixed."""
        with torch.no_grad():
            scores: Tensor = self.model(images)
        return scores

    def blended(self, loss: Tensor, scores: Tensor, taught: Tensor) -> Tensor:
        """The labels' loss and that of the teacher's scores, by the share: of classes the Kullback-Leibler divergence
        of the probabilities, of labels that of each, the mean over images (and labels)."""
        scaled, scaled_teacher = scores.float() / self.temperature, taught.float() / self.temperature
        if self.task == "single_label":
            apart = functional.kl_div(
                scaled.log_softmax(1), scaled_teacher.log_softmax(1), reduction="batchmean", log_target=True
            )
        else:
            target = scaled_teacher.sigmoid()
            entropy = functional.binary_cross_entropy_with_logits(scaled_teacher, target)
            apart = functional.binary_cross_entropy_with_logits(scaled, target) - entropy
        return (1 - self.share) * loss + self.share * self.temperature**2 * apart


def trained(teacher: str, images: ImageSet) -> tuple[Described, Path]:
    """The network in a teacher's folder and the file of its weights. Raises InputError as `Teacher.of` does."""
    if images.task == "regression":
        raise refuse("a regression has no teacher", allowed="none, for a task with classes or labels", file=FILE)
    folder = TrainingFolder(Path(teacher))
    if not folder.model_yaml.is_file() or not folder.weights.is_file():
        raise refuse(f"no trained network in {folder.path}", allowed=KINDS, file=FILE)
    architecture = read(folder.model_yaml)
    if tuple(architecture.input) != images.shape or architecture.classes != len(images.classes):
        problem = f"the teacher takes images {tuple(architecture.input)} of {architecture.classes} classes"
        raise refuse(problem, allowed=f"{images.shape} and {len(images.classes)}, as {images.name} has", file=FILE)
    return architecture, folder.weights
