"""One step of a training: forward, loss, backward, in parts where a batch is too large, and the weights' move."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from archsearch.space.settings import Precision, TrainingSettings
from archsearch.training.averaging import Average
from archsearch.training.feeds.batches import parts
from archsearch.training.losses import Loss
from archsearch.training.mixing import Mixer, MixRow
from archsearch.training.optimizer import Optimizer
from archsearch.training.run import Projected
from archsearch.training.teaching import Teacher


class Target(NamedTuple):
    """What the scores of a forward pass are compared with: `labels`, and where images are mixed their `partners`, of
    whom `share` is the labels' part. The pass has `part` of the batch's images."""

    labels: Tensor
    partners: Tensor | None
    share: float | Tensor
    part: float = 1.0


class Step:
    """Steps `model`; its `optimizer` and its `average` (None without `ema`) are part of a training's state.

    `loss` None is that of a single label; where a `teacher` is set, its outputs are a part of it. `compiled`: the
    forward pass goes through torch.compile, whose first step takes many seconds.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        loss: Loss | None = None,
        *,
        device: torch.device,
        precision: Precision,
        compiled: bool = False,
    ) -> None:
        self.settings, self.device, self.precision = settings, device, precision
        self.loss = loss or Loss()
        self.teacher: Teacher | None = None
        self.optimizer = Optimizer(model, settings)
        self.average = Average(model, settings.ema) if settings.ema else None
        self._forward: Callable[[Tensor], Tensor] = torch.compile(model) if compiled else model
        self._projected = model if isinstance(model, Projected) else None
        self.losses = torch.zeros((), device=self.device)
        self.right = torch.zeros((), device=self.device, dtype=torch.int64)

    def start(self) -> None:
        """Sets the epoch's sums of losses and of right answers to zero; on the device, so that no step waits for it."""
        self.losses.zero_()
        self.right.zero_()

    def sizes(self, count: int) -> list[int]:
        """Numbers of images of the forward passes of a step on `count` images."""
        return [part.stop - part.start for part in parts(count, self.settings.micro_batch or count)]

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        mixer: Mixer | MixRow,
        rate: float | Tensor,
        before_pass: Callable[[int], None] = lambda _: None,
        weight: Tensor | None = None,
    ) -> None:
        """One step at this rate, on images (N, C, H, W), which may be changed. `before_pass` is called with the number
        of each forward pass before it begins. `weight` is the average's, as `Average.update` takes it."""
        images, labels, partners, share = mixer(images, labels)
        count = len(labels)
        for number, part in enumerate(parts(count, self.settings.micro_batch or count)):
            before_pass(number)
            with self.autocast():
                scores = self._forward(images[part])
            target = Target(labels[part], partners[part] if mixer.mixes else None, share, len(labels[part]) / count)
            torch.autograd.backward(self.loss_of(scores, images[part], target))
        self.optimizer.step(rate)
        self.settle(weight)

    def loss_of(self, scores: Tensor, images: Tensor, target: Target) -> Tensor:
        """The loss of a forward pass, ready for backward; with its right answers it is added to the epoch's sums."""
        loss = self.loss(scores, target.labels, self.settings.label_smoothing, target.partners, target.share)
        if self.teacher is not None:
            with self.autocast():
                taught = self.teacher(images)
            loss = self.teacher.blended(loss, scores, taught)
        if target.part < 1:
            loss = loss * target.part
        self.losses += loss.detach()
        if self.loss.task == "single_label":
            self.right += (scores.detach().argmax(1) == target.labels).sum()
        return loss

    def settle(self, weight: Tensor | None = None) -> None:
        """What follows the optimizer's step: weights are put back into their range, and the average moves."""
        if self._projected is not None:
            self._projected.project()
        if self.average is not None:
            self.average.update(weight)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass: autocast where the precision is bfloat16."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def evaluated(self) -> AbstractContextManager[None]:
        """Inside, the model holds the weights that are evaluated and handed over: the average, where one is taken."""
        return nullcontext() if self.average is None else self.average.applied()

    def state(self) -> dict[str, Tensor]:
        """The optimiser's buffers and the average, for `restore`."""
        tensors = {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state().items()}
        return tensors

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises ValueError for the state of another network or recipe."""

        def of(kind: str) -> dict[str, Tensor]:
            return {name.removeprefix(kind): value for name, value in state.items() if name.startswith(kind)}

        self.optimizer.restore(of("optimizer."))
        if self.average is not None:
            self.average.restore(of("average."))
        elif of("average."):
            raise ValueError("the state holds an average of weights, which this recipe does not take")
