"""One network of the literature: its architecture, what was published of it, and where."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage, Stem, Survival
from archsearch.zoo.errors import PUBLISHED, Published

IMAGENET_STEM = Stem(kernel=7, stride=2, width=64, pool="max")


@dataclass(frozen=True)
class Entry:
    """A named network, its family, and where it is described."""

    family: str
    source: str
    architecture: Architecture

    @property
    def name(self) -> str:
        """Its architecture's name."""
        return self.architecture.name or ""

    @property
    def published(self) -> Published | None:
        """Its top-1 test error on its data set, with protocol and source; None where none is published."""
        return PUBLISHED.get(self.name)

    @property
    def published_error_percent(self) -> float | None:
        """The error alone."""
        return self.published.percent if self.published else None


def stages(
    depths: tuple[int, ...], widths: tuple[int, ...], block: Block, compression: float = 1.0
) -> tuple[Stage, ...]:
    """Stages of one kind of block: the first keeps the resolution, each other one halves it."""
    return tuple(
        Stage(depth=depth, width=width, stride=1 if i == 0 else 2, compression=compression, block=block)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True))
    )


def cifar(
    name: str,
    depth: int,
    block: Block,
    widths: tuple[int, int, int] = (16, 32, 64),
    *,
    stem: int = 16,
    compression: float = 1.0,
    survival: Survival = Survival(),  # noqa: B008 (frozen)
) -> Architecture:
    """Three stages of `depth` blocks on 3x32x32 images (He 2015, section 4.2)."""
    return Architecture(
        name=name,
        input=(3, 32, 32),
        classes=10,
        stem=Stem(width=stem),
        stages=stages((depth,) * 3, widths, block, compression),
        head=Head(pool="mean"),
        survival=survival,
    )


def imagenet(
    name: str,
    depths: tuple[int, ...],
    widths: tuple[int, ...],
    block: Block,
    *,
    stem: Stem = IMAGENET_STEM,
    compression: float = 1.0,
    pool: str = "adaptive",
    classifier: str = "linear",
) -> Architecture:
    """Four stages on 3x224x224 images (He 2015, table 1)."""
    return Architecture(
        name=name,
        input=(3, 224, 224),
        classes=1000,
        stem=stem,
        stages=stages(depths, widths, block, compression),
        head=Head(pool=pool, classifier=classifier),  # type: ignore[arg-type]
    )
