"""A built network as a row of steps: stem, entries, blocks, exits, head, one after another, each with its work.

A row can be walked in other ways than its own: blocks reduced to their shortcut, left out, or in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal

from torch import Tensor, nn

from archsearch.architecture.block import Block
from archsearch.architecture.composites import Unit
from archsearch.architecture.cost import Shape, total
from archsearch.architecture.ops import Op
from archsearch.architecture.plan import plan
from archsearch.network.build import Network
from archsearch.network.units import PlainUnit, ResidualUnit, joined

Part = Literal["whole", "shortcut"]
Move = tuple[int, Part]  # (number of a step, what of it is computed)
Variant = tuple[Move, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A part of a network that the next one reads: its dotted path, its module, its shapes, its work.

    `stage` and `block` count from 1, and are 0 where the step is none; `flops` are fvcore's of the whole step, and of a
    block `branch_flops` those without which its shortcut does.
    """

    path: str
    module: nn.Module
    input: Shape
    output: Shape
    flops: int
    params: int
    stage: int = 0
    block: int = 0
    branch_flops: int = 0
    words: Block | None = None

    @property
    def is_block(self) -> bool:
        """Whether it is one of a stage's blocks."""
        return self.block > 0

    @property
    def changes_shape(self) -> bool:
        """Whether it emits another shape than it reads."""
        return self.input != self.output

    @property
    def has_shortcut(self) -> bool:
        """Whether something is left of the block without its branch."""
        return self.is_block and not isinstance(self.module, PlainUnit)

    @property
    def can_be_cut(self) -> bool:
        """Whether the network can be computed without the block's branch: by its shortcut, or, of a block that has
        none, by leaving it out, which keeps the shape."""
        return self.is_block and (self.has_shortcut or not self.changes_shape)

    def __call__(self, x: Tensor, part: Part = "whole") -> Tensor:
        """What the step emits for x (N, C, H, W); by its shortcut alone where `part` says so."""
        unit = self.module
        if part == "whole":
            return unit(x)  # type: ignore[no-any-return]
        if isinstance(unit, PlainUnit) or not isinstance(unit, ResidualUnit):
            return x
        return unit.after(joined(unit, unit.shared(x), None))  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Row:
    """The steps of a network, in order."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, network: Network) -> Row:
        """The network's; its modules are used as they are."""
        architecture = network.architecture
        steps: list[Step] = []
        for name, op, x in plan(architecture).parts(Shape(*architecture.input)):
            number = int(name.removeprefix("stage")) if name.startswith("stage") else 0
            module = network.get_submodule(name)
            inside = op.parts(x) if number else ((name, op, x),)
            words = architecture.stages[number - 1].block if number else None
            for part, part_op, into in inside:
                steps.append(_step(part, part_op, into, module if not number else module.get_submodule(part),
                                   stage=number, words=words))  # fmt: skip
        return cls(tuple(steps))

    @cached_property
    def whole(self) -> Variant:
        """The network as it is."""
        return tuple((number, "whole") for number in range(len(self.steps)))

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """The numbers of the steps that are blocks."""
        return tuple(number for number, step in enumerate(self.steps) if step.is_block)

    def without(self, blocks: Sequence[int]) -> Variant:
        """The network with these blocks (numbers of steps) reduced to their shortcut."""
        cut = set(blocks)
        return tuple((number, "shortcut" if number in cut else part) for number, part in self.whole)

    def in_order(self, order: Sequence[int]) -> Variant:
        """The network with its steps in this order."""
        return tuple((number, "whole") for number in order)

    def outputs(self, variants: Sequence[Variant], x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(number of a variant, its scores (N, classes)) for each, in an order of its own. What variants begin with
        alike is computed once: their moves are walked as a tree, with one tensor in memory a branching."""
        yield from self._walk(x, list(range(len(variants))), variants, 0)

    def _walk(
        self, x: Tensor, members: list[int], variants: Sequence[Variant], depth: int
    ) -> Iterator[tuple[int, Tensor]]:
        while True:
            ended = [member for member in members if len(variants[member]) == depth]
            for member in ended:
                yield member, x
            groups = _grouped([member for member in members if len(variants[member]) > depth], variants, depth)
            if len(groups) != 1:
                break
            ((move, members),) = groups.items()
            x, depth = self.steps[move[0]](x, move[1]), depth + 1
        for (number, part), group in groups.items():
            yield from self._walk(self.steps[number](x, part), group, variants, depth + 1)

    def work(self, variants: Sequence[Variant]) -> tuple[int, int]:
        """(FLOPs an image of `outputs` for all these variants, FLOPs of computing each from the image on)."""
        alone = sum(self._flops(move) for variant in variants for move in variant)
        shared, members = 0, [list(range(len(variants)))]
        for depth in range(max(map(len, variants), default=0)):
            groups = [_grouped([m for m in group if len(variants[m]) > depth], variants, depth) for group in members]
            shared += sum(self._flops(move) for moves in groups for move in moves)
            members = [group for moves in groups for group in moves.values()]
        return shared, alone

    def _flops(self, move: Move) -> int:
        step = self.steps[move[0]]
        return step.flops - (step.branch_flops if move[1] == "shortcut" else 0)

    def alike(self) -> list[list[int]]:
        """Blocks of one stage that read and emit one shape, so that they can change places; groups of two or more."""
        kinds = [
            list(group)
            for _, group in groupby(
                self.blocks, key=lambda n: (self.steps[n].stage, self.steps[n].input, self.steps[n].output)
            )
        ]
        return [group for group in kinds if len(group) > 1 and not self.steps[group[0]].changes_shape]


def _grouped(members: Sequence[int], variants: Sequence[Variant], depth: int) -> dict[Move, list[int]]:
    groups: dict[Move, list[int]] = {}
    for member in members:
        groups.setdefault(variants[member][depth], []).append(member)
    return groups


def _step(name: str, op: Op, x: Shape, module: nn.Module, *, stage: int, words: Block | None) -> Step:
    counted = total(op, x)
    is_block = isinstance(op, Unit)
    branch = 0
    if isinstance(op, Unit):
        s = op.shared.shape(x)
        slots = (op.branch, op.gain) if op.join != "replace" else (op.shared, op.branch, op.gain, op.after)
        inputs = (s, op.branch.shape(s)) if op.join != "replace" else (x, s, op.branch.shape(s), op.joined(x))
        branch = sum(total(slot, into).flops for slot, into in zip(slots, inputs, strict=True))
    return Step(
        path=f"stage{stage}.{name}" if stage else name,
        module=module,
        input=x,
        output=op.shape(x),
        flops=counted.flops,
        params=counted.params,
        stage=stage,
        block=int(name.removeprefix("block")) if is_block else 0,
        branch_flops=branch,
        words=words if is_block else None,
    )
