"""An architecture -> nn.Module: the module has the plan's names, so `stage1.block2.branch.conv1` is both."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archsearch.architecture.cost import Shape
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.network.calls import call
from archsearch.network.initialise import initialise
from archsearch.network.layers import LearnedGain, PointwiseConv
from archsearch.network.units import CountedDepth, StochasticDepth


class Network(nn.Sequential):
    """A built architecture: images (N, C, H, W), float -> scores (N, classes)."""

    architecture: Architecture

    def seed_stochastic_depth(self, generator: torch.Generator | None) -> None:
        """From now on this CPU generator decides which blocks are dropped while training."""
        for module in self.modules():
            if isinstance(module, StochasticDepth):
                module.draws = deepcopy(generator) if isinstance(module, CountedDepth) else generator

    def multiply_pointwise(self) -> None:
        """From now on small 1x1 convolutions train as products of matrices: sooner done on a CPU, rounded otherwise."""
        for module in self.modules():
            if isinstance(module, PointwiseConv):
                module.product = True

    @torch.inference_mode()
    def scores(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Of normalised images (N, C, H, W), in eval mode: (N, classes). The mode is left as it was."""
        training = self.training
        try:
            return self.eval()(torch.from_numpy(images)).numpy()
        finally:
            self.train(training)

    def project(self) -> None:
        """After each optimiser step: learned gains back into (-1, 1)."""
        for module in self.modules():
            if isinstance(module, LearnedGain):
                module.project()


def build(architecture: Architecture | str, *, seed: int = 0, device: str | torch.device = "cpu") -> Network:
    """The network of an architecture, or of a name from the zoo, initialised from `seed`.

    Filled once, so that no global random state is read or changed.
    Raises InputError for an unknown name, or where the image runs out.
    """
    if isinstance(architecture, str):
        from archsearch.zoo import get

        architecture = get(architecture)
    network = skeleton(architecture, device=device)
    initialise(network, torch.Generator().manual_seed(seed))
    return network


def skeleton(architecture: Architecture, *, device: str | torch.device = "meta") -> Network:
    """The network without values: names and shapes, and no memory on the meta device. Raises InputError where the image
    runs out."""
    with Unfilled(device):
        network = Network()
        for name, op, into in plan(architecture).parts(Shape(*architecture.input)):
            network.add_module(name, call(op, into).module())
    network.architecture = architecture
    return network


class Unfilled(TorchFunctionMode):
    """Inside, torch's modules take memory on `device` and draw nothing: a quarter of the time that a small network
    takes to be made is torch's initial values, of which none would stay."""

    def __init__(self, device: str | torch.device) -> None:
        super().__init__()
        self.device = torch.device(device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.kaiming_uniform_, nn.init.uniform_):
            return kwargs["tensor"] if kwargs else args[0]
        keywords = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones, torch.tensor, torch.full):
            keywords["device"] = self.device
        return func(*args, **keywords)
