"""Zero-cost proxies: what a network says about itself at initialisation, from one mini-batch and no training.

A proxy only orders networks: its numbers have no unit and must not be compared across proxies, batches or seeds.
What each is worth on networks that were really trained: benchmarks/results/proxies.md.

The network is that of the first training step, with all that is random in it off: norms use the batch's own
statistics, as in training; dropout is left out; every block is kept, its branch times its survival probability where
that is what evaluation does. SynFlow alone has other rules (see `linearised`).
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet
from archsearch.network import build
from archsearch.network.layers import AcrossChannels, LearnedGain, Reweighted, Scaled
from archsearch.network.units import ResidualUnit
from archsearch.reading.errors import refuse
from archsearch.training.feeds.augmentation import Normaliser
from archsearch.training.feeds.pixels import as_pixels

Name = Literal["synflow", "naswot", "grad_norm", "snip", "jacob_cov"]
NAMES: tuple[Name, ...] = get_args(Name)
LOWEST = -sys.float_info.max  # where a network overflows or passes nothing on: behind every other


def score(name: Name, network: Architecture | nn.Module, images: Tensor, labels: Tensor, seed: int = 0) -> float:
    """The proxy of that name; more is better. Always finite: `LOWEST` where the network gives no finite number.

    `network`: an architecture, built with the weights of `seed`; or a module, whose own weights count, of which a
    copy is scored. `images` (N, C, H, W), float, normalised as in training, N of 2 or more, on the network's device;
    `labels` (N,), int64. The same arguments give the same number, on the same machine and as many threads. Neither
    the module nor torch's global state changes. Raises InputError for an unknown name or where the image runs out,
    ValueError for a batch of one.
    """
    if name not in PROXIES:
        raise refuse(f"no proxy {name!r}", allowed=", ".join(NAMES), file="proxy")
    if len(images) < 2:
        raise ValueError("one image has no batch statistics; allowed: 2 or more")
    if isinstance(network, Architecture):
        model: nn.Module = build(network, seed=seed, device=images.device)
    else:
        model = copy.deepcopy(network)
    with torch.enable_grad():
        found = PROXIES[name](model, images.detach(), labels)
    return found if math.isfinite(found) else LOWEST


def mini_batch(images: ImageSet, size: int, seed: int, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """(images (N, C, H, W), float, normalised; labels (N,)): N = `size` of the training split, or all of it where it
    is smaller, drawn without replacement from `seed`; not augmented."""
    count = min(size, len(images.train))
    drawn = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))[:count].numpy()
    device = torch.device(device)
    pixels = as_pixels(images.train.images[drawn], device)
    normalise = Normaliser(images.mean, images.std, device)
    return normalise(pixels), torch.from_numpy(images.train.labels[drawn]).to(device)


class Scorer:
    """Scores architectures one after another, all on the same mini-batch and with the weights of the same seed.

    On the CPU, in one thread, so that the order of the sums, and with it a search, is the same each time; the
    process's number of threads is put back. An architecture is scored once: the same digest, the same score.
    """

    def __init__(self, name: Name, images: ImageSet, *, seed: int, batch_size: int = 64) -> None:
        self._name, self._seed = name, seed
        self._batch = mini_batch(images, batch_size, seed)
        self._known: dict[str, float] = {}

    def __call__(self, architecture: Architecture) -> float:
        """More is better; as `score`, and with its errors."""
        if (key := digest(architecture)) not in self._known:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                self._known[key] = score(self._name, architecture, *self._batch, self._seed)
            finally:
                torch.set_num_threads(threads)
        return self._known[key]


def synflow(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """SynFlow (Tanaka 2020, arXiv:2006.05467, equation 2): log of sum over weights |theta * dR/dtheta|.

    R is the sum of the scores that the linearised network with absolute weights gives an image of ones. The sum is
    over the weights of convolutions and linear layers, as in Abdelfattah 2021 (arXiv:2101.08134). The images say the
    shape alone. In float64; each unit's output is divided by its largest number, and the logarithms of those
    are added back: in a linear network that is exact, at any depth.
    """
    model = linearised(model).double()
    scale = 0.0

    def rescaled(_: nn.Module, __: object, y: Tensor) -> Tensor:
        nonlocal scale
        largest = float(y.detach().abs().max())
        if largest == 0 or not math.isfinite(largest):
            return y
        scale += math.log(largest)
        return y / largest

    for part in model.modules():
        if isinstance(part, ResidualUnit):
            part.register_forward_hook(rescaled)
    ones = torch.ones((1, *images.shape[1:]), dtype=torch.float64, device=images.device)
    total = sum(_product(pair).abs().sum().item() for pair in _gradients(model, model(ones).sum()))
    return math.log(total) + scale if total > 0 else LOWEST


def linearised(model: nn.Module) -> nn.Module:
    """The module itself, changed: a linear network whose weights are all their absolute values, for SynFlow.

    Norms are left out, as in Abdelfattah 2021: they would divide each channel by its own size, which is what SynFlow
    measures. So are dropout, and ReLUs, which do nothing to positive numbers. Biases are 0, learned gains 1 (they
    start at 0, which would hide their branch), constant scales absolute. What is multiplied onto activations is
    constant: attention's weights are 1/2, a gate is sigmoid(its first bias), which is about where both begin.
    """
    model.eval()
    for part in list(model.modules()):
        if isinstance(part, Reweighted):
            part.weights = _Constant(torch.tensor(0.5))
        elif isinstance(part, Scaled):
            part.factor = abs(part.factor)
        elif isinstance(part, ResidualUnit):
            biases = [conv.bias for conv in part.gate.modules() if isinstance(conv, nn.Conv2d)]
            if biases and biases[0] is not None:
                part.gate = _Constant(biases[0].detach().sigmoid().view(-1, 1, 1))
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, (_BatchNorm, nn.Dropout, nn.ReLU, LearnedGain)):
                setattr(parent, name, nn.Identity())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.zero_() if name.endswith("bias") else parameter.abs_()
    return model


class _Constant(nn.Module):
    """The same numbers, whatever it reads."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, x: Tensor) -> Tensor:
        return self.value.to(x)


