"""What a network is, as a person writes it: Architecture = stem -> stages of blocks -> head.

He et al. 2016 (arXiv:1603.05027) write a residual unit as y = h(x) + F(x), x' = f(y). The words of
`Block` fill those slots. Each value is data: shapes, counts, modules, drawings and source follow from
it (see plan.py). Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from archsearch.architecture.block import Block
from archsearch.reading.model import StrictModel

Size = Annotated[int, Field(ge=1, le=4096)]
StemPooling = Literal["none", "max", "max_zero_padded", "max_unpadded", "average", "conv", "blur"]


class Stage(StrictModel):
    """Blocks of one resolution, one after another."""

    depth: int = Field(ge=1, le=1024, description="Number of blocks in the stage.")
    width: int = Field(
        16,
        ge=1,
        le=8192,
        description="Output channels of each block. No effect on dense blocks, whose number is growth_rate.",
    )
    stride: int = Field(2, ge=1, le=4, description="Stride at the stage's entry.")
    compression: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of channels that the transition before a dense stage keeps, rounded down (DenseNet-C: 0.5).",
    )
    entry: Literal["block", "conv", "pool", "pool_conv"] = Field(
        "block",
        description="What changes the shape at the stage's entry. block: the first block; conv: a "
        "separate 3x3 convolution (Shen & Zeng 2016); pool: a max pool, for the "
        "resolution alone; pool_conv: a max pool and a 3x3 convolution (Highway). "
        "Dense stages have their transition instead.",
    )
    block: Block = Block()


class Stem(StrictModel):
    """The layers before the first stage."""

    kernel: int = Field(
        3,
        ge=1,
        le=11,
        description="Kernel size of the first convolution (CIFAR: 3, ImageNet: 7); odd. No effect on deep stems.",
    )
    deep: Literal["none", "half", "tiered"] = Field(
        "none",
        description="Three 3x3 convolutions instead of one (Inception-v2's; He 2018, arXiv:1812.01187): half: the "
        "first two have half the width (ResNet-C and -D: 32, 32, 64); tiered: three eighths and half of it (timm's "
        "ResNet-T: 24, 32, 64). The first one has the stride.",
    )
    stride: int = Field(1, ge=1, le=4, description="Stride of the first convolution (CIFAR: 1, ImageNet: 2).")
    width: int = Field(16, ge=1, le=8192, description="Output channels of the stem.")
    norm: bool | None = Field(
        None,
        description="Whether norm and ReLU follow the last convolution. Default: true, "
        "unless the first stage is pre-activated.",
    )
    padded: bool = Field(
        True,
        description="Whether the image is padded with zeros, which keeps the resolution (Highway on MNIST: false).",
    )
    pool: StemPooling = Field(
        "none",
        description="What ends the stem and halves the resolution. max: a 3x3 max pool (ImageNet); max_zero_padded: "
        "one in which zeros beyond the edges count (BiT, Kolesnikov 2020, arXiv:1912.11370); max_unpadded: one without "
        "padding (SENet's code, Hu 2018); average: 2x2 pixels; conv: a 3x3 convolution with norm and ReLU (ResNet-RS, "
        "Bello 2021, arXiv:2103.07579); blur: a max pool without stride, then a blur with it (Zhang 2019, "
        "arXiv:1904.11486).",
    )
    preactivates: bool = Field(
        False,
        description="Whether the stem's norm and ReLU also serve as the first block's "
        "pre-activation (fb.resnet.torch's preresnet).",
    )
    first_shortcut: Literal["activated", "raw"] = Field(
        "activated",
        description="Shortcut of a pre-activated first block that keeps the shape, behind a stem without norm. "
        "activated: its norm and ReLU come before both branch and shortcut (He 2016, appendix); raw: the shortcut "
        "is the stem's output (Wide ResNet's code, timm's resnetv2_18).",
    )

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"stem kernel {self.kernel} is even; allowed: odd kernels, 1 to 11")
        return self


class Head(StrictModel):
    """The layers behind the last stage: a pool to a vector, and the classifier."""

    width: int | None = Field(
        None,
        ge=1,
        le=8192,
        description="Channels of a 1x1 convolution with ReLU before the pool (Highway, CIFAR: 100).",
    )
    pool: Literal["mean", "adaptive", "max"] = Field(
        "adaptive",
        description="mean, adaptive: global average pooling, with equal outputs; fvcore counts "
        "FLOPs for adaptive pooling and none for a mean. max: a 2x2 max pool, then "
        "flattened (Highway, MNIST; VGG).",
    )
    classifier: Literal["linear", "conv"] = Field(
        "linear", description="conv: a 1x1 convolution with bias, as in timm's resnetv2 and dpn; the outputs are equal."
    )
    hidden: int | None = Field(
        None, ge=1, le=65_536, description="Channels of each hidden layer before the classifier, with ReLU (VGG: 4096)."
    )
    hidden_layers: int = Field(2, ge=1, le=4, description="Number of hidden layers. No effect without hidden.")
    hidden_form: Literal["linear", "conv"] = Field(
        "linear",
        description="linear: hidden layers behind the pool, linear (torchvision's vgg). conv: convolutions before a "
        "global pool, the first of kernel size grid and without padding (timm's vgg).",
    )
    grid: int = Field(
        1,
        ge=1,
        le=32,
        description="Height and width that the last maps are averaged to (adaptive pooling) before they are flattened "
        "(VGG: 7); 1: as pool says.",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout rate before the classifier and between hidden layers (VGG: 0.5)."
    )


class Survival(StrictModel):
    """Stochastic depth (Huang 2016, arXiv:1603.09382): in training, the branch of block l of L is kept with probability
    p_l. Blocks without a shortcut are always kept, and do not count in L. A gated block that is dropped is its gated
    shortcut, (1 - g) x."""

    schedule: Literal["none", "uniform", "linear", "count"] = Field(
        "none",
        description="Survival probability of block l of L. none: 1; uniform: p_l = last; linear: "
        "p_l = 1 - (l / L)(1 - last); count: exactly `blocks` of the L are kept each time, so p_l = blocks / L "
        "(Veit 2016, arXiv:1605.06431, section 5).",
    )
    last: float = Field(0.5, gt=0, le=1, description="Survival probability of the last block.")
    blocks: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Number of blocks that the schedule count keeps: all where L is no greater. Default: last * L, "
        "rounded, at least 1. No effect with other schedules.",
    )
    per: Literal["batch", "sample"] = Field(
        "batch",
        description="batch: one draw per block and batch, and a dropped block is not computed; "
        "sample: one draw per image.",
    )
    rescale: Literal["test", "train"] = Field(
        "test",
        description="test: the branch is multiplied by p_l at test time (the paper); train: it is "
        "divided by p_l in training (inverted).",
    )


class Architecture(StrictModel):
    """A network: `input` (channels, height, width) -> stem -> stages -> head -> `classes` scores."""

    archsearch: Literal[1] = Field(1, description="Version of this format.")
    name: str | None = Field(None, description="A label; it has no effect on the network or its digest.")
    input: tuple[Size, Size, Size] = Field((3, 32, 32), description="Channels, height and width of the input image.")
    classes: int = Field(10, ge=1, le=100_000, description="Number of classes.")
    stem: Stem = Stem()
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=16)
    head: Head = Head()
    survival: Survival = Survival()
    norm_eps: float = Field(
        1e-5, ge=1e-8, le=0.1, description="Epsilon of the norms (torchvision: 1e-5, dual path networks: 1e-3)."
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        """YAML and JSON know lists only; strict models want tuples."""
        if isinstance(data, dict):
            return {k: tuple(v) if isinstance(v, list) and k in ("input", "stages") else v for k, v in data.items()}
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises InputError for anything that is no architecture."""
        from archsearch.reading.validation import validate

        return validate(cls, data)

    @classmethod
    def from_yaml(cls, source: str | Path) -> Self:
        """Reads a file (a Path, or a str that names an existing file or ends in .yaml or .yml), or else a text. Raises
        InputError with file, line and column."""
        from archsearch.reading.validation import validate
        from archsearch.reading.yaml import read

        if isinstance(source, str) and (os.path.isfile(source) or re.fullmatch(r".+\.ya?ml", source)):  # noqa: PTH113, Path raises for a long text
            source = Path(source)
        return validate(cls, read(source))

    def to_dict(self) -> dict[str, Any]:
        """Version, image and classes, and whatever differs from its default: plain JSON values."""
        changed = super().to_dict()
        first = {"archsearch": self.archsearch, "name": self.name, "input": list(self.input), "classes": self.classes}
        return {key: value for key, value in {**first, **changed, **first}.items() if value is not None}

    def to_yaml(self) -> str:
        """What `from_yaml` reads back to an equal architecture."""
        from archsearch.reading.yaml import write

        return write(self.to_dict())
