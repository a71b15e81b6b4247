"""A step with stochastic depth per batch as pieces: a graph for each part of the network, kept and dropped.

Steps differ by the blocks that they drop, so that no one graph holds them, and a graph for each set of blocks would be
2^L of them. But a block that is kept and one that is dropped hand on activations of the same shape: each has two
forward and two backward pieces, of which a step takes those that its draws call for, about 2L + 3 in all:

    open: batch, mixing, stem | blocks forward | end: head, loss, their backward | blocks backward | close: the stem's

The draws of an epoch are made on the host before its first step (depth.py): no step waits for the device. The optimizer
follows by itself, in a few launches for all weights, since those that have a gradient differ from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.network.build import Network
from archsearch.network.layers import LearnedGain
from archsearch.network.units import ResidualUnit, StochasticDepth
from archsearch.training.epoch.depth import Depth
from archsearch.training.epoch.plan import Plan
from archsearch.training.epoch.static import Capture, StaticStep
from archsearch.training.feeds.feed import Feed
from archsearch.training.step import Step, Target

Piece = Callable[[], None]


@dataclass(eq=False)
class Seam:
    """What lies between two parts: activations, and the loss' gradient by them, both written by the one part and read
    by the other."""

    values: Tensor | None = None
    gradient: Tensor | None = None


class Received(torch.autograd.Function):
    """What a part reads, as it is; its gradient is appended to a list, in the layout in which it comes. (A leaf's
    `grad` would be laid out like the leaf, and what reads that might round otherwise.)"""

    @staticmethod
    def forward(ctx: Any, values: Tensor, differentiable: Tensor, gradients: list[Tensor]) -> Tensor:
        """The values; `differentiable` is any tensor that requires a gradient, and gets none."""
        ctx.gradients = gradients
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        """Keeps the gradient."""
        ctx.gradients.extend(gradients)
        return None, None, None


class Part:
    """Layers in a row that read the seam `before` and write the seam `after`. Where stochastic depth is among them,
    their `branch`, it is `kept` or not; both ways write the same memory, that of the first to do so."""

    def __init__(
        self,
        layers: list[nn.Module],
        seams: tuple[Seam, Seam],
        step: Step,
        *,
        branch: StochasticDepth | None = None,
        kept: bool = True,
    ) -> None:
        self._layers, self._step, self._branch, self._kept = layers, step, branch, kept
        self.before, self.after = seams
        weights = (weight for layer in layers for weight in layer.parameters() if weight.requires_grad)
        self._gradients: dict[nn.Parameter, Tensor | None] = dict.fromkeys(weights)
        self._computed: tuple[Tensor, Tensor, list[Tensor]] | None = None  # what was read, its result, its gradient

    def forward(self) -> Tensor:
        """The activations behind it."""
        values, passed = self.before.values, list[Tensor]()
        assert values is not None
        if self._branch is not None:
            self._branch.decided = self._kept
        read = output = Received.apply(values, values, passed) if values.requires_grad else values
        with self._step.autocast():
            for layer in self._layers:
                output = layer(output)
        self._computed = read, output, passed
        return output

    def forth(self) -> None:
        """Its forward piece."""
        output = self.forward()
        self.after.values = self._written(self.after.values, output, self.before.values)
        # Not that of autograd's graph, which ends here: whether the next part's begins with a gradient.
        self.after.values.requires_grad_(output.requires_grad)

    def back(self) -> None:
        """Its backward piece."""
        assert self._computed is not None
        output, gradient = self._computed[1], self.after.gradient
        self.backward(output, None if gradient is None else gradient.to(output.dtype))

    def backward(self, output: Tensor, gradient: Tensor | None) -> None:
        """Computes the gradients of the weights and of what it read from that of `output`, which it computed."""
        assert self._computed is not None
        read, result, passed = self._computed
        self._computed = None
        if result is read and gradient is not None:
            passed.append(gradient)
        elif output.requires_grad:
            for weight in self._gradients:
                weight.grad = None
            torch.autograd.backward(output, gradient)
            self._gradients = {weight: weight.grad for weight in self._gradients}
        if passed:
            self.before.gradient = self._written(self.before.gradient, passed[0], gradient)

    def _written(self, held: Tensor | None, new: Tensor, origin: Tensor | None) -> Tensor:
        """`new` in the memory of `held`, where there is another way to compute it; `origin` is what it was computed of.
        A kept block may give float32 of what is bfloat16: then a dropped one gives that as float32 too."""
        if self._branch is None or held is None:
            shared = origin is not None and _memory(new) == _memory(origin)
            # `data`, not `detach`: what autograd saved of it is not to notice that it is written again.
            return new.data.clone() if shared and self._branch is not None else new.data
        held.data.copy_(new.data)
        return held

    @property
    def learns(self) -> bool:
        """Whether anything is left to its backward pass; known once it has computed."""
        return bool(self._gradients) or (self.before.values is not None and self.before.values.requires_grad)

    def hand_over(self) -> None:
        """Gives the weights the gradients that its backward piece computes."""
        for weight, gradient in self._gradients.items():
            weight.grad = gradient


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class PieceStep(StaticStep):
    """A static step of a network with stochastic depth per batch. Raises ValueError, with the reason, for one that is
    no sequence of pieces."""

    def __init__(
        self, step: Step, feed: Feed, batch_size: int, size: tuple[int, int], depth: Depth, model: nn.Module
    ) -> None:
        super().__init__(step, feed, batch_size, size, depth)
        if len(depth.parts) > 1:
            raise ValueError("steps with stochastic depth per batch and training.micro_batch are not replayed")
        rows = rows_of(model) if isinstance(model, Network) else []
        branches = [_branch(row) for row in rows]
        if [branch for branch in branches if branch is not None] != depth.modules:
            raise ValueError("stochastic depth per batch is replayed only where blocks follow one another")
        seams = [Seam() for _ in range(len(rows) + 1)]
        self._parts: list[dict[bool, Part]] = []  # of each row: kept, and where it may be, dropped
        for row, branch, ends in zip(rows, branches, pairwise(seams), strict=True):
            kinds = (True,) if branch is None else (True, False)
            self._parts.append({kept: Part(row, ends, step, branch=branch, kept=kept) for kept in kinds})
        self._settles = step.average is not None or any(isinstance(layer, LearnedGain) for layer in model.modules())
        self._number, self._rehearses = 0, False
        self._images: Tensor | None = None
        self._target: Target | None = None
        self._rate: Tensor | None = None
        self._weight: Tensor | None = None

    def begin(self, plan: Plan) -> None:
        """Takes in an epoch, whose first row is next."""
        super().begin(plan)
        self._number, self._rehearses = 0, False

    def rehearse(self) -> None:
        """The next step keeps all blocks and the one after it none, so that each piece is taken."""
        self._number, self._rehearses = 0, True

    def __call__(self) -> None:
        """The next step, one piece after another."""
        self._take(lambda piece: piece())

    def replayed(self, capture: Capture) -> Callable[[], None]:
        """The step as replays of its pieces, each captured by itself; it has been taken before."""
        replays = {piece: capture(piece) for piece in self._pieces()}
        return lambda: self._take(lambda piece: replays[piece]())

    def clear(self) -> None:
        """Frees the memory of the step, which is not taken any more."""
        super().clear()
        self._parts, self._images, self._target = [], None, None

    def _take(self, run: Callable[[Piece], None]) -> None:
        parts = [kinds[kept] for kinds, kept in zip(self._parts, self._kept(), strict=True)]
        run(self._open)
        for part in parts[1:-1]:
            run(part.forth)
        run(self._end)
        for part in parts[-2:0:-1]:
            if part.learns:
                run(part.back)
        run(self._close)
        for part in parts:
            part.hand_over()
        assert self._rate is not None
        self.step.optimizer.step(self._rate)
        if self._settles:
            run(self._settle)
        self._number += 1

    def _pieces(self) -> Iterator[Piece]:
        """All pieces, in the order in which steps take theirs: then memory that one of them is done with can be that of
        a later one. What is kept comes first, and writes the seams without a copy."""
        inner = self._parts[1:-1]
        yield self._open
        yield from (part.forth for kinds in inner for part in kinds.values())
        yield self._end
        yield from (part.back for kinds in reversed(inner) for part in kinds.values() if part.learns)
        yield self._close
        if self._settles:
            yield self._settle

    def _kept(self) -> Iterator[bool]:
        """Whether the next step keeps each part."""
        blocks = self._depth.row(self._number)
        assert isinstance(blocks, list)
        flags = iter([of_block[0] for of_block in blocks])
        if self._rehearses and self._number < 2:
            flags = iter([self._number == 0] * len(blocks))
        return (len(kinds) == 1 or next(flags) for kinds in self._parts)

    def _open(self) -> None:
        batch, mixer, row = self.drawn()
        self._images, labels, partners, share = mixer(*batch)
        self._target = Target(labels, partners if mixer.mixes else None, share)
        self._rate, self._weight = row["rate"], row.get("weight")
        first = self._parts[0][True]
        first.before.values = self._images
        first.forth()

    def _end(self) -> None:
        last = self._parts[-1][True]
        assert self._images is not None and self._target is not None
        last.backward(self.step.loss_of(last.forward(), self._images, self._target), None)

    def _close(self) -> None:
        first = self._parts[0][True]
        if first.learns:
            first.back()
        self.row += 1

    def _settle(self) -> None:
        self.step.settle(self._weight)


def rows_of(network: nn.Module) -> list[list[nn.Module]]:
    """The layers of a network in the order in which they compute: a row for each block with stochastic depth, and one
    for what stands between two of them. The first and the last row hold no such block, and may be empty."""
    rows: list[list[nn.Module]] = [[]]
    for layer in _layers(network):
        if _branch([layer]) is None:
            rows[-1].append(layer)
        else:
            rows += [[layer], []]
    return [rows[0], *filter(None, rows[1:-1]), rows[-1]]


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if type(child) is nn.Sequential and any(isinstance(part, StochasticDepth) for part in child.modules()):
            yield from _layers(child)
        else:
            yield child


def _branch(row: list[nn.Module]) -> StochasticDepth | None:
    """The branch of a row that is a block with stochastic depth."""
    if len(row) == 1 and isinstance(row[0], ResidualUnit) and isinstance(row[0].branch, StochasticDepth):
        return row[0].branch
    return None
