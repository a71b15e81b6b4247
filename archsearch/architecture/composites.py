"""Ops that hold others: `Sequence`, one after another, `Reweight`, attention, and `Unit`, a residual unit's slots.

What training saves of them is what their parts save and, for a unit, a correction: a part states what is saved where
its follower is the usual one, and the unit knows who follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import gcd
from typing import Literal, NamedTuple

from archsearch.architecture.ops import Norm, Op, Parts
from archsearch.architecture.quantities import Saved, Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequence(Op):
    """Ops one after another, each with a name that is unique in its sequence."""

    steps: tuple[tuple[str, Op], ...] = ()

    def shape(self, x: Shape) -> Shape:
        """The last op's output."""
        for _, op in self.steps:
            x = op.shape(x)
        return x

    def parts(self, x: Shape) -> Parts:
        """Each op with what the one before it emits."""
        parts = []
        for name, op in self.steps:
            parts.append((name, op, x))
            x = op.shape(x)
        return tuple(parts)

    def with_parts(self, parts: dict[str, Op]) -> Sequence:
        """Those ops of the same names that are given, and the others."""
        return replace(self, steps=tuple((name, parts.get(name, op)) for name, op in self.steps))

    def saved(self, x: Shape) -> Saved:
        """Nothing besides what its ops save; `extra` are the elements of outputs that are saved, or are not, against
        what the ops presume of their followers (fewer: negative). Of the last op, and of units and sections, nothing.
        """
        extra = 0
        for (_, op, into), (_, follower, y) in pairwise(self.parts(x)):
            if not isinstance(op, (Sequence, Unit)):
                extra += _difference(op, into, y, follower.saved(y).input)
        return Saved(extra=extra)


def named(*ops: Op) -> Sequence:
    """Ops in order, named by what they are: conv1, norm1, relu1, conv2, ..."""
    counts: dict[str, int] = {}
    steps = []
    for op in ops:
        kind = type(op).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        steps.append((f"{kind}{counts[kind]}", op))
    return Sequence(steps=tuple(steps))


def settled(op: Op, x: Shape, eps: float) -> Op:
    """The same op on `x`, in which every norm has this eps, and every group norm groups of equal size: as many as
    divide its channels, but one where each would be a single number."""
    if isinstance(op, Norm):
        groups = gcd(op.groups, x.channels) if op.groups else 0
        return replace(op, eps=eps, groups=1 if groups == x.elements else groups)
    parts = {name: settled(part, into, eps) for name, part, into in op.parts(x)}
    return op.with_parts(parts) if parts else op


