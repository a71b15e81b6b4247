"""The words of a search-space file outside `space:`: data, search, training, resources.

Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from archsearch.architecture.spec import Words
from archsearch.reading.allowed import Says
from archsearch.reading.durations import DURATION_ALLOWED, DURATION_PATTERN, format_duration, parse_duration
from archsearch.space.recipes import SCHEDULES_WITHOUT_WARMUP, RecipeName, filled

Precision = Literal["float32", "bfloat16"]
NAME = r"^[A-Za-z0-9_-]{1,64}$"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Says(DURATION_ALLOWED),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 1}, {"type": "string", "pattern": DURATION_PATTERN}]}),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]


class DataSettings(Words):
    """Which images, and how they are split."""

    name: Literal["digits", "cifar10", "fashion_mnist", "folder"] = Field(
        "digits",
        description="digits: scikit-learn's 1,797 images of 8x8, embedded; cifar10; fashion_mnist; "
        "folder: any folder of images, one sub-folder a class.",
    )
    root: str = Field("data", description="The folder that holds the data (torchvision's layout).")
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
    split_seed: int = Field(0, ge=0, description="Seed of the split, apart from the search's seed.")
    limit: int | None = Field(None, ge=10, description="Use only this many training images, for a quick look.")


class EarlyStopping(Words):
    """Asynchronous successive halving (ASHA, Li 2018, arXiv:1810.05934): trials pause at rungs; the best go on."""

    kind: Literal["asha", "none"] = Field(
        "asha", description="asha: trials pause at rungs, and those that are behind go no further; none: they never do."
    )
    grace_epochs: int = Field(1, ge=1, description="The first rung: every trial trains for this many epochs.")
    reduction: int = Field(
        3,
        ge=2,
        le=10,
        description="Of a rung's trials one in `reduction` goes on; rungs lie this factor apart. Where a rung's order "
        "says little of the next one's (a rank correlation below 0.7, corrected for the choice, over 6 trials or more) "
        "more of them go on: up to a half at 0 and below.",
    )
    brackets: int = Field(
        1,
        ge=1,
        le=20,
        description="Hyperband's brackets (Li 2018, arXiv:1603.06560): trials are dealt to them by number, most to the "
        "first; the first rung of bracket s lies at grace_epochs * reduction^s.",
    )


Objective = Literal["accuracy", "flops", "params", "macs", "activations", "memory"]
SamplerName = Literal["auto", "random", "tpe", "evolution", "local_search", "nsga2", "bayes"]


def _most_accurate() -> dict[Objective, Literal["max", "min"]]:
    return {"accuracy": "max"}


class OptunaSampler(Words):
    """One of Optuna's samplers, through its public interface."""

    optuna: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="The class, such as optuna.samplers:TPESampler."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="What its constructor is given.")


class ScreenSettings(Words):
    """A first screen by a zero-cost proxy: a score of a network at its initialisation."""

    proxy: Literal["synflow", "naswot", "grad_norm"] = Field(
        description="synflow (Tanaka 2020), naswot (Mellor 2021), grad_norm. On our tables all knew less than FLOPs do."
    )
    of: int = Field(4, ge=2, le=64, description="The best of so many of the sampler's candidates is taken.")


class SearchSettings(Words):
    """What is sought, by whom, for how long."""

    objectives: dict[Objective, Literal["max", "min"]] = Field(
        default_factory=_most_accurate,
        description="accuracy: max (on the validation images), and beside it costs to be least, such as flops: min: "
        "then the Pareto front is sought, kept and shown.",
    )
    sampler: SamplerName | OptunaSampler = Field(
        "auto",
        description="Who proposes: random (every network within the budget as likely as any other), tpe (Bergstra "
        "2011), evolution (regularised, Real 2019), local_search (White 2021), nsga2 (Deb 2002), bayes (a Gaussian "
        "process over choices and exact costs), auto (bayes; nsga2 for several objectives), or any of Optuna's: "
        "{optuna: optuna.samplers:CmaEsSampler}.",
    )
    screen: ScreenSettings | None = Field(None, description="A first screen of what the sampler proposes.")
    trials: int = Field(24, ge=1, le=1_000_000, description="Trials in all.")
    wall_time: Duration | None = Field(
        None,
        description="The search ends within this time (30m, 8h), all its sessions together: the last part, up to 75 %, "
        "is kept for the best trials so far, one a lane, which train to the end in as many epochs as fit.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="The same seed gives the same search (with one trial at a time).")
    checkpoint_every: Duration = Field(
        60.0,
        description="The state of a running trial is saved after an epoch, once this long after the last time: what a "
        "crash may cost.",
    )
    epoch_limit: Duration = Field(
        7200.0, description="A worker that trains longer at an epoch hangs: it is killed, the trial tried once more."
    )
    trial_limit: Duration | None = Field(
        None, description="A trial whose epochs add up to more fails at the next one's end."
    )
    early_stopping: EarlyStopping = Field(
        default_factory=lambda: EarlyStopping.model_validate({}), description="Which trials are stopped early."
    )

    @model_validator(mode="after")
    def _seeks_accuracy(self) -> Self:
        for name, sense in self.objectives.items():
            if sense != ("max" if name == "accuracy" else "min"):
                raise ValueError(f"objectives: {name}: {sense}; allowed: accuracy: max, and min of costs")
        if "accuracy" not in self.objectives:
            raise ValueError("objectives without accuracy; allowed: accuracy: max, alone or beside costs to be least")
        return self


def _rising(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= sooner for sooner, later in pairwise(milestones)):
        raise ValueError(f"milestones {list(milestones)} do not rise; allowed: {RISING}")
    return milestones


RISING = "a list of 1 to 16 rising shares of the training, each above 0 and below 1"
Milestones = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1), Says("a share of the training, above 0 and below 1")], ...],
    Field(strict=False, min_length=1, max_length=16),
    AfterValidator(_rising),
    Says(RISING),
]


class TrainingSettings(Words):
    """The recipe of every trial."""

    recipe: RecipeName = Field(
        "none",
        description="A recipe by name fills the words that are left out: fast, for a few epochs; those of papers, with "
        "their epochs. What it filled is written out in the file as resolved, where this word is none.",
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

    def with_words(self, words: Mapping[str, Any]) -> Self:
        """These settings with some words set otherwise. Raises ValidationError where they do not go together."""
        return type(self).model_validate({**self.model_dump(), **words}) if words else self

    @property
    def inert(self) -> frozenset[str]:
        """Words that change nothing beside the others, whatever they say."""
        plain = self.optimizer == "adamw" or self.momentum == 0
        return frozenset({"nesterov"} if plain else ()) | ({"step_factor"} if self.schedule != "step" else set())

    def to_dict(self) -> dict[str, Any]:
        """The words that differ from their defaults; the warm-up where its default is the schedule's."""
        warmup = {"warmup": self.warmup} if self.schedule in SCHEDULES_WITHOUT_WARMUP else {}
        return {**super().to_dict(), **warmup}


GpuShare = Annotated[
    Annotated[float, Field(ge=0, le=64)] | Literal["auto"],
    Says("auto, or a number from 0 to 64: GPUs, or a share of one"),
]


class ResourceSettings(Words):
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
