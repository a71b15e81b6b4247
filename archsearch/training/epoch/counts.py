"""The number of batches that a batch norm has seen, counted once an epoch: a norm with a momentum does not read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from archsearch.network.build import Network
from archsearch.training.epoch.depth import Depth


@contextmanager
def counted_at_once(model: nn.Module, steps: int, depth: Depth) -> Iterator[None]:
    """Inside, the norms of a `Network` do not count, which is a kernel each a step; what they would have counted in so
    many steps is added at the end, unless an exception ends it. Other networks may call a norm more than once a pass:
    theirs count as ever."""
    layers = model.modules() if isinstance(model, Network) else iter(())
    norms = [norm for norm in layers if type(norm) is nn.BatchNorm2d and norm.training and norm.momentum is not None]
    counts = [(norm, norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None]
    try:
        for norm, _ in counts:
            norm.num_batches_tracked = None
        yield
    finally:
        for norm, count in counts:
            norm.num_batches_tracked = count
    passes = {norm: times for block, times in depth.passes(steps).items() for norm in block.modules()}
    for norm, count in counts:
        count.add_(passes.get(norm, steps * len(depth.parts)))
