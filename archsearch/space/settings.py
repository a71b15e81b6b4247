"""The words of a search-space file outside `space:`: training, resources; `data:` is in data_settings, `search:` in
search_settings.

Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel
from archsearch.space.data_settings import DataSettings as DataSettings  # noqa: PLC0414 (so that mypy exports it)
from archsearch.space.recipes import SCHEDULES_WITHOUT_WARMUP, RecipeName, filled

Precision = Literal["float32", "bfloat16"]
NAME = r"^[A-Za-z0-9_-]{1,64}$"


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


class TrainingSettings(StrictModel):
    """The recipe of every trial."""

    recipe: RecipeName = Field(
        "auto",
        description="Sets the training settings that the file does not give. auto: from the images "
        "(how many, how large, whether mirrored images keep their class); fast: for a "
        "few epochs; names of papers: their recipes; none: the default of each "
        "setting. The experiment's space.yaml has every setting written out, with "
        "recipe: none.",
    )
    epochs: int = Field(10, ge=1, le=100_000, description="Number of epochs of a full training.")
    batch_size: int = Field(128, ge=1, le=65_536, description="Images per step.")
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd", description="sgd: with momentum; adamw (Loshchilov & Hutter 2019)."
    )
    learning_rate: float = Field(0.1, gt=0, le=100, description="Highest learning rate of the schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum, or AdamW's beta 1.")
    nesterov: bool = Field(True, description="Whether SGD uses Nesterov momentum.")
    weight_decay: float = Field(
        5e-4,
        ge=0,
        le=10,
        description="Weight decay; norms and biases have none, unless decay_norms_and_biases is true.",
    )
    decay_norms_and_biases: bool = Field(
        False, description="Whether norms and biases have weight decay too, as in most papers."
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
    schedule: Literal["one_cycle", "cosine", "linear", "step", "constant"] = Field(
        "one_cycle",
        description="Learning rate schedule. one_cycle: linear increase during `warmup`, then "
        "linear decrease to zero (Smith 2018); cosine: linear increase during "
        "`warmup`, then half a cosine to zero; linear: linear decrease to zero from "
        "the first step; step: multiplied by `step_factor` at each of `milestones`; "
        "constant.",
    )
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="Factor of the learning rate at each milestone, for schedule step."
    )
    milestones: Milestones = Field((0.5, 0.75), description="Milestones of schedule step, as shares of the training.")
    warmup: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the steps in which the learning rate increases. Default with the "
        "schedules linear and step: 0.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Label smoothing (Szegedy 2016); of several labels it lies between present and absent. No effect "
        "on a regression.",
    )
    loss: Literal["auto", "cross_entropy", "focal", "squared_error", "smooth_l1"] = Field(
        "auto",
        description="cross_entropy: of the classes, or binary of each label; focal: the same, examples "
        "that are already classified well weighted down (Lin 2017, arXiv:1708.02002); "
        "squared_error, smooth_l1 (Girshick 2015, arXiv:1504.08083): of a regression's "
        "targets, standardised. auto: cross_entropy, or smooth_l1 for a regression, whose gradients are bounded at "
        "high learning rates too.",
    )
    focal_gamma: float = Field(
        2.0, ge=0, le=10, description="Exponent of the loss focal: 0 is cross-entropy, 2 the paper's."
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
    mixup: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Mixup: two images are blended, with a share from Beta(mixup, mixup) (Zhang 2018). 0: off.",
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=100,
        description="CutMix: a box of another image is pasted, with a share of the area from "
        "Beta(cutmix, cutmix) (Yun 2019). With mixup too, each batch gets one of the "
        "two. 0: off.",
    )
    crop_padding: int = Field(
        0, ge=0, le=64, description="Random crops after padding by this many pixels (CIFAR: 4). 0: off."
    )
    flip: bool = Field(False, description="Random horizontal flips.")
    resized_crop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Smallest share of the area in random resized crops, with aspect ratios 3/4 to "
        "4/3, as torchvision's RandomResizedCrop (ImageNet: 0.08). It replaces "
        "`crop_padding`. 0: off.",
    )
    colour_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, contrast and saturation, as torchvision's ColorJitter.",
    )
    cutout: int = Field(
        0, ge=0, le=512, description="Side in pixels of a random square that is set to the mean. 0: off."
    )
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="Images per forward pass where a whole batch does not fit into memory; "
        "gradients are accumulated over the batch. Batch norms see the smaller batches.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of training; bfloat16 uses autocast. auto: bfloat16 if a short "
        "measurement on the device finds it at least a tenth faster, else float32. The "
        "measurement is printed, and cached for the device.",
    )
    deterministic: bool = Field(False, description="On a GPU: use deterministic kernels only, which are slower.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one, else the CPU.")

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, data: Any) -> Any:
        return filled(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _is_warm_before_it_steps(self) -> Self:
        if self.schedule == "step" and self.warmup > self.milestones[0]:
            raise ValueError(
                f"a warm-up of {self.warmup:g} of the training ends after the first milestone, "
                f"{self.milestones[0]:g}; allowed: a warmup that ends at the first milestone or "
                "before"
            )
        return self

    @model_validator(mode="after")
    def _crops_one_way(self) -> Self:
        if self.resized_crop and self.crop_padding:
            raise ValueError(
                "resized_crop together with crop_padding; allowed: one of the two, crop_padding: 0 for the other"
            )
        return self

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """These settings with some of them set otherwise. Raises ValidationError where they do not go together."""
        return type(self).model_validate({**self.model_dump(), **overrides}) if overrides else self

    @property
    def inert(self) -> frozenset[str]:
        """The settings that change nothing beside the others, whatever they are."""
        inert = {
            "nesterov": self.optimizer == "adamw" or self.momentum == 0,
            "step_factor": self.schedule != "step",
            "focal_gamma": self.loss != "focal",
        }
        return frozenset(name for name, changes_nothing in inert.items() if changes_nothing)

    def to_dict(self) -> dict[str, Any]:
        """The settings that differ from their defaults; the warm-up where its default is the schedule's."""
        warmup = {"warmup": self.warmup} if self.schedule in SCHEDULES_WITHOUT_WARMUP else {}
        return {**super().to_dict(), **warmup}


