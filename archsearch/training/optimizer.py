"""SGD, with Nesterov's momentum or plain, and AdamW, as torch's fused steps and nothing else.

torch.optim would do the same arithmetic, but its first use imports torch's compiler: seconds, and a hundred
megabytes, in every worker. The kernels are the ones that torch.optim calls for `fused=True`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archsearch.space.settings import TrainingSettings

BETA2, EPSILON = 0.999, 1e-8


class Optimizer:
    """Steps the parameters that need gradients. Those of one dimension (norms, biases) or none do not decay, unless
    `settings.decay_norms_and_biases`; gradients are clipped, all as one vector, to `settings.clip_norm` (Pascanu 2013,
    algorithm 1). Nothing waits for the device.

    A parameter without a gradient, as in a block that stochastic depth drops, is left alone in that step.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings) -> None:
        self.kind, self.momentum, self.decay = settings.optimizer, settings.momentum, settings.weight_decay
        self.nesterov = settings.nesterov and settings.momentum > 0
        self.fewest_dimensions = 0 if settings.decay_norms_and_biases else 2
        self.clip_norm = settings.clip_norm
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.buffers: dict[str, dict[str, Tensor]] = {}
        for name, parameter in self.parameters.items():
            match self.kind:
                case "sgd":
                    # Zeros are a right start: momentum * 0 + gradient is the first step's momentum.
                    self.buffers[name] = {"momentum": torch.zeros_like(parameter, requires_grad=False)}
                case "adamw":
                    self.buffers[name] = {
                        "mean": torch.zeros_like(parameter, requires_grad=False),
                        "square": torch.zeros_like(parameter, requires_grad=False),
                        "steps": torch.zeros((), device=parameter.device),
                    }

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step at this learning rate, after which there are no gradients."""
        stepped = {name: p for name, p in self.parameters.items() if p.grad is not None}
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(stepped.values(), self.clip_norm)
        for decays in (True, False):
            names = [name for name, p in stepped.items() if (p.ndim >= self.fewest_dimensions) == decays]
            if names:
                self._step(names, rate, self.decay if decays else 0.0)
        for parameter in self.parameters.values():
            parameter.grad = None

    def _step(self, names: list[str], rate: float, decay: float) -> None:
        weights: list[Tensor] = [self.parameters[name] for name in names]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        buffers = [[self.buffers[name][key] for name in names] for key in self.buffers[names[0]]]
        match self.kind:
            case "sgd":
                torch._fused_sgd_(
                    weights,
                    gradients,
                    buffers[0] if self.momentum else [],
                    weight_decay=decay,
                    momentum=self.momentum,
                    lr=rate,
                    dampening=0.0,
                    nesterov=self.nesterov,
                    maximize=False,
                    is_first_step=False,
                )
            case "adamw":
                mean, square, steps = buffers
                torch._foreach_add_(steps, 1)
                torch._fused_adamw_(
                    weights,
                    gradients,
                    mean,
                    square,
                    [],
                    steps,
                    lr=rate,
                    beta1=self.momentum,
                    beta2=BETA2,
                    weight_decay=decay,
                    eps=EPSILON,
                    amsgrad=False,
                    maximize=False,
                )

    def state(self) -> dict[str, Tensor]:
        """The buffers, each as BUFFER.PARAMETER."""
        return {f"{key}.{name}": value for name, kept in self.buffers.items() for key, value in kept.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises ValueError for the state of another network or kind."""
        own = self.state()
        if own.keys() != state.keys() or any(own[key].shape != value.shape for key, value in state.items()):
            raise ValueError("the optimiser's state is of another network or optimiser")
        for key, value in state.items():
            own[key].copy_(value)
