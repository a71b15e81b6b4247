"""The gradient of the loss by layer: its norm at each layer's weights, at any moment of a training."""

from __future__ import annotations

import torch
from torch import nn

from archsearch.training.feeds.batches import Batch
from archsearch.training.losses import Loss

BESIDE = ("shortcut", "gate")  # parts of a block that are not on the way through its branch


def layers(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of the convolutions and linear layers from the stem through each block's branch to the classifier, in
    this order, by the layers' names. Those of shortcuts and gates are left out, so that a plain network and a residual
    one of as many layers can be compared layer by layer."""
    return {
        name.removesuffix(".weight"): parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and name.endswith(".weight") and not set(BESIDE) & set(name.split("."))
    }


def layer_norms(model: nn.Module, batch: Batch, loss: Loss) -> list[float]:
    """The Euclidean norm of the gradient of the batch's mean loss at the weights of each of `layers`, in training mode:
    batch norms take the batch's statistics. Draws (dropout) are those of a fixed seed.

    Running statistics, the mode, gradients and torch's random state are afterwards as before.
    """
    images, labels = batch
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    training = model.training
    weights = list(layers(model).values())
    with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
        torch.manual_seed(0)
        gradients = torch.autograd.grad(loss(model.train()(images), labels), weights)
    model.train(training)
    for name, buffer in model.named_buffers():
        buffer.copy_(statistics[name])
    norms: list[float] = torch.stack([gradient.float().norm() for gradient in gradients]).tolist()
    return norms
