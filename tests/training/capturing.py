"""What a CUDA graph cannot hold, looked for on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

HOST_READS = {
    "_local_scalar_dense", "item", "nonzero", "nonzero_numpy", "masked_select", "_unique2", "equal", "is_nonzero",
    "bincount",
}  # fmt: skip

# Ops that launch no kernel on a GPU.
VIEWS = {
    "view", "_unsafe_view", "permute", "transpose", "t", "slice", "select", "expand", "as_strided", "unsqueeze",
    "squeeze", "detach", "alias", "unbind", "split", "reshape", "_reshape_alias", "flatten", "split_with_sizes",
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided",
}  # fmt: skip


class Recorded(TorchDispatchMode):
    """Records the ops that are dispatched inside, `trace`, and those that read a value for the host, `reads`."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.trace: list[tuple[str, tuple[tuple[int, ...], ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        result = func(*args, **(kwargs or {}))
        by_mask = name in ("index", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        )
        by_counts = name == "repeat_interleave" and kwargs is not None and kwargs.get("output_size") is None
        if name in HOST_READS or by_mask or (by_counts and func._overloadname == "Tensor"):
            self.reads.append(name)
        shapes = tuple(tuple(leaf.shape) for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        self.trace.append((name, shapes))
        return result

    @property
    def kernels(self) -> int:
        """Ops that launch a kernel on a GPU: about as many kernels."""
        return sum(name not in VIEWS for name, _ in self.trace)


class Tape(TorchDispatchMode):
    """Stands for a CUDA graph: takes down the ops that are dispatched inside, with the tensors that they read and
    write, and repeats them on those very tensors, without Python. What is written meanwhile is not put back."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[tuple[Any, Any, Any, list[tuple[int, Tensor]]]] = []
        self.recorded = Recorded()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = self.recorded.__torch_dispatch__(func, types, args, kwargs)
        shared = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        new = [
            (number, leaf.detach())
            for number, leaf in enumerate(tree_leaves(result))
            if isinstance(leaf, Tensor) and leaf.untyped_storage().data_ptr() not in shared
        ]
        self.ops.append((func, args, kwargs or {}, new))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Carries the ops out again: what they made is written where it was."""
        for func, args, kwargs, new in self.ops:
            leaves = tree_leaves(func(*args, **kwargs))
            for number, tensor in new:
                tensor.copy_(leaves[number])
