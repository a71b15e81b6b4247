"""The exponential moving average of a training's weights, a whole network at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """average <- average + (1 - d) * (weights - average) after each step (Polyak & Juditsky 1992; as Tan & Le 2019).

    d = min(decay, (1 + n) / (10 + n)) at update n = 0, 1, ..: about the last ninth of the steps so far, until `decay`
    remembers less than that; so a short training is averaged over its own end, not over its start.

    Everything of floating point in the network's state is averaged: the weights, and the running means and variances of
    the norms, which so are those of about the same steps. Whole numbers, such as a norm's count of batches, are the
    model's own.
    The model itself trains on, and is changed only within `applied`. No call but `restore` waits for the device.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Raises ValueError for a decay outside of (0, 1)."""
        if not 0 < decay < 1:
            raise ValueError(f"the average's decay is {decay}; allowed: above 0 and below 1")
        self.decay, self.updates = decay, 0
        state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self._live = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self._integers = {name: tensor for name, tensor in state.items() if name not in self._live}
        with torch.inference_mode(False):
            self._average = {name: tensor.clone() for name, tensor in self._live.items()}
        self._from, self._into = list(self._live.values()), list(self._average.values())

    def weight(self, update: int) -> float:
        """1 - d of this update, counted from 0."""
        return 1 - min(self.decay, (1 + update) / (10 + update))

    @torch.no_grad()
    def update(self, weight: Tensor | None = None) -> None:
        """Takes in the weights as they are now; called after each step of the optimiser. A `weight`, float32 without
        dimensions on the device, is that of this update, which the caller then counts in `updates`."""
        if weight is None:
            torch._foreach_lerp_(self._into, self._from, self.weight(self.updates))
            self.updates += 1
        elif weight.device.type == "cpu":
            torch._foreach_lerp_(self._into, self._from, [weight] * len(self._into))
        else:
            self._move(weight)

    def _move(self, weight: Tensor) -> None:
        """The same in three kernels, where a weight that is a tensor would take one for each tensor."""
        changes = torch._foreach_sub(self._from, self._into)
        torch._foreach_mul_(changes, weight)
        torch._foreach_add_(self._into, changes)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model holds the average; afterwards its own weights again, also after an exception.

        Values are copied, not exchanged, so that every tensor stays where it lies (CUDA graphs). Not to be nested.
        """
        with torch.no_grad():
            weights = [tensor.clone() for tensor in self._from]
            torch._foreach_copy_(self._from, self._into)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._from, weights)

    def weights(self) -> dict[str, Tensor]:
        """The average by the names of the model's state_dict: the weights to hand over. Not copies."""
        return {**self._integers, **self._average}

    def state(self) -> dict[str, Tensor]:
        """The average, each as weights.NAME, and `updates`."""
        return {
            "updates": torch.tensor(self.updates),
            **{f"weights.{name}": tensor for name, tensor in self._average.items()},
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises ValueError for the state of another network."""
        current = self.state()
        if current.keys() != state.keys() or any(current[key].shape != value.shape for key, value in state.items()):
            raise ValueError("the state of the average is of another network")
        self.updates = int(state["updates"])
        for name, tensor in self._average.items():
            tensor.copy_(state[f"weights.{name}"])
