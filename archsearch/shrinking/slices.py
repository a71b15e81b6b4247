"""The slices of a trained network: its stages with fewer blocks, narrower, with narrower bottlenecks or less growth.

A slice is what a few sizes make of the parent: of each stage its blocks, its width and its bottleneck in eighths of the
parent's. Costs are the grammar's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture, Stage
from archsearch.reading.errors import InputError

WHOLE, LEAST = 8, 2  # eighths of a width
DRAWS = 400  # that may give nothing new
Sizes = dict[tuple[str, int], int]  # (what, stage from 0 or group): blocks, or eighths


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a network may take; None: any number."""

    flops: int | None = None
    params: int | None = None

    def admit(self, counted: Cost, share: float = 1.0) -> bool:
        """Whether the cost is within this share of both."""
        pairs = ((counted.flops, self.flops), (counted.params, self.params))
        return all(limit is None or value <= share * limit for value, limit in pairs)


class Slices:
    """The slices of `parent`. `possible` raises InputError for an architecture that is none of the trained network's:
    sizes that cannot shrink alone stay as they are."""

    def __init__(self, parent: Architecture, possible: Callable[[Architecture], object]) -> None:
        self.parent, self.possible = parent, possible
        self.groups = groups_of(parent)
        whole: Sizes = {("depth", index): stage.depth for index, stage in enumerate(parent.stages)}
        whole |= {("width", group): WHOLE for group in sorted(set(self.groups))}
        whole |= {("inner", i): WHOLE for i, s in enumerate(parent.stages) if s.block.kind == "bottleneck"}
        whole |= {("growth", i): WHOLE for i, s in enumerate(parent.stages) if s.block.link in ("dense", "dual_path")}
        self.whole = whole
        self.free = [key for key in whole if self._can_shrink(key)]

    def _can_shrink(self, key: tuple[str, int]) -> bool:
        least = 1 if key[0] == "depth" else WHOLE // 2
        smaller = self.architecture({**self.whole, key: min(least, self.whole[key])})
        try:
            self.possible(smaller)
        except InputError:
            return False
        return digest(smaller) != digest(self.parent)

    def architecture(self, sizes: Sizes) -> Architecture:
        """The network of these sizes."""
        stages = tuple(self._stage(index, stage, sizes) for index, stage in enumerate(self.parent.stages))
        stem = self.parent.stem
        stem = stem.model_copy(update={"width": part_of(stem.width, sizes["width", self.groups[0]])})
        return self.parent.model_copy(update={"name": None, "stem": stem, "stages": stages})

    def _stage(self, index: int, stage: Stage, sizes: Sizes) -> Stage:
        block, inner = stage.block, sizes.get(("inner", index), WHOLE)
        growth = part_of(block.growth_rate, sizes.get(("growth", index), WHOLE)) if block.growth_rate else 0
        block_update = {"bottleneck_ratio": block.bottleneck_ratio * inner / WHOLE, "growth_rate": growth}
        width = part_of(stage.width, sizes["width", self.groups[index + 1]])
        update = {"depth": sizes["depth", index], "width": width, "block": block.model_copy(update=block_update)}
        return stage.model_copy(update=update)

    def smallest(self) -> Architecture:
        """All sizes that can shrink at their least."""
        least = {key: 1 if key[0] == "depth" else LEAST for key in self.free}
        return self.architecture({**self.whole, **least})

    def drawn(
        self, limits: Limits, shares: tuple[float, ...], count: int, seed: int
    ) -> Iterator[tuple[int, Architecture]]:
        """Up to `count` different slices, each with the index of its share in `shares`, which take turns: the parent's
        sizes fall one by one, at random, until the cost is within that share of the limits."""
        draw, digests = random.Random(seed), {digest(self.parent)}
        for number in range(count + DRAWS):
            if len(digests) > count:
                return
            band = number % len(shares)
            candidate = self._fallen(limits, shares[band], draw)
            if candidate is not None and digest(candidate) not in digests:
                digests.add(digest(candidate))
                yield band, candidate

    def _fallen(self, limits: Limits, share: float, draw: random.Random) -> Architecture | None:
        sizes = dict(self.whole)
        while True:
            can_fall = [key for key in self.free if sizes[key] > (1 if key[0] == "depth" else LEAST)]
            if not can_fall:
                return None
            sizes[draw.choice(can_fall)] -= 1
            architecture = self.architecture(sizes)
            if limits.admit(cost(architecture), share):
                return architecture


def part_of(count: int, eighths: int) -> int:
    """So many eighths of a number of channels, at least 1."""
    return max(1, round(count * eighths / WHOLE))


def groups_of(parent: Architecture) -> list[int]:
    """Of the stem and each stage the group that it has its width in common with: stages whose blocks' shortcuts carry
    the same channels."""
    groups, width = [0], parent.stem.width
    for stage in parent.stages:
        same = stage.width == width and stage.stride == 1 and stage.block.link not in ("dense", "dual_path")
        groups.append(groups[-1] if same else groups[-1] + 1)
        width = stage.width
    return groups
