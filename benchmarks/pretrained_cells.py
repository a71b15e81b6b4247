"""The cells of pretrained.py: small sets of images and budgets, and their images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet, Split

SIDE = 32  # pixels of the parent's images
SMALL_CLASSES = {1: (8, 9), 2: (3, 5)}  # of CIFAR-10, by table: ship and truck, cat and dog
CLOTHES = (0, 2, 3, 4, 6)  # of Fashion-MNIST: t-shirt, pullover, dress, coat, shirt


@dataclass(frozen=True)
class Size:
    """How much is done; `epochs` are those from nothing, for so many images."""

    seeds: int = 5
    parent_images: int = 16_000
    parent_epochs: int = 8
    slices: int = 20
    validation: int = 200
    test: int = 2000
    few: int = 500
    more: int = 2000
    few_epochs: int = 60
    more_epochs: int = 36

    def epochs(self, images: int) -> int:
        return self.few_epochs if images <= 2 * self.few else self.more_epochs


QUICK = Size(seeds=2, parent_images=400, parent_epochs=1, slices=2, validation=60, test=100, few=60, more=120,
             few_epochs=2, more_epochs=2)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A set of so many training images, the side of its images, and the share of the parent's FLOPs in the budget."""

    images: int
    budget: float = 1.0
    side: int = SIDE
    kind: str = "photos"

    def __str__(self) -> str:
        return f"{self.images} {self.kind} at {self.side} pixels, {self.budget:.0%} of the FLOPs"


def cells(size: Size, table: int) -> list[Cell]:
    few, more = size.few, size.more
    if table == 1:
        every = [Cell(few), Cell(few, 0.5), Cell(few, 0.15), Cell(more), Cell(more, 0.15)]
        every += [Cell(few, side=16), Cell(few, 0.15, side=16), Cell(few, side=8), Cell(few, kind="grey photos")]
        return [*every, Cell(few, side=8, kind="digits")]
    every = [Cell(few), Cell(few, 0.5, side=16), Cell(few, 0.15, kind="grey photos"), Cell(more, 0.5)]
    every += [Cell(more, kind="grey photos"), Cell(more, side=8), Cell(2 * few, side=8, kind="digits")]
    return [
        *every,
        *(Cell(count, side=28, kind="clothes") for count in (few, 6 * few)),
        Cell(few // 2, 0.5, 14, "clothes"),
    ]


def smaller(split: Split, cell: Cell) -> Split:
    """The split's images at the cell's side, by means of squares, and grey where it says so."""
    count, channels, height, width = split.images.shape
    factor = height // cell.side
    squares = split.images.reshape(count, channels, height // factor, factor, width // factor, factor)
    images = squares.mean(axis=(3, 5))
    if cell.kind == "grey photos":
        images = images.mean(axis=1, keepdims=True)
    return replace(split, images=np.ascontiguousarray(images.round().astype(np.uint8)))


def adapted(network: Architecture, images: ImageSet) -> Architecture:
    return network.model_copy(update={"name": None, "input": images.shape, "classes": len(images.classes)})