GpuShare = Annotated[
    Annotated[float, Field(ge=0, le=64)] | Literal["auto"],
    Allowed("auto, or a number of GPUs from 0 to 64, which may be a fraction"),
]


class ResourceSettings(StrictModel):
    """What one trial gets of the machine."""

    cpus_per_trial: int = Field(
        1, ge=1, le=1024, description="CPU cores per trial, which is also its number of torch threads."
    )
    gpus_per_trial: GpuShare = Field(
        0.0,
        description="GPUs per trial; below 1, several trials share one. auto: as many trials share "
        "a GPU as fit, by the predicted memory of the largest network within the "
        "budget.",
    )
    max_concurrent: int | None = Field(
        None, ge=1, description="Most trials at once. Default: as many as the resources allow."
    )

    @property
    def gpu_share(self) -> float:
        """GPUs of a trial, in numbers: of auto, before it is settled, a whole one."""
        return 1.0 if self.gpus_per_trial == "auto" else self.gpus_per_trial

    def settled(self, *, cpus: float, gpus: float) -> ResourceSettings:
        """What a trial gets where no machine has more than so many cores and GPUs: no GPU without one, and no more
        cores than there are."""
        changes = {} if gpus else {"gpus_per_trial": 0.0}
        cores = max(1, int(cpus))
        return self.model_copy(update=changes | ({"cpus_per_trial": cores} if self.cpus_per_trial > cores else {}))

    def held(self, *, cpus: float | None, gpus: float) -> int:
        """How many trials a machine with so many cores (None: enough) and GPUs has room for; 0 where not even one fits.
        A trial's share of a GPU lies on one GPU."""
        on_cores = None if cpus is None else int(cpus // self.cpus_per_trial)
        on_gpus = int(gpus * self.trials_a_gpu + 1e-9) if self.gpu_share else None
        return min(room for room in (on_cores, on_gpus) if room is not None)

    @property
    def trials_a_gpu(self) -> float:
        """Trials (with any share at all) that share a GPU, a whole number; below 1 where each takes several."""
        return int(1 / self.gpu_share + 1e-9) if self.gpu_share < 1 else 1 / self.gpu_share

    def at_once(self, room: int, trials: int) -> int:
        """How many of `trials` run at once where there is room for so many; at least one."""
        return max(1, min(room, trials, self.max_concurrent or room))
