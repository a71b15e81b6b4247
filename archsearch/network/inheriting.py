"""A smaller network's first weights, cut out of a trained one: the blocks and the channels that matter most.

The plans of both are walked side by side. What is passed along (`rows`) is, for each channel of the child, the channel
of the parent that it is; each tensor is an index into the parent's, and where nothing was cut it is that, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

import torch
from torch import Tensor

from archsearch.architecture.composites import Reweight, Sequence, Unit
from archsearch.architecture.ops import (
    ChannelMlp,
    ChannelStatistics,
    Conv,
    Flatten,
    LayerScale,
    Linear,
    Norm,
    PadShortcut,
)
from archsearch.architecture.plan import plan
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Architecture
from archsearch.network.build import Network, skeleton
from archsearch.network.pairs import Pair
from archsearch.network.published import check
from archsearch.network.slicing import best, best_behind, filters, flattened, mixes, padded, reader, scores, writer
from archsearch.reading.errors import refuse

UNIT = ("join", "gated", "shortcut_scale", "branch_scale")  # fields in which units agree
Importance = Mapping[tuple[int, int], float]  # (stage, block), from 1: how much worse the network is without it


def inherit(parent: Network, child: Architecture, importance: Importance | None = None) -> dict[str, Tensor]:
    """The state dict of a network of `child`, whose stages are no deeper and no wider than those of the trained parent.

    A stage keeps its first block and the most important others (evenly spaced ones where no importance is given); its
    channels are the same in all blocks that shortcuts connect. Channels rank by the scales of the norms behind their
    convolutions, or by the L1 norms of the filters, and by the weights that read them. Tensors are copies, on the CPU.
    Raises InputError for a child that is no part of its parent, and where channels cannot be cut: in the paths of split
    or selective attention and of Res2Net, and in ECA where its kernel would be another.
    """
    larger = parent.architecture
    if (child.classes, child.input[0]) != (larger.classes, larger.input[0]):
        raise refuse(
            f"{child.input[0]} input channels and {child.classes} classes",
            allowed=f"those of the trained network, {larger.input[0]} and {larger.classes}",
        )
    state = {name: tensor.detach().cpu() for name, tensor in parent.state_dict().items()}
    weights = _Inheritance(state, importance).network(larger, child)
    check(weights, skeleton(child).state_dict(), what=child.name or "the smaller network")
    return weights


class _Inheritance:
    """Of the weights of a trained network those that a smaller one has, by the smaller one's names: `result`."""

    def __init__(self, weights: dict[str, Tensor], importance: Importance | None) -> None:
        self.weights, self.importance = weights, importance
        self.result: dict[str, Tensor] = {}

    def network(self, parent: Architecture, child: Architecture) -> dict[str, Tensor]:
        """Stem, stages and head."""
        larger, smaller = (list(plan(network).parts(Shape(*network.input))) for network in (parent, child))
        if len(larger) != len(smaller):
            raise refuse(f"{len(child.stages)} stages", allowed=f"{len(parent.stages)}, as in the trained network")
        pairs = [Pair(*old, *new) for old, new in zip(larger, smaller, strict=True)]
        stages = [self._sections(pair, number) for number, pair in enumerate(pairs[1:-1], start=1)]
        streams = [self._stream(sections) for sections in stages]
        rows = self._stem(pairs[0], stages[0][0], streams[0], torch.arange(child.input[0]))
        for sections, stream in zip(stages, streams, strict=True):
            for section in sections:
                if isinstance(section.op, Unit):
                    rows = self._unit(section, rows, stream)
                else:
                    rows = self._sequence(section, rows, self._entered(section, stream))
        self._sequence(pairs[-1], rows)
        return self.result

    def _sections(self, stage: Pair, number: int) -> list[Pair]:
        """Entry, blocks and exit of a stage of the child, each with the parent's."""
        larger, smaller = {part[0]: part for part in stage.op.parts(stage.x)}, stage.child.parts(stage.child_x)
        depth, count = (sum(name.startswith("block") for name in names) for names in (larger, [p[0] for p in smaller]))
        if count > depth:
            raise refuse(f"{stage.child_path}: {count} blocks", allowed=f"the trained network's {depth}, or fewer")
        chosen = iter(self._chosen(number, depth, count))
        pairs = []
        for part in smaller:
            name = f"block{next(chosen)}" if part[0].startswith("block") else part[0]
            if name not in larger:
                raise stage.differs()
            pairs.append(stage.part(larger[name], part))
        if len(larger) - depth != len(smaller) - count:
            raise stage.differs()
        return pairs

    def _chosen(self, stage: int, depth: int, count: int) -> list[int]:
        """The numbers of the blocks that stay, from 1."""
        if self.importance is None:
            return [1 + index * (depth - 1) // max(1, count - 1) for index in range(count)]
        without = {block: self.importance.get((stage, block), inf) for block in range(2, depth + 1)}
        return sorted([1, *sorted(without, key=lambda block: -without[block])[: count - 1]])

    def _stream(self, sections: list[Pair]) -> Tensor | None:
        """How much each channel matters that the blocks of a stage add to, by all that writes it; None in dense stages,
        whose blocks append channels of their own."""
        width = max(_width(section.op, section.x) for section in sections if isinstance(section.op, Unit))
        if not width:
            return None
        total = torch.zeros(width)
        for section in sections:
            op = section.op
            slots = {".branch": op.branch, ".shortcut": op.shortcut} if isinstance(op, Unit) else {"": op}
            for name, slot in slots.items():
                assert isinstance(slot, Sequence)
                last = writer(slot)
                if last is not None and not mixes(slot.steps[last][1]):
                    total = total + scores(slot, last, section.path + name, self.weights)[:width]
        return total

    def _stem(self, stem: Pair, first: Pair, stream: Tensor | None, rows: Tensor) -> Tensor:
        """The stem; its channels are the first stage's too where no weights stand in the first block's shortcut."""
        assert isinstance(stem.op, Sequence)
        last = writer(stem.op)
        assert last is not None, "a stem has a convolution"
        value = scores(stem.op, last, stem.path, self.weights)
        shared = isinstance(first.op, Unit) and writer(first.op.shortcut) is None
        if shared and stream is not None and len(stream) == len(value):
            value = value + stream
        return self._sequence(stem, rows, best(value, stem.child.shape(stem.child_x).channels, stem.child_path))

    def _entered(self, section: Pair, stream: Tensor | None) -> Tensor | None:
        """The channels of a stage's entry, which its blocks add to; None where the entry has none of its own, or the
        blocks are dense."""
        assert isinstance(section.op, Sequence)
        if stream is None or writer(section.op) is None:
            return None
        return best(stream, section.child.shape(section.child_x).channels, section.child_path)

    def _unit(self, pair: Pair, rows: Tensor, stream: Tensor | None) -> Tensor:
        """A block: what its join emits is added to the shortcut's channels, or appended to them."""
        op, child = pair.op, pair.child
        assert isinstance(op, Unit)
        if not isinstance(child, Unit) or any(getattr(op, name) != getattr(child, name) for name in UNIT):
            raise pair.differs()
        s, child_s = op.shared.shape(pair.x), child.shared.shape(pair.child_x)

        def slot(name: str, x: Shape = s, child_x: Shape = child_s) -> Pair:
            return pair.part((name, getattr(op, name), x), (name, getattr(child, name), child_x))

        rows = self._sequence(slot("shared", pair.x, pair.child_x), rows)
        width, count = _width(op, pair.x), _width(child, pair.child_x)
        added = rows[:0] if stream is None else self._added(pair, rows, stream, width, count)
        emitted = self._with_appended(slot("branch"), added, width)
        assert emitted is not None, "a branch has a convolution"
        through = self._sequence(slot("shortcut"), rows, self._with_appended(slot("shortcut"), added, width))
        self._sequence(slot("gate"), rows, added)
        self._sequence(slot("branch"), rows, emitted)
        self._sequence(slot("gain", op.branch.shape(s), child.branch.shape(child_s)), emitted)
        joined = added
        if op.join == "concat":
            appended = emitted[count:] - width + op.shortcut.shape(s).channels
            joined = torch.cat([added, through[count:], appended])
        return self._sequence(slot("after", op.joined(pair.x), child.joined(pair.child_x)), joined)

    def _added(self, pair: Pair, rows: Tensor, stream: Tensor, width: int, count: int) -> Tensor:
        """The channels that a block adds to its shortcut's: those of its input, unless weights or padding make others
        of them."""
        op, child = pair.op, pair.child
        assert isinstance(op, Unit)
        assert isinstance(child, Unit)
        pads = [pad for unit in (op, child) for _, pad in unit.shortcut.steps if isinstance(pad, PadShortcut)]
        if len(pads) == 2 and replace(pads[0], out=pads[1].out) != pads[1]:
            raise pair.differs()
        keeps_shape = op.shared.shape(pair.x) == op.joined(pair.x) and count == len(rows)
        if writer(op.shortcut) is not None or (op.join == "replace" and not keeps_shape):
            return best(stream, count, pair.child_path)
        return padded(rows, pair.x.channels, stream, count, pair.child_path)

    def _with_appended(self, slot: Pair, added: Tensor, width: int) -> Tensor | None:
        """The channels that a branch or a shortcut emits: those that are added, then the best that are appended; None
        where no weights of it make channels."""
        assert isinstance(slot.op, Sequence)
        last = writer(slot.op)
        more = slot.child.shape(slot.child_x).channels - len(added)
        if last is None or not more:
            return None if last is None else added
        if mixes(slot.op.steps[last][1]):
            return torch.arange(slot.op.shape(slot.x).channels)
        value = scores(slot.op, last, slot.path, self.weights)[width:]
        return torch.cat([added, width + best(value, more, slot.child_path)])

    def _sequence(self, pair: Pair, rows: Tensor, emitted: Tensor | None = None) -> Tensor:
        """Ops one after another; the last layer's channels are `emitted`, those of the others the best."""
        assert isinstance(pair.op, Sequence)
        last = writer(pair.op)
        numbers = {name: number for number, (name, _) in enumerate(pair.op.steps)}
        for part in pair.parts():
            part.agree()
            number = numbers[part.path.rpartition(".")[2]]
            if isinstance(part.op, Conv | Linear):
                required = emitted if number == last else None
                rows = self._layer(part, rows, self._best(pair, part, number, rows) if required is None else required)
            else:
                rows = self._op(part, rows)
        if emitted is not None and last is not None and not torch.equal(rows, emitted):
            raise pair.differs()
        return rows

    def _best(self, pair: Pair, part: Pair, number: int, rows: Tensor) -> Tensor:
        """The channels of a layer that nothing else reads than the sequence's next one."""
        assert isinstance(pair.op, Sequence)
        assert isinstance(pair.child, Sequence)
        value, count = scores(pair.op, number, pair.path, self.weights), part.child.shape(part.child_x).channels
        if isinstance(part.op, Conv) and isinstance(part.child, Conv) and part.op.groups > 1:
            groups = part.op.groups, part.child.groups
            return best_behind(value, count, rows, part.x.channels, groups, part.child_path)
        larger, smaller = (
            (reading[1].groups if (reading := reader(one, number)) else 1) for one in (pair.op, pair.child)
        )
        return best(value, count, part.child_path, (larger, smaller))

    def _layer(self, part: Pair, rows: Tensor, emitted: Tensor) -> Tensor:
        """A convolution or a linear layer that reads `rows`."""
        weight = self.weights[f"{part.path}.weight"]
        if isinstance(part.op, Conv) and isinstance(part.child, Conv):
            groups = part.op.groups, part.child.groups
            weight = filters(weight, rows, emitted, groups, part.child_path)
        else:
            weight = weight[emitted][:, rows]
        self.result[f"{part.child_path}.weight"] = weight
        if (bias := self.weights.get(f"{part.path}.bias")) is not None:
            self.result[f"{part.child_path}.bias"] = bias[emitted]
        return emitted

    def _op(self, part: Pair, rows: Tensor) -> Tensor:
        """An op that makes no channels anew."""
        match part.op:
            case Flatten():
                if part.x[1:] != part.child_x[1:]:
                    raise part.differs()
                return flattened(rows, part.x)
            case ChannelStatistics():
                return torch.arange(2)
            case Norm() | LayerScale():
                self._copy(part, rows)
            case ChannelMlp():
                self._mlp(part, rows)
            case Reweight(radix=1, weights=weights) if isinstance(part.child, Reweight) and part.child.radix == 1:
                inside = part.part(("weights", weights, part.x), ("weights", part.child.weights, part.child_x))
                each = weights.shape(part.x).channels == part.x.channels
                self._sequence(inside, rows, rows if each else None)
            case _:
                return self._whole(part, rows)
        return rows

    def _copy(self, part: Pair, rows: Tensor | None) -> None:
        """The tensors of an op: of these channels, those that have as many; all of them where `rows` is None."""
        for name, tensor in self.weights.items():
            if name.startswith(f"{part.path}."):
                value = tensor.clone() if rows is None or not tensor.ndim else tensor[rows]
                self.result[part.child_path + name[len(part.path) :]] = value

    def _mlp(self, part: Pair, rows: Tensor) -> None:
        """CBAM's, whose hidden channels are the best ones."""
        assert isinstance(part.child, ChannelMlp)
        first, second = (self.weights[f"{part.path}.mlp.{layer}.weight"] for layer in (0, 2))
        value = first.abs().sum(1) * second.abs().sum(0)
        hidden = best(value, part.child.hidden, part.child_path)
        for layer, tensor in (("0.weight", first[hidden][:, rows]), ("2.weight", second[rows][:, hidden])):
            self.result[f"{part.child_path}.mlp.{layer}"] = tensor
        for layer, index in (("0.bias", hidden), ("2.bias", rows)):
            self.result[f"{part.child_path}.mlp.{layer}"] = self.weights[f"{part.path}.mlp.{layer}"][index]

    def _whole(self, part: Pair, rows: Tensor) -> Tensor:
        """An op that has no weights, or the same for any number of channels; and paths, of which nothing is cut."""
        if mixes(part.op) and (part.op != part.child or not torch.equal(rows, torch.arange(part.x.channels))):
            raise refuse(
                f"{part.child_path}: the channels of several paths cannot be cut",
                allowed="a width and a bottleneck_ratio that leave them as they are",
            )
        self._copy(part, None)
        return torch.arange(part.op.shape(part.x).channels) if mixes(part.op) else rows


def _width(unit: Unit, x: Shape) -> int:
    """The channels that a block adds to its shortcut's; 0 for a dense one."""
    return unit.residual if unit.join == "concat" else unit.joined(x).channels
