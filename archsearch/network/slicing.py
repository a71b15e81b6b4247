"""Which output channels of a trained layer matter most, and its weights for some of its channels.

Channels are given as indices of the trained layer's, in the order in which the smaller one has them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archsearch.architecture.composites import Reweight, Sequence
from archsearch.architecture.mixing import Paths
from archsearch.architecture.ops import Conv, Linear, Norm, Op
from archsearch.architecture.quantities import Shape
from archsearch.reading.errors import refuse

Groups = tuple[int, int]  # of a convolution: in the trained network, in the smaller one


def mixes(op: Op) -> bool:
    """Whether an op has several paths, whose channels cannot be cut."""
    return isinstance(op, Paths) or (isinstance(op, Reweight) and op.radix > 1)


def writer(sequence: Sequence) -> int | None:
    """The index of the last op of a sequence that makes channels anew; None where no op does."""
    writers = [index for index, (_, op) in enumerate(sequence.steps) if isinstance(op, Conv | Linear) or mixes(op)]
    return writers[-1] if writers else None


def reader(sequence: Sequence, index: int) -> tuple[str, Conv] | None:
    """Name and op of the convolution that reads what a sequence's layer emits; None where no op, or paths, do."""
    following = ((name, op) for name, op in sequence.steps[index + 1 :] if isinstance(op, Conv | Linear) or mixes(op))
    name, op = next(following, ("", None))
    return (name, op) if isinstance(op, Conv) else None


def scores(sequence: Sequence, index: int, path: str, weights: Mapping[str, Tensor]) -> Tensor:
    """How much each output channel of a sequence's convolution or linear layer matters, of mean 1: the scale of the
    norm behind it (Liu 2017, arXiv:1708.06519), or else the L1 norm of its filter (Li 2017, arXiv:1608.08710); times
    the L1 norm of the weights by which the sequence's next convolution reads it."""
    value = weights[f"{path}.{sequence.steps[index][0]}.weight"].abs().flatten(1).sum(1)
    following = sequence.steps[index + 1 :]
    if following and isinstance(following[0][1], Norm):
        value = weights[f"{path}.{following[0][0]}.weight"].abs()
    if reading := reader(sequence, index):
        filters = weights[f"{path}.{reading[0]}.weight"].abs().sum((2, 3))
        value = value * filters.view(reading[1].groups, -1, filters.shape[1]).sum(1).flatten()
    return value / value.mean().clamp_min(1e-12)


def best(scores: Tensor, count: int, path: str, groups: Groups = (1, 1)) -> Tensor:
    """The `count` channels with the highest scores, in rising order. `groups`, of the convolution that reads them: as
    many from each of the best groups. Raises InputError for more than there are."""
    larger, smaller = scores.view(groups[0], -1), groups[1]
    if smaller > len(larger) or count > smaller * larger.shape[1]:
        available = f"{len(scores)}" + (f" in {groups[0]} groups" if groups[0] > 1 else "")
        required = f"{count} channels" + (f" in {smaller} groups" if max(groups) > 1 else "")
        raise refuse(f"{path}: {required}", allowed=f"the trained network's {available}, or fewer")
    channels = _highest(larger, count // smaller)
    chosen = _highest(larger.gather(1, channels).sum(1)[None], smaller)[0]
    return _numbered(channels[chosen], chosen, larger.shape[1])


def best_behind(scores: Tensor, count: int, inputs: Tensor, channels: int, groups: Groups, path: str) -> Tensor:
    """The `count` channels with the highest scores that a grouped convolution emits, as many from each of the groups
    that its `inputs`, of so many channels, belong to."""
    larger = scores.view(groups[0], -1)
    chosen = inputs.view(groups[1], -1)[:, 0] // (channels // groups[0])
    if count > groups[1] * larger.shape[1]:
        raise refuse(f"{path}: {count} channels in {groups[1]} groups", allowed=f"groups of {larger.shape[1]} or fewer")
    return _numbered(_highest(larger[chosen], count // groups[1]), chosen, larger.shape[1])


def _highest(scores: Tensor, count: int) -> Tensor:
    """In each row the indices of the highest, in rising order; of equal scores the first."""
    return scores.argsort(dim=1, descending=True, stable=True)[:, :count].sort(1).values


def _numbered(channels: Tensor, groups: Tensor, size: int) -> Tensor:
    """Channels (G, n), counted within these groups (G,) of so many channels, counted through."""
    return (channels + groups[:, None] * size).flatten()


def padded(rows: Tensor, into: int, scores: Tensor, count: int, path: str) -> Tensor:
    """The channels behind a shortcut without weights, which passes on `rows` of the trained network's `into` channels
    and pads with zeros or cuts off: those, then the best others, first of those that are zeros there."""
    kept = rows[:count]
    if (kept >= len(scores)).any():
        raise refuse(
            f"{path}: its shortcut has channels that the trained network cuts off", allowed="a width as before"
        )
    ranked = scores + (torch.arange(len(scores)) >= into) * (scores.max() + 1)
    ranked[kept] = -1
    return torch.cat([kept, best(ranked, count - len(kept), path)])


def filters(weight: Tensor, inputs: Tensor, outputs: Tensor, groups: Groups, path: str) -> Tensor:
    """A convolution's filters for these of its channels. Raises InputError where its groups would read or write other
    channels than in the trained network."""
    larger, smaller = groups
    into, out = weight.shape[1], len(weight) // larger
    whole = smaller <= larger and len(inputs) % smaller == len(outputs) % smaller == 0
    reads, writes = (inputs.view(smaller, -1), outputs.view(smaller, -1)) if whole else (inputs, outputs)
    if not whole or (reads // into != reads[:, :1] // into).any() or (writes // out != reads[:, :1] // into).any():
        raise refuse(f"{path}: {smaller} groups of other channels", allowed=f"{larger} groups or fewer, none wider")
    columns = (reads % into).repeat_interleave(writes.shape[1], 0)
    return weight[outputs].gather(1, columns[:, :, None, None].expand(-1, -1, *weight.shape[2:]))


def flattened(rows: Tensor, map_: Shape) -> Tensor:
    """Of a flattened map the numbers that belong to these channels."""
    positions = map_.height * map_.width
    return (rows[:, None] * positions + torch.arange(positions)).flatten()
