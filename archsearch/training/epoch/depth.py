"""Stochastic depth of a whole epoch, drawn before its first step: no forward pass waits for the host or a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archsearch.network.units import StochasticDepth


class Depth:
    """What stochastic depth keeps of `model` in each forward pass of an epoch.

    A step has a forward pass for each of `parts`, numbers of images. The draws are those that the network would make
    itself, in the same order. Without stochastic depth nothing is drawn.
    """

    def __init__(self, model: nn.Module, parts: Sequence[int]) -> None:
        self.modules = [module for module in model.modules() if isinstance(module, StochasticDepth)]
        self.per_image = any(module.per_image for module in self.modules)
        self.parts = tuple(parts)
        self._flags: list[list[list[bool]]] = []
        self.factors: Tensor | None = None

    def draw(self, steps: int, device: torch.device) -> None:
        """Draws an epoch of so many steps: with draws per image the table `factors` (steps, blocks, images) on the
        device, else flags on the host."""
        if not self.modules:
            return
        kept = torch.stack([self._step() for _ in range(steps)])
        if self.per_image:
            factors = torch.tensor([module.factor for module in self.modules])
            self.factors = (kept * factors[:, None]).to(device, non_blocking=True)
        else:
            self._flags = kept.tolist()

    def _step(self) -> Tensor:
        """(blocks, images), or (blocks, parts) with one draw for all images of a forward pass."""
        sizes = self.parts if self.per_image else (1,) * len(self.parts)
        return torch.cat([torch.stack([module.kept(size) for module in self.modules]) for size in sizes], 1)

    def row(self, step: int) -> Tensor | list[list[bool]] | None:
        """What is kept in a step, as `decide` takes it."""
        if self.factors is not None:
            return self.factors[step]
        return self._flags[step] if self._flags else None

    def decide(self, row: Tensor | list[list[bool]] | None, part: int) -> None:
        """Hands the draws of a step's forward pass to the network."""
        if isinstance(row, Tensor):
            start = sum(self.parts[:part])
            self.hand_over(row[:, start : start + self.parts[part]].unbind())
        elif row is not None:
            self.hand_over([of_block[part] for of_block in row])

    def hand_over(self, decided: Sequence[Tensor | bool | None]) -> None:
        """Sets what is decided of each block; None lets it draw itself."""
        for module, value in zip(self.modules, decided, strict=True):
            module.decided = value

    def clear(self) -> None:
        """Forgets the epoch: the network draws itself again."""
        self.hand_over([None] * len(self.modules))
        self._flags, self.factors = [], None

    def passes(self, steps: int) -> dict[StochasticDepth, int]:
        """How often each block's layers are computed in the epoch."""
        every = steps * len(self.parts)
        if not self._flags:
            return dict.fromkeys(self.modules, every)
        counts = [sum(sum(of_step[block]) for of_step in self._flags) for block in range(len(self.modules))]
        return dict(zip(self.modules, counts, strict=True))
