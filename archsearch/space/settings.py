"""The words of a search-space file outside `space:`: training, resources; `data:` is in data_settings, `search:` in
search_settings.

Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel
from archsearch.space.data_settings import DataSettings as DataSettings  # noqa: PLC0414 (so that mypy exports it)
from archsearch.space.optimization_settings import OptimizationSettings
from archsearch.space.recipes import DATA_OF_RECIPES, SCHEDULES_WITHOUT_WARMUP, filled

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
NAME = r"^[A-Za-z0-9_-]{1,64}$"


def _widening(scales: tuple[float, float]) -> tuple[float, float]:
    if not 1 <= scales[0] <= scales[1] <= 16:
        raise ValueError(f"scales of {list(scales)}; allowed: {SCALES}")
    return scales


SCALES = "[low, high], 1 <= low <= high <= 16"
ScaleRange = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_widening), Allowed(SCALES)]


class TrainingSettings(OptimizationSettings):
    """The recipe of every trial."""

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
    scale_jitter: ScaleRange | None = Field(
        None,
        description="[low, high]: random crops of images whose shorter side is so many times the crop's, uniform "
        "between the two (He 2015, arXiv:1512.03385: from 256 to 480 pixels with crops of 224, [1.143, 2.143]). It "
        "replaces `crop_padding`.",
    )
    train_resolution: float = Field(
        1.0,
        ge=0.1,
        le=1,
        description="Side of the random crops as a share of data.size: a network trains on smaller images than those "
        "it is evaluated on (Touvron 2019, arXiv:1906.06423; 160 of 224 pixels: 0.714). Needs `resized_crop` or "
        "`scale_jitter`.",
    )
    crop_from: Literal["image", "file"] = Field(
        "image",
        description="What `resized_crop` and `scale_jitter` crop. image: the image at data.size, in memory and on disk "
        "alike; file: the image file at its own size, as for ImageNet (Szegedy 2015, arXiv:1409.4842), which keeps "
        "detail: images are then read from disk in each epoch.",
    )
    colour_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, contrast and saturation, as torchvision's ColorJitter.",
    )
    policy: Literal["none", "trivial_augment", "rand_augment"] = Field(
        "none",
        description="Random shears, shifts, rotations, colours and the like, as torchvision's TrivialAugmentWide "
        "(Müller 2021, arXiv:2103.10158; one operation of any magnitude an image) or RandAugment (Cubuk 2019, "
        "arXiv:1909.13719; `policy_operations` of about `policy_magnitude`). Only images of 8 bits.",
    )
    policy_operations: int = Field(2, ge=1, le=8, description="Operations of rand_augment on each image.")
    policy_magnitude: float = Field(
        9.0, ge=0, le=10, description="Magnitude of rand_augment, 10 being torchvision's largest (its 30)."
    )
    policy_spread: float = Field(
        0.0, ge=0, le=10, description="Standard deviation of the magnitude of rand_augment, as in timm (mstd)."
    )
    pca_colour: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Standard deviation of random shifts along the principal components of the training images' "
        "colours, in their eigenvalues (Krizhevsky 2012, section 4.1: 0.1). 0: off.",
    )
    random_erasing: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a random rectangle, of 2 % to 33 % of the image, is set to the mean, as "
        "torchvision's RandomErasing (Zhong 2017, arXiv:1708.04896). 0: off.",
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
    cudnn_benchmark: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether cuDNN times its kernels for each new shape on a GPU, which takes up to seconds a network. "
        "auto: where a training has more than 1,000 steps. Never with `deterministic`.",
    )
    graph: Literal["auto", "off"] = Field(
        "auto",
        description="On a GPU, auto replays a step as one CUDA graph where more than 100 steps are ahead, after three "
        "steps taken both ways have agreed; else, as with off, each kernel is launched by itself. With stochastic "
        "depth per batch each block has graphs of its own, kept and dropped (not with micro_batch). Steps with "
        "torch.compile are not replayed.",
    )
    device: DeviceName = Field(
        "auto",
        description="auto: a GPU if there is one, else the CPU; of a search's trials, by resources.gpus_per_trial.",
    )

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
    def _plateau_begins_at_the_highest_rate(self) -> Self:
        if self.schedule == "plateau" and self.warmup:
            raise ValueError(f"a warm-up of {self.warmup:g} with the schedule plateau; allowed: warmup: 0")
        return self

    @model_validator(mode="after")
    def _crops_one_way(self) -> Self:
        crops = [name for name in ("resized_crop", "scale_jitter", "crop_padding") if getattr(self, name)]
        if len(crops) > 1:
            raise ValueError(f"{' together with '.join(crops)}; allowed: one of them, such as crop_padding: 0")
        if self.train_resolution < 1 and not {"resized_crop", "scale_jitter"} & {*crops}:
            raise ValueError(
                f"a train_resolution of {self.train_resolution:g} without resized_crop or scale_jitter; allowed: 1"
            )
        return self

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """These settings with some of them set otherwise. Raises ValidationError where they do not go together."""
        return type(self).model_validate({**self.model_dump(), **overrides}) if overrides else self

    @property
    def crops_files(self) -> bool:
        """Whether crops are taken of image files at their own size."""
        return self.crop_from == "file" and (self.resized_crop > 0 or self.scale_jitter is not None)

    def trained_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the images of a training step, of those at data.size."""
        return max(1, round(height * self.train_resolution)), max(1, round(width * self.train_resolution))

    @property
    def inert(self) -> frozenset[str]:
        """The settings that change nothing beside the others, whatever they are."""
        inert = {
            "nesterov": self.optimizer != "sgd" or self.momentum == 0,
            "step_factor": self.schedule not in ("step", "plateau"),
            "patience": self.schedule != "plateau",
            "focal_gamma": self.loss != "focal",
            "teacher_share": self.teacher is None,
            "teacher_temperature": self.teacher is None,
        }
        return frozenset(name for name, changes_nothing in inert.items() if changes_nothing)

    def to_dict(self) -> dict[str, Any]:
        """The settings that differ from their defaults; the warm-up where its default is the schedule's."""
        warmup = {"warmup": self.warmup} if self.schedule in SCHEDULES_WITHOUT_WARMUP else {}
        return {**super().to_dict(), **warmup}


