"""What a network is, as a person writes it: Architecture = stem -> stages of blocks -> head.

He et al. 2016 (arXiv:1603.05027) write a residual unit as y = h(x) + F(x), x' = f(y). The words of
`Block` fill those slots. Each value is data: shapes, counts, modules, drawings and source follow from
it (see plan.py). Every field's description is also the text of the search-space reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["basic", "bottleneck"]
Link = Literal["plain", "residual", "dense"]
Placement = Literal["post", "pre", "norm_after_addition", "relu_before_addition", "relu_only_pre"]


class Words(BaseModel):
    """Base of every group of words: frozen, strict, and no word that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """The words that differ from their defaults, as plain JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Block(Words):
    """One residual unit's words: what its branch computes and how it is joined with its input."""

    kind: Kind = Field(
        "basic",
        description="basic: two 3x3 convolutions; bottleneck: 1x1, 3x3, 1x1 (He 2015, figure 5). "
        "With dense links: one 3x3, or 1x1 and 3x3 (Huang 2017).",
    )
    link: Link = Field(
        "residual",
        description="plain: no shortcut; residual: addition (He 2015); dense: concatenation (Huang 2017).",
    )
    bottleneck_ratio: float = Field(
        0.25,
        gt=0,
        le=8,
        description="Width of a bottleneck's 3x3 over the stage's width (ResNet-50 0.25, Wide ResNet-50-2 and "
        "ResNeXt-50 0.5), taken to the nearest multiple of the cardinality.",
    )
    cardinality: int = Field(
        1,
        ge=1,
        le=256,
        description="Groups of a bottleneck's 3x3 (ResNeXt, Xie 2017). Nothing to a basic block.",
    )
    growth_rate: int = Field(
        12, ge=1, le=1024, description="Channels that each dense block adds (DenseNet's k)."
    )
    dense_bottleneck: int = Field(
        4,
        ge=1,
        le=16,
        description="A dense bottleneck's 1x1 emits this many times the growth rate (DenseNet-B: 4).",
    )
    activation: Placement = Field(
        "post",
        description="Where norm and ReLU stand, He 2016 figure 4: post (v1), pre (v2, full pre-activation), "
        "norm_after_addition, relu_before_addition, relu_only_pre.",
    )
    shortcut: Literal["A", "B", "C"] = Field(
        "B",
        description="Where shapes change (He 2015): A subsamples and pads with zero channels, B projects by a 1x1; "
        "C projects every shortcut.",
    )
    stride_at: Literal["conv1x1", "conv3x3"] = Field(
        "conv3x3",
        description="Which convolution of a bottleneck carries the stride: the first 1x1 (v1) or the 3x3 (v1.5).",
    )


class Stage(Words):
    """Blocks of one resolution, one after another."""

    depth: int = Field(ge=1, le=1024, description="Blocks in the stage.")
    width: int = Field(
        16,
        ge=1,
        le=8192,
        description="Channels that each block emits. Nothing to dense blocks, which emit growth_rate.",
    )
    stride: int = Field(2, ge=1, le=4, description="Down-sampling at the stage's entry.")
    compression: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of channels that the transition before a dense stage keeps, floored (DenseNet-C: 0.5).",
    )
    block: Block = Block()


class Stem(Words):
    """The layers before the first stage."""

    kernel: int = Field(
        3, ge=1, le=11, description="Kernel of the first convolution (CIFAR 3, ImageNet 7); odd."
    )
    stride: int = Field(1, ge=1, le=4, description="Its stride (CIFAR 1, ImageNet 2).")
    width: int = Field(16, ge=1, le=8192, description="Channels that it emits.")
    norm: bool | None = Field(
        None, description="Norm and ReLU behind it. Left out: yes, unless the first stage is pre-activated."
    )
    pool: Literal["none", "max"] = Field(
        "none", description="max: a 3x3 max pool of stride 2 behind it (ImageNet)."
    )

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"stem kernel {self.kernel} is even; allowed: odd kernels, 1 to 11")
        return self


class Head(Words):
    """The layers behind the last stage: global average pool and classifier."""

    pool: Literal["mean", "adaptive"] = Field(
        "adaptive",
        description="How the average is taken. The outputs are equal; fvcore counts adaptive pooling, and not a mean.",
    )


class Survival(Words):
    """Stochastic depth (Huang 2016, arXiv:1603.09382): in training, block l of L is kept with probability p_l."""

    schedule: Literal["none", "uniform", "linear"] = Field(
        "none",
        description="none: every block is kept; uniform: p_l = last; linear: p_l = 1 - (l / L)(1 - last).",
    )
    last: float = Field(0.5, gt=0, le=1, description="Survival probability of the last block.")
    per: Literal["batch", "sample"] = Field(
        "batch",
        description="batch: one draw a block and batch, a dropped block's work is skipped; sample: one draw an image.",
    )
    rescale: Literal["test", "train"] = Field(
        "test",
        description="test: the branch times p_l at test (the paper); train: divided by p_l while training (inverted).",
    )


class Architecture(Words):
    """A network: `input` (channels, height, width) -> stem -> stages -> head -> `classes` scores."""

    archsearch: Literal[1] = Field(1, description="Version of this format.")
    name: str | None = Field(None, description="A name for people; no part of the network.")
    input: tuple[int, int, int] = Field((3, 32, 32), description="Channels, height and width of an image.")
    classes: int = Field(10, ge=1, le=100_000, description="Scores that the network emits.")
    stem: Stem = Stem()
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=16)
    head: Head = Head()
    survival: Survival = Survival()

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        """YAML and JSON know lists only; strict models want tuples."""
        if isinstance(data, dict):
            return {
                k: tuple(v) if isinstance(v, list) and k in ("input", "stages") else v
                for k, v in data.items()
            }
        return data

    @property
    def digest(self) -> str:
        """Sixteen hex digits, equal for equal networks: names and inactive words do not count."""
        from archsearch.architecture.canonical import digest

        return digest(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises InputError for anything that is no architecture."""
        from archsearch.reading.validation import validate

        return validate(cls, data)

    @classmethod
    def from_yaml(cls, source: str | Path) -> Self:
        """Reads a file (Path) or a text (str). Raises InputError with file, line and column."""
        from archsearch.reading.validation import validate
        from archsearch.reading.yaml import read

        return validate(cls, read(source))

    def to_dict(self) -> dict[str, Any]:
        """Version, image and classes, and whatever differs from its default: plain JSON values."""
        return {
            "archsearch": self.archsearch,
            **super().to_dict(),
            "input": list(self.input),
            "classes": self.classes,
        }

    def to_yaml(self) -> str:
        """What `from_yaml` reads back to an equal architecture."""
        from archsearch.reading.yaml import write

        return write(self.to_dict())
