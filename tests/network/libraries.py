"""Networks of timm and torchvision beside ours: counts by fvcore, and weights copied in the order of the layers."""

from __future__ import annotations

import logging
import re
import warnings

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from archsearch import build, cost
from archsearch.architecture.spec import Architecture
from tests.network.published import filled

LAST = re.compile(r"(downsample|drop_path)\.")


def assert_equal_networks(ours: Architecture, theirs: nn.Module, *, seed: int = 0) -> None:
    """Equal parameters, fvcore counts by operator and, with the same drawn weights, outputs and gradients."""
    filled(theirs, seed=seed)
    x = torch.randn(2, *ours.input, generator=torch.Generator().manual_seed(seed))
    network, counted = build(ours), cost(ours)
    network.load_state_dict(in_order(theirs.state_dict(), network.state_dict()))
    assert counted.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert counted.by_operator() == by_fvcore(theirs.eval(), x[:1])
    with torch.no_grad():
        wanted = theirs(x)
        assert wanted.std() > 0.01, "outputs that say nothing"
        assert (network.eval()(x) - wanted).abs().max() < 1e-5 * wanted.abs().max()
    gradients = []
    for model in (theirs.train(), network.train()):
        images = x.clone().requires_grad_()
        gradients += torch.autograd.grad(model(images).square().sum(), images)
    assert (gradients[1] - gradients[0]).abs().max() < 1e-3 * gradients[0].abs().max()


def in_order(state: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `state` under the names of `like`, one after another; a block's projection and factors
    come last in ours.

    Numbers are the same where shapes differ by positions of size 1: a linear layer that is a convolution there.
    """
    keys = list(state)

    def position(key: str) -> tuple[int, int]:
        if (match := LAST.search(key)) is None:
            return keys.index(key), 0
        return max(index for index, name in enumerate(keys) if name.startswith(key[: match.start()])), keys.index(key)

    tensors = [state[key] for key in sorted(keys, key=position)]
    return {key: value.reshape(shape.shape) for (key, shape), value in zip(like.items(), tensors, strict=True)}


def by_fvcore(model: nn.Module, x: Tensor) -> dict[str, int]:
    """fvcore's counts of one image by operator, without those that are zero."""
    for name in ("fvcore", "fvcore.nn.jit_analysis"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counted = FlopCountAnalysis(model, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return {name: int(count) for name, count in counted.by_operator().items() if count}
