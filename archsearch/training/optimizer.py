"""SGD, with Nesterov's momentum or plain, and AdamW, as torch's fused steps and nothing else; LAMB (see lamb.py).

torch.optim's functions alone: making an object of its classes imports torch's compiler, which takes seconds and a
hundred megabytes in every worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from archsearch.space.settings import TrainingSettings
from archsearch.training.lamb import lamb
from archsearch.training.layers import rate_factors

BETA2, EPSILON = 0.999, 1e-8


class Optimizer:
    """Steps the parameters that need gradients. Those of one dimension (norms, biases) or none do not decay, unless
    `settings.decay_norms_and_biases`; gradients are clipped, all as one vector, to `settings.clip_norm` (Pascanu 2013,
    algorithm 1). A parameter's rate, by which its decay is multiplied too, is the step's times its factor by
    `settings.layer_decay` (see `rate_factors`). Nothing waits for the device.

    A parameter without a gradient, as in a block that stochastic depth drops, is left alone in that step.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings) -> None:
        self.kind, self.momentum = settings.optimizer, settings.momentum
        self.nesterov = settings.nesterov and settings.momentum > 0
        self.clip_norm = settings.clip_norm
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        dimensions = 0 if settings.decay_norms_and_biases else 2
        decays = {name: p.ndim >= dimensions for name, p in self.parameters.items()}
        self.weight_decay = settings.weight_decay
        factors = rate_factors(model, settings.layer_decay) if settings.layer_decay < 1 else {}
        self.factors = tuple(sorted({factors.get(name, 1.0) for name in decays} or {1.0}, reverse=True))
        self._groups: dict[tuple[bool, int], list[str]] = {
            (decay, index): [name for name in decays if decays[name] == decay and factors.get(name, 1.0) == factor]
            for decay in (True, False)
            for index, factor in enumerate(self.factors)
        }
        self.buffers: dict[str, dict[str, Tensor]] = {}
        for name, parameter in self.parameters.items():
            match self.kind:
                case "sgd":
                    # Zeros are a right start: momentum * 0 + gradient is the first step's momentum.
                    self.buffers[name] = {"momentum": torch.zeros_like(parameter, requires_grad=False)}
                case "adamw" | "lamb":
                    self.buffers[name] = {
                        "mean": torch.zeros_like(parameter, requires_grad=False),
                        "square": torch.zeros_like(parameter, requires_grad=False),
                        "steps": torch.zeros((), device=parameter.device),
                    }

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """One step at this learning rate, after which there are no gradients.

        A rate that is a tensor is float64 on a CPU, float32 on a GPU: as torch's fused steps take it. It has no
        dimensions, or where there are other `factors` than 1 one: the rate times each of them.
        """
        rates: Sequence[float | Tensor] = [rate]
        if self.factors != (1.0,):
            rates = rate.unbind() if isinstance(rate, Tensor) else [rate * factor for factor in self.factors]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.clip_norm)
        for (decays, index), names in self._groups.items():
            if stepped := [name for name in names if self.parameters[name].grad is not None]:
                self._step(stepped, rates[index], decays=decays)
        for parameter in self.parameters.values():
            parameter.grad = None

    def _step(self, names: list[str], rate: float | Tensor, *, decays: bool) -> None:
        decay = self.weight_decay if decays else 0.0
        weights: list[Tensor] = [self.parameters[name] for name in names]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        match self.kind:
            case "sgd":
                momenta: list[Tensor | None] = [self.buffers[name]["momentum"] for name in names]
                sgd(
                    weights,
                    gradients,
                    momenta,
                    fused=True,
                    lr=rate,
                    momentum=self.momentum,
                    nesterov=self.nesterov,
                    dampening=0.0,
                    weight_decay=decay,
                    maximize=False,
                )
            case "lamb":
                moments = self._moments(names)
                lamb(weights, gradients, *moments, rate=rate, beta1=self.momentum, decay=decay, adapts=decays)
            case "adamw":
                mean, square, steps = self._moments(names)
                adamw(
                    weights,
                    gradients,
                    mean,
                    square,
                    [],
                    steps,
                    fused=True,
                    lr=rate,
                    beta1=self.momentum,
                    beta2=BETA2,
                    eps=EPSILON,
                    weight_decay=decay,
                    amsgrad=False,
                    maximize=False,
                )

    def _moments(self, names: list[str]) -> Iterator[list[Tensor]]:
        return ([self.buffers[name][key] for name in names] for key in ("mean", "square", "steps"))

    def state(self) -> dict[str, Tensor]:
        """The buffers, each as BUFFER.PARAMETER."""
        return {f"{key}.{name}": value for name, buffers in self.buffers.items() for key, value in buffers.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises ValueError for the state of another network or kind."""
        current = self.state()
        if current.keys() != state.keys() or any(current[key].shape != value.shape for key, value in state.items()):
            raise ValueError("the optimiser's state is of another network or optimiser")
        for key, value in state.items():
            current[key].copy_(value)