def data_for(training: TrainingSettings, data: DataSettings, recipe: Any = None) -> DataSettings:
    """The settings of image files with what the training decides of them: those that it crops at their own size are not
    held in memory, and a recipe of this name may say how they are cropped and normalised where that is not given."""
    if not data.is_source:
        return data
    update = DATA_OF_RECIPES.get(recipe, {}) if isinstance(recipe, str) and data.fit == "crop" else {}
    update = {name: value for name, value in update.items() if name not in data.model_fields_set}
    if training.crops_files and data.in_memory == "auto":
        update["in_memory"] = False
    return data.model_copy(update=update)


def _nth_part(share: float) -> float:
    """The share, where it is 0 or 1/n as a decimal that may be rounded down. Raises ValueError for another."""
    if share and 1 / int(1 / share + 1e-9) - share >= ROUNDED:
        raise ValueError("not 1/n")
    return share


ROUNDED = 0.01  # 0.33 is a third
GpuShare = Annotated[
    Annotated[float, Field(ge=0, le=1), AfterValidator(_nth_part)] | Literal["auto"],
    Allowed("auto, 0, 1, or a share 1/n of a GPU such as 0.5, 0.33 or 0.25"),
]


Cpus = Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], Allowed("auto, or an integer from 1 to 1024")]


class ResourceSettings(StrictModel):
    """What one trial gets of the machine."""

    cpus_per_trial: Cpus = Field(
        "auto",
        description="CPU cores per trial, which is also its number of torch threads. auto: 1 where as many trials as "
        "cores run at once; where fewer do, as many as a short measurement finds worth it; on a GPU several, where "
        "images are read from disk.",
    )
    gpus_per_trial: GpuShare = Field(
        "auto",
        description="Share of a GPU per trial: 1, or 1/n where n trials share one. A trial trains on a GPU exactly "
        "where it has a share of one, with 0 on the CPU. auto: where there are GPUs, as many trials on each as fit, by "
        "the predicted memory of the largest network within the budget; else 0.",
    )
    max_concurrent: int | None = Field(
        None, ge=1, description="Most trials at once. Default: as many as the resources allow."
    )

    @property
    def threads(self) -> int:
        """The cores and threads of a trial as a number: of auto, before it is settled, one."""
        return 1 if self.cpus_per_trial == "auto" else self.cpus_per_trial

    @property
    def gpu_share(self) -> float:
        """The share of a GPU of a trial as a number: of auto, before it is settled, a whole one."""
        return 1.0 if self.gpus_per_trial == "auto" else self.gpus_per_trial

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """The device of a trial: a GPU exactly where it holds a share of one."""
        return "cuda" if self.gpu_share else "cpu"

    def settled(self, *, cpus: float, gpus: float) -> ResourceSettings:
        """What a trial gets where no machine has more than so many cores and GPUs: no GPU without one, and no more
        cores than there are."""
        changes = {} if gpus else {"gpus_per_trial": 0.0}
        cores = max(1, int(cpus))
        return self.model_copy(update=changes | ({"cpus_per_trial": cores} if self.threads > cores else {}))

    def held(self, *, cpus: float | None, gpus: float) -> int:
        """How many trials a machine with so many cores (None: enough) and GPUs has room for; 0 where not even one fits.
        A trial's share of a GPU lies on one GPU."""
        on_cores = None if cpus is None else int(cpus // self.threads)
        on_gpus = int(gpus * self.trials_a_gpu + 1e-9) if self.gpu_share else None
        return min(room for room in (on_cores, on_gpus) if room is not None)

    @property
    def trials_a_gpu(self) -> int:
        """How many trials, with any share at all, share a GPU."""
        return int(1 / self.gpu_share + 1e-9)

    def at_once(self, room: int, trials: int) -> int:
        """How many of `trials` run at once where there is room for so many; at least one."""
        return max(1, min(room, trials, self.max_concurrent or room))
