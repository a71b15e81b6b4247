"""The pool of memory that CUDA graphs share, on a CPU: what a capture has freed is another's, who overwrites it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.training.capturing import Tape


@dataclass
class Pool:
    """Memory that captured ops made, by its address, which is `freed` as soon as nobody else holds it."""

    held: dict[int, torch.UntypedStorage] = field(default_factory=dict)
    freed: dict[int, None] = field(default_factory=dict)

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self.held.setdefault(storage.data_ptr(), storage)

    def newly_freed(self) -> list[int]:
        """Of which memory nobody has held anything since the last call."""
        addresses = self.held.keys() - self.freed.keys()
        new = [address for address in addresses if torch._C._storage_Use_Count(self.held[address]._cdata) == 1]
        self.freed.update(dict.fromkeys(new))
        return new

    def overwrite(self, addresses: Sequence[int]) -> None:
        """Writes not-a-number into this memory."""
        for address in addresses:
            storage = self.held[address]
            torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,)).fill_(255)


class Held:
    """A tensor in a pool, without holding its memory."""

    def __init__(self, tensor: Tensor) -> None:
        self.address, self.dtype = tensor.untyped_storage().data_ptr(), tensor.dtype
        self.layout = tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())

    def tensor(self, pool: Pool) -> Tensor:
        return torch.empty(0, dtype=self.dtype).set_(pool.held[self.address], *self.layout)


class PooledTape(Tape):
    """A tape whose memory is a pool's. Before each op a replay overwrites what had been freed when that was captured:
    so might any op that is captured later have done."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool, self._freed = pool, list[list[int]]()
        pool.newly_freed()
        self._before = list(pool.freed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._freed.append(self._pool.newly_freed())
        result = super().__torch_dispatch__(func, types, args, kwargs)
        func, args, kwargs, new = self.ops.pop()
        args, kwargs = self._pooled((args, kwargs))
        for _, tensor in new:
            self._pool.add(tensor)
        self.ops.append((func, args, kwargs, [(number, Held(tensor)) for number, tensor in new]))
        return result

    def _pooled(self, tree: Any) -> Any:
        known = self._pool.held
        return tree_map_only(Tensor, lambda t: Held(t) if t.untyped_storage().data_ptr() in known else t, tree)

    @torch.no_grad()
    def replay(self) -> None:
        """Carries the ops out again."""
        self._pool.overwrite(self._before)
        for freed, (func, args, kwargs, new) in zip(self._freed, self.ops, strict=True):
            self._pool.overwrite(freed)
            given, named = tree_map_only(Held, lambda held: held.tensor(self._pool), (args, kwargs))
            leaves = tree_leaves(func(*given, **named))
            for number, held in new:
                held.tensor(self._pool).copy_(leaves[number])


def pooled(pool: Pool) -> Callable[..., Callable[[], None]]:
    """Stands for `capture.captured`, with one pool for all that is captured."""

    def captured(function: Callable[[], object], device: torch.device) -> Callable[[], None]:
        with PooledTape(pool) as tape:
            function()
        return tape.replay

    return captured
