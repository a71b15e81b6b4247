"""The words of a search-space file outside `space:`: data, search, training, resources.

Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from archsearch.architecture.spec import Words

NAME = r"^[A-Za-z0-9_-]{1,64}$"


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
    split_seed: int = Field(0, ge=0, description="Seed of the split, apart from the search's seed.")
    limit: int | None = Field(None, ge=10, description="Use only this many training images, for a quick look.")


class EarlyStopping(Words):
    """Asynchronous successive halving (ASHA, Li 2018, arXiv:1810.05934)."""

    kind: Literal["asha", "none"] = Field(
        "asha", description="asha: stop trials that are behind at a rung; none: never."
    )
    grace_epochs: int = Field(1, ge=1, description="The first rung: every trial trains for this many epochs.")
    reduction: int = Field(
        3,
        ge=2,
        le=10,
        description="Of a rung's trials one in `reduction` goes on; rungs lie this factor apart.",
    )


def _most_accurate() -> dict[Literal["accuracy"], Literal["max"]]:
    return {"accuracy": "max"}


class SearchSettings(Words):
    """What is sought, by whom, for how long."""

    objectives: dict[Literal["accuracy"], Literal["max"]] = Field(
        default_factory=_most_accurate, description="Validation accuracy, maximised."
    )
    sampler: Literal["auto", "tpe", "random"] = Field(
        "auto",
        description="Who proposes: random, tpe (Optuna's, with the budget as its constraint), or auto (tpe).",
    )
    trials: int = Field(24, ge=1, le=1_000_000, description="Trials in all.")
    seed: int = Field(0, ge=0, lt=2**32, description="The same seed gives the same search (with one trial at a time).")
    early_stopping: EarlyStopping = Field(
        default_factory=lambda: EarlyStopping.model_validate({}), description="Which trials are stopped early."
    )


class TrainingSettings(Words):
    """The recipe of every trial."""

    epochs: int = Field(10, ge=1, le=100_000, description="Epochs of a full training.")
    batch_size: int = Field(128, ge=1, le=65_536, description="Images a step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd: Nesterov momentum; adamw.")
    learning_rate: float = Field(0.1, gt=0, le=100, description="The schedule's highest rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum.")
    weight_decay: float = Field(5e-4, ge=0, le=10, description="Decay of weights; norms and biases have none.")
    schedule: Literal["one_cycle", "cosine", "constant"] = Field(
        "one_cycle",
        description="one_cycle: linear up for `warmup`, linear to zero; cosine: up, then half a cosine; constant.",
    )
    warmup: float = Field(0.2, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Mass spread over all classes.")
    crop_padding: int = Field(0, ge=0, le=64, description="Random crops after padding by this many pixels (CIFAR 4).")
    flip: bool = Field(False, description="Random horizontal flips.")
    cutout: int = Field(0, ge=0, le=512, description="Side of a random square set to the mean; 0 for none.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")


class ResourceSettings(Words):
    """What one trial gets of the machine."""

    cpus_per_trial: int = Field(1, ge=1, le=1024, description="CPU cores, and torch threads, of a trial.")
    gpus_per_trial: float = Field(0.0, ge=0, le=64, description="Share of a GPU; several trials share one below 1.")
    max_concurrent: int | None = Field(
        None, ge=1, description="Trials at once; left out: as many as the resources hold."
    )
