"""The keys of `data:` in a search-space file: which images, what each becomes, and how they are split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, InstanceOf, model_validator
from pydantic.json_schema import SkipJsonSchema

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel
from archsearch.sources.columns import Columns
from archsearch.space.domains import Domain
from archsearch.space.resolution import DESCRIPTION, Rectangle, Side, sides


def _expanded(root: str) -> str:
    """A folder's path with ~ and $VAR replaced, as a shell does it; as it is where a folder has that very name."""
    return root if os.path.lexists(root) else os.path.expandvars(os.path.expanduser(root))  # noqa: PTH111 (raises nothing)


def _increasing(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] >= values[1]:
        raise ValueError(f"a range of {list(values)} is empty; allowed: [low, high], low below high")
    return values


Channels = Annotated[int, Field(ge=1, le=64), Allowed("an integer from 1 to 64")]
ValueRange = Annotated[
    tuple[float, float], Field(strict=False), AfterValidator(_increasing), Allowed("[low, high], low below high")
]


SourceClass = Annotated[
    str, Field(pattern=r"^[\w.]+:\w+$", max_length=200), Allowed("module:Class, a source of your own")
]


class Folds(StrictModel):
    """`validation: {folds: 5}`: cross-validation for `archsearch confirm`."""

    folds: int = Field(
        5,
        ge=2,
        le=100,
        description="Number of folds of training and validation images together. `confirm` trains each network on all "
        "folds but one, and validates on that one, for each of them; a search validates on that share of the images.",
    )


Positive = Annotated[float, Field(gt=0)]


class Normalization(StrictModel):
    """`normalise: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}`: numbers of one's own, ImageNet's here."""

    mean: Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=64)] = Field(
        description="Mean of each channel, on a scale of 0 to 1."
    )
    std: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1, max_length=64)] = Field(
        description="Standard deviation of each channel, on a scale of 0 to 1."
    )

    @model_validator(mode="after")
    def _of_the_same_channels(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means with {len(self.std)} deviations; allowed: one of each a channel")
        return self


Size = Annotated[int | float, Field(gt=0), Allowed("a number of images, or a share below 1")]

FunctionName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"), Allowed("module:function, such as measures:kappa")
]


