"""The words of a search-space file outside `space:`: data, training, resources; `search:` is in search_settings.

Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel
from archsearch.space.recipes import SCHEDULES_WITHOUT_WARMUP, RecipeName, filled

Precision = Literal["float32", "bfloat16"]
NAME = r"^[A-Za-z0-9_-]{1,64}$"


def _expanded(root: str) -> str:
    """A folder's path with ~ and $VAR replaced, as a shell does it; as it is where a folder has that very name."""
    return root if os.path.lexists(root) else os.path.expandvars(os.path.expanduser(root))  # noqa: PTH111 (raises nothing)


class DataSettings(StrictModel):
    """Which images, and how they are split."""

    name: Literal["digits", "cifar10", "cifar100", "fashion_mnist", "folder", "arrays"] = Field(
        "digits",
        description="digits: scikit-learn's 1,797 images of 8x8, embedded; cifar10; cifar100, by its fine labels; "
        "fashion_mnist; folder: any folder of images, one sub-folder a class; arrays: what archsearch.search was given "
        "from Python, which it keeps in the experiment's folder.",
    )
    root: Annotated[str, AfterValidator(_expanded)] = Field(
        "data",
        description="The folder that holds the data (torchvision's layout). ~ and $VAR stand for what they do in a "
        "shell; an experiment keeps the absolute path.",
    )
    download: bool = Field(False, description="Whether missing data may be downloaded, through torchvision.")
    validation: int | float = Field(
        0.15,
        gt=0,
        description="Images of the training split kept for validation: a number, or a share below 1.",
    )
    size: int = Field(64, ge=8, le=1024, description="Folder only: images are resized and cropped to this many pixels.")
    in_memory: Literal["auto", True, False] = Field(
        "auto",
        description="Folder only: whether all images are held in memory, or read from disk whenever they are needed; "
        "auto: held where they take a quarter of the free memory at most.",
    )
    broken: Literal["refuse", "skip"] = Field(
        "refuse",
        description="Folder only: images that cannot be read. refuse: they are named, and nothing begins; skip: they "
        "are left out of their splits and named.",
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split, apart from the search's seed.")
    limit: int | None = Field(None, ge=10, description="Use only this many training images, for a quick look.")


def _rising(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= sooner for sooner, later in pairwise(milestones)):
        raise ValueError(f"milestones {list(milestones)} do not rise; allowed: {RISING}")
    return milestones


RISING = "a list of 1 to 16 rising shares of the training, each above 0 and below 1"
Milestones = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1), Allowed("a share of the training, above 0 and below 1")], ...],
    Field(strict=False, min_length=1, max_length=16),
    AfterValidator(_rising),
    Allowed(RISING),
]