def naswot(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """NASWOT (Mellor 2021, arXiv:2006.04647, section 3): log |det K|, where K[i, j] is how many ReLU units are on for
    both images i and j or off for both.

    Units of every `nn.ReLU` count, attention's too. Images that look alike to the network make K singular; an
    eigenvalue below 1e-9 of the number of units counts as that much. LOWEST where there is no ReLU.
    """
    _for_training(model)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    units = 0

    def codes(_: nn.Module, __: object, y: Tensor) -> None:
        nonlocal units
        on = (y.detach() > 0).flatten(1).float()
        counts = on.sum(1)
        units += on.shape[1]
        kernel.add_(2 * (on @ on.T) + on.shape[1] - counts[:, None] - counts[None, :])

    for part in model.modules():
        if isinstance(part, nn.ReLU):
            part.register_forward_hook(codes)
    with torch.no_grad():
        finite = bool(model(images).isfinite().all())
    if not units or not finite:
        return LOWEST
    return float(torch.linalg.eigvalsh(kernel).clamp(min=1e-9 * units).log().sum())


def grad_norm(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Abdelfattah 2021 (arXiv:2101.08134, section 3.2): the sum over convolutions and linear layers of the Euclidean
    norm of the weight's gradient, of the mean cross-entropy on the mini-batch."""
    return sum(gradient.norm().item() for _, gradient in _loss_gradients(model, images, labels))


def snip(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """SNIP (Lee 2019, arXiv:1810.02340; summed as in Abdelfattah 2021): the sum over the weights of convolutions and
    linear layers of |theta * dL/dtheta|, L the mean cross-entropy on the mini-batch."""
    return sum(_product(pair).abs().sum().item() for pair in _loss_gradients(model, images, labels))


def jacob_cov(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Jacobian covariance (the first version of Mellor 2021; Abdelfattah 2021, equation 6): -sum over i of
    log(v_i + k) + 1 / (v_i + k), k = 1e-5.

    v are the eigenvalues of the correlation matrix of the rows d(sum of all scores) / d(image i): the closer to 1,
    the better the network tells images apart.
    """
    _for_training(model)
    pixels = images.clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(model(pixels).sum(), pixels)
    correlation = torch.corrcoef(jacobian.flatten(1).double())
    if not correlation.isfinite().all():
        return LOWEST
    values = torch.linalg.eigvalsh(correlation).clamp(min=0) + 1e-5
    return -float((values.log() + 1 / values).sum())


PROXIES: dict[Name, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "synflow": synflow,
    "naswot": naswot,
    "grad_norm": grad_norm,
    "snip": snip,
    "jacob_cov": jacob_cov,
}


def _for_training(model: nn.Module) -> None:
    """Norms as in training, all else as in evaluation: nothing is drawn."""
    model.eval()
    for part in model.modules():
        if isinstance(part, _BatchNorm):
            part.train()


def _loss_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    _for_training(model)
    return _gradients(model, functional.cross_entropy(model(images), labels))


def _gradients(model: nn.Module, value: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight and gradient of every convolution and linear layer that the value depends on."""
    layers = (nn.Conv2d, nn.Linear, AcrossChannels)
    weights = [part.weight for part in model.modules() if isinstance(part, layers)]
    found = torch.autograd.grad(value, weights, allow_unused=True)
    pairs = zip(weights, found, strict=True)
    return ((weight.detach(), gradient) for weight, gradient in pairs if gradient is not None)


def _product(pair: tuple[Tensor, Tensor]) -> Tensor:
    return pair[0] * pair[1]