class DataSettings(StrictModel):
    """Which images, and how they are split."""

    name: Literal[
        "digits", "cifar10", "cifar100", "fashion_mnist", "mnist", "svhn", "folder", "table", "huggingface",
        "webdataset", "numpy", "idx", "arrays",
    ] | SourceClass = Field(
        "digits",
        description="digits: scikit-learn's 1,797 images of 8x8, no download; cifar10; cifar100, "
        "with its 100 fine labels; fashion_mnist; mnist; svhn; folder: any folder of images with "
        "one sub-folder per class; table: a CSV, TSV, JSON lines or Parquet file that names images and their labels; "
        "huggingface: a folder of Parquet files as Hugging Face's hub has them, or one that datasets saved; "
        "webdataset: a folder of tar files (or .tar.gz) with KEY.jpg beside KEY.cls or KEY.json; numpy: .npy files or "
        "an .npz file of images and labels; idx: files such as train-images-idx3-ubyte.gz; arrays: arrays passed to "
        "archsearch.search in Python, which it saves in the experiment's folder; module:Class: a class of your own "
        "(needs --allow-source on the command line, since importing it runs code).",
    )  # fmt: skip
    task: Literal["auto", "single_label", "multi_label", "regression"] = Field(
        "auto",
        description="What is asked of an image: single_label: one of several classes; multi_label: any "
        "number of several labels; regression: one or several numbers. auto: from the labels "
        "(arrays: whole numbers or strings are classes, a table of 0 and 1 is several labels, "
        "floating-point numbers are targets).",
    )
    root: Annotated[str, AfterValidator(_expanded)] = Field(
        "data",
        description="Folder of the data (torchvision's layout). ~ and $VAR are expanded; an "
        "experiment stores the absolute path.",
    )
    file: Annotated[str, AfterValidator(_expanded)] | None = Field(
        None,
        description="table, numpy: the file, below `root` where that is given. Paths in a table are relative to its "
        "folder.",
    )
    columns: Columns = Field(
        default_factory=lambda: Columns.model_validate({}),
        description="table, huggingface, webdataset: which columns (keys of a KEY.json) hold what.",
    )
    metrics: dict[str, FunctionName] = Field(
        default_factory=dict,
        description="Metrics of your own by their names, each module:function, called with a network's outputs "
        "(N, K), which are probabilities or a regression's numbers, and the labels of a split; "
        "measured in every epoch; `search.objectives` may name one. Importing runs code: each needs "
        "--allow-source on the command line.",
    )
    download: bool = Field(False, description="Whether missing data may be downloaded.")
    validation: Size | Folds = Field(
        0.15,
        description="Size of the validation split, taken from the training images: a number of "
        "images, or a share below 1. {folds: 5}: a fifth, and five-fold cross-validation in `confirm`.",
    )

    @property
    def folds(self) -> int | None:
        """Number of folds of a cross-validation; None where there is none."""
        return self.validation.folds if isinstance(self.validation, Folds) else None

    @property
    def validation_size(self) -> int | float:
        """Size of the validation split: a number of images, or a share below 1."""
        return 1 / self.validation.folds if isinstance(self.validation, Folds) else self.validation

    size: Annotated[
        Side | Rectangle | SkipJsonSchema[InstanceOf[Domain]],
        Allowed("an integer from 8 to 1024 or [height, width], each from 8 to 1024"),
    ] = Field(64, description=DESCRIPTION)
    fit: Literal["crop", "pad", "squash"] = Field(
        "crop",
        description="How an image file gets its size. crop: resized until it covers it, center-cropped; pad: resized "
        "until it fits into it, with black beside it; squash: both sides resized, the aspect ratio changes.",
    )
    crop_ratio: float = Field(
        1.0,
        ge=0.25,
        le=1,
        description="Image files with fit: crop: share of the shorter side that is left: a file is resized to size / "
        "crop_ratio before its centre is cropped (ImageNet: 224 of 256 pixels, 0.875; timm's crop_pct).",
    )
    normalise: Literal["standard", "mean"] | Normalization = Field(
        "standard",
        description="What becomes of pixels on a scale of 0 to 1: standard: less the channel's mean in the training "
        "images, divided by its standard deviation; mean: less the mean alone (He 2015); {mean: [...], std: [...]}: by "
        "these numbers, one of each a channel. Not given, it is what the weights expect from which a training starts, "
        "where their source states it.",
    )
    channels: Literal["auto"] | Channels = Field(
        "auto",
        description="Channels of an image file. auto: 3 (RGB), or those of the files where all are .npy; 1: grey; "
        "3: RGB; 4: RGBA. A number also makes the pages of a TIFF channels.",
    )
    bits: Literal["auto", 8, 16] = Field(
        "auto",
        description="Bits of a value. auto: 16 where more than half of the image files have more than 8, by their "
        "headers, else 8. 8: image files of more are scaled to 8; 16: they keep 16, and those of 8 are scaled to 16, "
        "in twice the memory.",
    )
    range: ValueRange | None = Field(
        None,
        description="[low, high]: the values that become black and white in .npy files and in images of more than "
        "8 bits; values beyond are clipped. Default: those of the type, 0 to 1 for floating-point numbers.",
    )
    in_memory: Literal["auto", True, False] = Field(
        "auto",
        description="Folders only: whether all images are held in memory or read from disk in each "
        "epoch. auto: in memory if they take at most a quarter of the free memory.",
    )
    broken: Literal["refuse", "skip"] = Field(
        "refuse",
        description="Folders only: what to do about images that cannot be read. refuse: list them "
        "and stop; skip: list them and leave them out of their splits.",
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split, independent of the search's seed.")
    limit: int | None = Field(None, ge=10, description="Use only this many training images, for a quick test.")

    @property
    def varied_size(self) -> Domain | None:
        """The domain of `size`, where it is one."""
        return self.size if isinstance(self.size, Domain) else None

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Every (height, width) that images may get by `size`, the largest first."""
        values: list[Any] = [self.size]
        if isinstance(self.size, Domain):
            default = [type(self).model_fields["size"].default] if self.size.when else []
            values = [*self.size.probes(), *default]
        return tuple(sorted({sides(value) for value in values}, key=lambda size: (-size[0] * size[1], size)))

    def at(self, shape: tuple[int, int, int]) -> Self:
        """The settings of the images that a network of this input (channels, height, width) sees: with its size, where
        `size` is a domain."""
        if self.varied_size is None:
            return self
        _, height, width = shape
        return self.model_copy(update={"size": height if height == width else (height, width)})

    @property
    def is_source(self) -> bool:
        """Whether the images are a person's own files, which can be looked at before anything is decoded."""
        return self.name not in ("digits", "cifar10", "cifar100", "fashion_mnist", "mnist", "svhn", "arrays")

    @property
    def location(self) -> str:
        """The path of the data: the folder `root`, or the file in it."""
        return self.root if self.file is None else str(Path(self.root, self.file))

    def anchored(self) -> Self:
        """The same settings with absolute paths, for commands that run in another folder."""
        location = Path(self.location).absolute()
        update = {"root": str(location)} if self.file is None else {"root": str(location.parent), "file": location.name}
        return self.model_copy(update=update)

    @model_validator(mode="before")
    @classmethod
    def _a_file_alone_has_its_folder_as_root(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("file"), str) and "root" not in values:
            folder, name = os.path.split(values["file"])
            return {**values, "root": folder or ".", "file": name}
        return values

    @model_validator(mode="after")
    def _a_crop_ratio_is_of_crops(self) -> Self:
        if self.crop_ratio < 1 and self.fit != "crop":
            raise ValueError(f"a crop_ratio of {self.crop_ratio:g} with fit: {self.fit}; allowed: crop_ratio: 1")
        return self

    @model_validator(mode="after")
    def _a_table_is_a_file(self) -> Self:
        if self.name == "table" and self.file is None:
            raise ValueError("data of the name table needs data.file, the path of the table")
        return self