class TrainingSettings(StrictModel):
    """The recipe of every trial."""

    recipe: RecipeName = Field(
        "auto",
        description="A recipe by name fills the words that are left out: auto, from the images (how many there are, "
        "how large, whether a mirrored one is still of its class); fast, for a few epochs; those of papers, with their "
        "epochs; none: each word's own default. What it filled is written out in the file as resolved, where this "
        "word is none.",
    )
    epochs: int = Field(10, ge=1, le=100_000, description="Epochs of a full training.")
    batch_size: int = Field(128, ge=1, le=65_536, description="Images a step.")
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd", description="sgd: with momentum; adamw (Loshchilov & Hutter 2019)."
    )
    learning_rate: float = Field(0.1, gt=0, le=100, description="The schedule's highest rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum; AdamW's first beta.")
    nesterov: bool = Field(True, description="SGD's momentum is Nesterov's.")
    weight_decay: float = Field(
        5e-4, ge=0, le=10, description="Decay of weights; norms and biases have none, but for the word below."
    )
    decay_norms_and_biases: bool = Field(False, description="Norms and biases decay too, as in most papers.")
    clip_norm: float | None = Field(
        None, gt=0, le=1e6, description="The gradient, all of it as one vector, is no longer than this (Pascanu 2013)."
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of an exponential moving average of the weights, by the step, as 0.995: what is evaluated "
        "and kept is the average. Early on it remembers less. 0 for none.",
    )
    schedule: Literal["one_cycle", "cosine", "linear", "step", "constant"] = Field(
        "one_cycle",
        description="one_cycle: linear up for `warmup`, linear to zero (Smith 2018); cosine: up, then half a cosine; "
        "linear: linear to zero from the first step; step: times `step_factor` at each of `milestones`; constant.",
    )
    step_factor: float = Field(0.1, gt=0, lt=1, description="What schedule step multiplies the rate by.")
    milestones: Milestones = Field((0.5, 0.75), description="Where schedule step does so, as shares of the training.")
    warmup: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the steps in which the rate rises. Left out, it is 0 with the schedules linear and step.",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Mass spread over all classes.")
    mixup: float = Field(
        0.0, ge=0, le=100, description="Two images are blended by a share from Beta(mixup, mixup) (Zhang 2018); 0: no."
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=100,
        description="A box of another image is pasted, of a share of the area from Beta(cutmix, cutmix) (Yun 2019); "
        "with mixup too, each batch is changed by one of the two. 0: no.",
    )
    crop_padding: int = Field(0, ge=0, le=64, description="Random crops after padding by this many pixels (CIFAR 4).")
    flip: bool = Field(False, description="Random horizontal flips.")
    resized_crop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Smallest share of the area of random resized crops, ratios 3/4 to 4/3, as torchvision's "
        "RandomResizedCrop (ImageNet 0.08); 0 for none. It takes the place of `crop_padding`.",
    )
    colour_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Brightness, contrast and saturation change by up to this share, as torchvision's ColorJitter.",
    )
    cutout: int = Field(0, ge=0, le=512, description="Side of a random square set to the mean; 0 for none.")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="Images that go through the network at once, where a whole batch does not fit into memory; "
        "gradients add up to the batch's. Norms see the smaller batches.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="bfloat16 is autocast's; auto: whichever a short measurement finds faster on the device, "
        "bfloat16 by a tenth at least. What was measured is stated, and kept for the device.",
    )
    deterministic: bool = Field(
        False, description="On a GPU: only kernels that give the same bits each time, which are slower."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, data: Any) -> Any:
        return filled(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _is_warm_before_it_steps(self) -> Self:
        if self.schedule == "step" and self.warmup > self.milestones[0]:
            raise ValueError(
                f"a warm-up of {self.warmup:g} of the training lasts beyond the first of milestones, "
                f"{self.milestones[0]:g}; allowed: a warmup that ends there or before"
            )
        return self

    @model_validator(mode="after")
    def _crops_one_way(self) -> Self:
        if self.resized_crop and self.crop_padding:
            raise ValueError("resized_crop beside crop_padding; allowed: one of the two, crop_padding: 0 for the other")
        return self

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """These settings with some of them set otherwise. Raises ValidationError where they do not go together."""
        return type(self).model_validate({**self.model_dump(), **overrides}) if overrides else self

    @property
    def inert(self) -> frozenset[str]:
        """The settings that change nothing beside the others, whatever they are."""
        no_nesterov = self.optimizer == "adamw" or self.momentum == 0
        return frozenset({"nesterov"} if no_nesterov else ()) | ({"step_factor"} if self.schedule != "step" else set())

    def to_dict(self) -> dict[str, Any]:
        """The settings that differ from their defaults; the warm-up where its default is the schedule's."""
        warmup = {"warmup": self.warmup} if self.schedule in SCHEDULES_WITHOUT_WARMUP else {}
        return {**super().to_dict(), **warmup}


GpuShare = Annotated[
    Annotated[float, Field(ge=0, le=64)] | Literal["auto"],
    Allowed("auto, or a number from 0 to 64: GPUs, or a share of one"),
]


class ResourceSettings(StrictModel):
    """What one trial gets of the machine."""

    cpus_per_trial: int = Field(1, ge=1, le=1024, description="CPU cores, and torch threads, of a trial.")
    gpus_per_trial: GpuShare = Field(
        0.0,
        description="Share of a GPU; several trials share one below 1. auto: as many share one as fit by the predicted "
        "memory of the largest network within the budget.",
    )
    max_concurrent: int | None = Field(
        None, ge=1, description="Trials at once; left out: as many as the resources hold."
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