@dataclass(frozen=True, kw_only=True, slots=True)
class Reweight(Op):
    """Attention: x times what `weights` makes of it, broadcast over the positions or the channels. Of several paths
    (`radix`), whose channels come one path after another, the products are added."""

    weights: Sequence
    radix: int = 1

    def shape(self, x: Shape) -> Shape:
        """The channels of one path."""
        return x._replace(channels=x.channels // self.radix)

    def parts(self, x: Shape) -> Parts:
        """The weights' ops."""
        return (("weights", self.weights, x),)

    def saved(self, x: Shape) -> Saved:
        """The input, a factor of the product; the weights' last op saves the other factor."""
        return Saved(input=True)


class Draw(NamedTuple):
    """A block's part in a draw of exactly `size` of a network's `blocks`: `block` is its number among them, from 1."""

    block: int
    blocks: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit(Op):
    """A residual unit: x -> after(join(shortcut(s), gain * branch(s))), with s = shared(x).

    With h the shortcut and F the branch, the join is `replace`: F (plain); `add`: h + F (residual); `concat`:
    concat[h[:r] + F[:r], h[r:], F[r:]] with r = `residual` channels (dense: r = 0; dual path: r > 0).
    A gate g = sigmoid(gate(s)) makes `add` g * F + (1 - g) * h where `gated` is both, F + (1 - g) * h where it is
    shortcut. Where `shared` is empty both sides read x itself. While training, the branch is kept with
    probability `survival`, drawn once a batch or once a sample, by itself or, with `survival_draw`, together with the
    network's other blocks; to make up for it, it is scaled by `survival` at test, or divided by it in training.
    """

    branch: Sequence
    shared: Sequence = Sequence()
    shortcut: Sequence = Sequence()
    gate: Sequence = Sequence()
    gain: Sequence = Sequence()
    after: Sequence = Sequence()
    join: Literal["replace", "add", "concat"] = "add"
    residual: int = 0
    gated: Literal["none", "both", "shortcut"] = "none"
    shortcut_scale: float = 1.0
    branch_scale: float = 1.0
    survival: float = 1.0
    survival_per: Literal["batch", "sample"] = "batch"
    survival_rescale: Literal["test", "train"] = "test"
    survival_draw: Draw | None = None

    def joined(self, x: Shape) -> Shape:
        """What the join emits."""
        s = self.shared.shape(x)
        y = self.branch.shape(s)
        if self.join != "concat":
            return y
        return y._replace(channels=self.shortcut.shape(s).channels + y.channels - self.residual)

    def shape(self, x: Shape) -> Shape:
        """What `after` makes of the join."""
        return self.after.shape(self.joined(x))

    def parts(self, x: Shape) -> Parts:
        """The slots that are filled."""
        s = self.shared.shape(x)
        slots: Parts = (
            ("shared", self.shared, x),
            ("branch", self.branch, s),
            ("shortcut", self.shortcut, s),
            ("gate", self.gate, s),
            ("gain", self.gain, self.branch.shape(s)),
            ("after", self.after, self.joined(x)),
        )
        return tuple(slot for slot in slots if slot[1] != Sequence())

    def saved(self, x: Shape) -> Saved:
        """The join's result, what gates and scales make, and outputs of the parts that are saved, or are not, against
        what those parts presume (fewer: negative). Whoever reads the unit's output is taken to be a unit alike.
        """
        s = self.shared.shape(x)
        f, h, joined = self.branch.shape(s), self.shortcut.shape(s), self.joined(x)
        reads = self._reads_its_input(x, s)
        result = _reads(self.after, joined) if self.after.steps else reads
        gated, scaled, residual = self.gated != "none", self._scaled(), self.join != "replace"
        factor = self.gated == "both" or (not residual and result)  # whether the branch's last tensor is read
        extra = scaled * factor * f.elements
        extra += gated * (1 + (self.shortcut_scale != 1.0)) * h.elements  # 1 - g, and the scaled shortcut
        extra += residual * result * joined.elements
        last = factor and not scaled  # where nothing scales it, that is the gain's, or the branch's own
        extra += correction(self.shared, x, True)
        extra += correction(self.branch, s, bool(self.gain.steps) or last)
        extra += correction(self.gain, f, last)
        extra += correction(self.shortcut, s, gated and self.shortcut_scale == 1.0)
        extra += correction(self.gate, s, True)
        extra += correction(self.after, joined, reads)
        return Saved(input=reads, extra=extra)

    def _reads_its_input(self, x: Shape, s: Shape) -> bool:
        """Whether some slot that reads the unit's input saves it."""
        if self.shared.steps:
            return _reads(self.shared, x)
        return _reads(self.branch, s) or _reads(self.shortcut, s) or _reads(self.gate, s)

    def _scaled(self) -> bool:
        """Whether training multiplies the branch by a number, or by one a sample."""
        drops = self.survival != 1.0 and (self.survival_per == "sample" or self.survival_rescale == "train")
        return self.branch_scale != 1.0 or drops


def _reads(sequence: Sequence, x: Shape) -> bool:
    """Whether the first op of a sequence saves its input."""
    return bool(sequence.steps) and sequence.steps[0][1].saved(x).input


def correction(sequence: Sequence, x: Shape, read: bool) -> int:
    """The elements of a sequence's output where they are saved, less what its last op presumes. `read`: whether whoever
    takes the output saves it."""
    return _difference(sequence.steps[-1][1], x, sequence.shape(x), read) if sequence.steps else 0


def _difference(op: Op, x: Shape, y: Shape, read: bool) -> int:
    """The elements of what `op` emits, `y`, where they are saved, less what it presumes."""
    saved = op.saved(x)
    return ((saved.output or read) - saved.output_presumed) * y.elements
