"""The keys of `training:` that say how a network is optimized: steps, schedule, loss, and which images an epoch has."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel
from archsearch.space.recipes import RecipeName


def _rising(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= sooner for sooner, later in pairwise(milestones)):
        raise ValueError(f"milestones {list(milestones)} do not increase; allowed: {RISING}")
    return milestones


RISING = "a list of 1 to 16 increasing shares of the training, each above 0 and below 1"
Milestones = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1), Allowed("a share of the training, above 0 and below 1")], ...],
    Field(strict=False, min_length=1, max_length=16),
    AfterValidator(_rising),
    Allowed(RISING),
]


ClassWeights = Annotated[
    Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0, le=1e6), Allowed("a weight above 0")]],
    Allowed("none, balanced, or a mapping of names of classes to weights above 0"),
]


PARENT = "parent"  # of the teacher: the first of start.weights


def _absolute(folder: str) -> str:
    if folder == PARENT:
        return folder
    return os.path.abspath(os.path.expanduser(folder))  # noqa: PTH100, PTH111 (workers run in other folders)


Folder = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_absolute), Allowed("a folder")]


Freeze = Literal["none", "trunk", "bn"]


class OptimizationSettings(StrictModel):
    """The settings of a training but for augmentation and the device, which `TrainingSettings` adds."""

    recipe: RecipeName = Field(
        "auto",
        description="Sets the training settings that the file does not give. auto: from the images "
        "(how many, how large, whether mirrored images keep their class); fast: for a "
        "few epochs; names of papers: their recipes; rsb_a3: the short one of Wightman 2021 (arXiv:2110.00476), for "
        "224 pixels; fine_tuning: for a network with pretrained weights; none: the default of each setting. Those for "
        "ImageNet set data.crop_ratio and data.normalise too. The experiment's space.yaml has every setting written "
        "out, with recipe: none.",
    )
    epochs: int = Field(10, ge=1, le=100_000, description="Number of epochs of a full training.")
    batch_size: int = Field(128, ge=1, le=65_536, description="Images per step.")
    optimizer: Literal["sgd", "adamw", "lamb"] = Field(
        "sgd",
        description="sgd: with momentum; adamw (Loshchilov & Hutter 2019, arXiv:1711.05101); lamb: for large batches, "
        "each tensor's step in proportion to its norm (You 2019, arXiv:1904.00962).",
    )
    learning_rate: float = Field(0.1, gt=0, le=100, description="Highest learning rate of the schedule.")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Learning rates by layer, of a training that begins with weights: a parameter's rate is multiplied "
        "by layer_decay for each layer above its own, of stem, blocks and head (BEiT, Bao 2021, arXiv:2106.08254). 1: "
        "one rate.",
    )
    freeze: Freeze = Field(
        "none",
        description="What does not train of a network that begins with weights. trunk: all but the classifier; bn: "
        "scales, shifts and statistics of the norms.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum, or beta 1 of AdamW and LAMB.")
    nesterov: bool = Field(True, description="Whether SGD uses Nesterov momentum.")
    weight_decay: float = Field(
        5e-4,
        ge=0,
        le=10,
        description="Weight decay; norms and biases have none, unless decay_norms_and_biases is true.",
    )
    decay_norms_and_biases: bool = Field(
        False,
        description="Whether norms and biases have weight decay too, as all parameters have in the codes of ResNet "
        "(fb.resnet.torch), Wide ResNet, ResNeXt and DenseNet; Goyal 2017 (arXiv:1706.02677) and timm leave them out.",
    )
    clip_norm: float | None = Field(
        None, gt=0, le=1e6, description="Gradients are clipped to this norm, taken over all parameters (Pascanu 2013)."
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of an exponential moving average of the weights, such as "
        "0.995; the average is evaluated and saved. The decay is lower in the first "
        "steps. 0: no average.",
    )
    schedule: Literal["one_cycle", "cosine", "linear", "step", "plateau", "constant"] = Field(
        "one_cycle",
        description="Learning rate schedule. one_cycle: linear increase during `warmup`, then "
        "linear decrease to zero (Smith 2018); cosine: linear increase during "
        "`warmup`, then half a cosine to zero; linear: linear decrease to zero from "
        "the first step; step: multiplied by `step_factor` at each of `milestones`; "
        "plateau: multiplied by `step_factor` after `patience` epochs without a lower validation error (He 2015, "
        "arXiv:1512.03385; of other tasks than single_label without a lower validation loss), whatever the rungs; "
        "constant.",
    )
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="Factor of the learning rate, for the schedules step and plateau."
    )
    milestones: Milestones = Field((0.5, 0.75), description="Milestones of schedule step, as shares of the training.")
    patience: int = Field(
        5,
        ge=1,
        le=1000,
        description="Epochs without a lower validation error after which the learning rate falls, for schedule "
        "plateau.",
    )
    warmup: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the steps in which the learning rate increases. Default with the "
        "schedules linear, step and plateau: 0.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Label smoothing (Szegedy 2016); of several labels it lies between present and absent. No effect "
        "on a regression.",
    )
    loss: Literal["auto", "cross_entropy", "binary_cross_entropy", "focal", "squared_error", "smooth_l1"] = Field(
        "auto",
        description="cross_entropy: of the classes, or binary of each label; binary_cross_entropy: of each class by "
        "itself, the mean over classes; of mixed images both classes are present, unless one's share is 0.2 or less "
        "(Wightman 2021, arXiv:2110.00476); focal: the same, examples "
        "that are already classified well weighted down (Lin 2017, arXiv:1708.02002); "
        "squared_error, smooth_l1 (Girshick 2015, arXiv:1504.08083): of a regression's "
        "targets, standardised. auto: cross_entropy, or smooth_l1 for a regression, whose gradients are bounded at "
        "high learning rates too.",
    )
    focal_gamma: float = Field(
        2.0, ge=0, le=10, description="Exponent of the loss focal: 0 is cross-entropy, 2 the paper's."
    )
    teacher: Folder | None = Field(
        None,
        description="Folder of a trained network (model.yaml and weights.safetensors, as `archsearch train` writes "
        "them), of images of the same size, normalisation and classes: its outputs are learned beside the labels "
        "(distillation, Hinton 2015, arXiv:1503.02531); parent: the first network of `start.weights`. Not for a "
        "regression.",
    )
    teacher_share: float = Field(
        0.5, ge=0, le=1, description="Share of the teacher's outputs in the loss; the labels have the rest."
    )
    teacher_temperature: float = Field(
        4.0,
        gt=0,
        le=100,
        description="What the outputs of the teacher and of the network are divided by before their probabilities are "
        "compared.",
    )
    class_weights: ClassWeights = Field(
        "none",
        description="Factor of the loss of each class's images, or of each label where it is present. "
        "balanced: inversely to how many training images have the class (King & Zeng "
        "2001, doi:10.1093/pan/9.2.137), so that each class weighs the same; a mapping such as {cat: 2}: "
        "others have 1.",
    )
    sampling: Literal["uniform", "balanced", "weights"] = Field(
        "uniform",
        description="Which training images an epoch has. uniform: each once; balanced: as many, "
        "drawn so that each class (of several labels an image's rarest) comes equally often (Buda 2018, "
        "arXiv:1710.05381); weights: drawn by the weights that the data states.",
    )
    repeated_augmentation: int = Field(
        1,
        ge=1,
        le=16,
        description="How often an image is in its batch, each time augmented anew (Hoffer 2019, arXiv:1901.09335). An "
        "epoch has as many steps, and the fewer images: of 3 a third.",
    )
