"""Zero-cost proxies: each against its definition written out, on every family, and without a trace."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.architecture.spec import Architecture, Block, Stage
from archsearch.network import build
from archsearch.network.layers import ResidualUnit
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings
from archsearch.training.datasets import load_images
from archsearch.training.proxies import LOWEST, NAMES, Name, linearised, mini_batch, score
from tests.sampling import sampled
from tests.training.nets import tiny

FAMILIES = {
    "plain": Block(link="plain"),
    "residual": Block(),
    "zero_init": Block(zero_init=True),
    "pre": Block(activation="pre", dropout=0.3),
    "dense": Block(link="dense", kind="bottleneck", growth_rate=4),
    "dual_path": Block(link="dual_path", kind="bottleneck", cardinality=2, growth_rate=4),
    "highway": Block(link="highway", kind="single", norm="none"),
    "gated": Block(gate="exclusive", shortcut="C"),
    "attention": Block(attention="cbam", learned_gain=True),
    "scaled": Block(branch_scale=-0.5, shortcut_scale=-1.0, shortcut_dropout=0.5),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small are these networks that threads only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(block: Block, depth: int = 2, width: int = 8) -> Architecture:
    stages = (Stage(depth=depth, width=width, stride=1, block=block), Stage(depth=1, width=2 * width, block=block))
    return Architecture(input=(1, 8, 8), stages=stages)


def batch(count: int = 12, shape: tuple[int, int, int] = (1, 8, 8), classes: int = 10) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(5)
    return torch.randn(count, *shape, generator=draws), torch.randint(classes, (count,), generator=draws)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_score_that_its_seed_decides(family: str, name: Name) -> None:
    images, labels = batch()
    once, again, other = (score(name, network(FAMILIES[family]), images, labels, seed) for seed in (0, 0, 1))
    assert math.isfinite(once) and once != LOWEST
    assert once == again != other


def test_any_architecture_has_finite_scores() -> None:
    for architecture in sampled(12, seed=3):
        images, labels = batch(6, architecture.input, architecture.classes)
        assert all(math.isfinite(score(name, architecture, images, labels)) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_changed(name: Name) -> None:
    model = build(network(Block(dropout=0.5, attention="se"))).train()
    model.seed_stochastic_depth(torch.Generator().manual_seed(1))
    images, labels = batch()
    before, drawn, hooked = copy.deepcopy(model.state_dict()), torch.get_rng_state(), repr(model)
    with torch.no_grad():
        score(name, model, images, labels)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert repr(model) == hooked and all(part.training for part in model.modules())
    assert not any(part._forward_hooks for part in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(images, batch()[0]) and not images.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_scored_as_the_architecture_that_it_is_of(name: Name) -> None:
    architecture = network(Block(dropout=0.5))
    images, labels = batch()
    given = score(name, build(architecture, seed=4), images, labels, seed=9)
    assert given == score(name, architecture, images, labels, seed=4)
    assert math.isfinite(score(name, tiny(dropout=0.5), images, labels))


def test_synflow_of_a_chain_is_the_sum_of_its_paths_once_a_layer() -> None:
    """Euler: in a chain of L linear layers every layer's sum of theta * dR/dtheta is R."""
    draws = torch.Generator().manual_seed(0)
    weights = [
        torch.randn(7, 4, generator=draws),
        torch.randn(7, 7, generator=draws),
        torch.randn(3, 7, generator=draws),
    ]
    chain = nn.Sequential(nn.Flatten(), *(nn.Linear(w.shape[1], w.shape[0]) for w in weights))
    for layer, w in zip(list(chain)[1:], weights, strict=True):
        layer.weight.data.copy_(w)
    paths = (weights[2].abs() @ weights[1].abs() @ weights[0].abs()).double().sum().item()
    found = score("synflow", chain, torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64))
    assert found == pytest.approx(math.log(3 * paths), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_synflow_is_exact_although_units_are_rescaled(family: str) -> None:
    model = linearised(build(network(FAMILIES[family]))).double()
    model(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum().backward()
    layers = [part for part in model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    plain = sum((part.weight * part.weight.grad).abs().sum().item() for part in layers)
    assert score("synflow", network(FAMILIES[family]), *batch()) == pytest.approx(math.log(plain), rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_synflow_reads_is_linear(family: str) -> None:
    model = linearised(build(network(FAMILIES[family]))).double()
    draws = torch.Generator().manual_seed(2)
    x, y = (torch.randn(2, 1, 8, 8, generator=draws, dtype=torch.float64) for _ in range(2))
    assert torch.allclose(model(2 * x - 3 * y), 2 * model(x) - 3 * model(y))


def test_synflow_of_a_network_whose_flow_no_double_holds() -> None:
    deep = network(Block(link="plain"), depth=150, width=16)
    with torch.no_grad():
        assert not linearised(build(deep)).double()(torch.ones(1, 1, 8, 8, dtype=torch.float64)).isfinite().all()
    assert math.log(sys.float_info.max) < score("synflow", deep, *batch()) < LOWEST * -1


def test_a_network_that_passes_nothing_on_is_behind_all_others() -> None:
    model = build(network(Block()))
    nn.init.zeros_(model.stem.conv1.weight)
    assert score("synflow", model, *batch()) == LOWEST
    assert score("jacob_cov", model, *batch()) == LOWEST
    assert score("naswot", nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), *batch()) == LOWEST


def test_naswot_is_the_determinant_of_the_agreements() -> None:
    architecture = network(Block(attention="se"))
    images, labels = batch(6)
    model = build(architecture, seed=2).eval()
    codes: list[Tensor] = []
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.train()
        if isinstance(part, nn.ReLU):
            part.register_forward_hook(lambda _, __, y: codes.append((y > 0).flatten(1)))
    model(images)
    on = torch.cat(codes, dim=1).numpy()
    agreements = np.array([[float((on[i] == on[j]).sum()) for j in range(6)] for i in range(6)])
    sign, expected = np.linalg.slogdet(agreements)
    assert sign == 1
    assert score("naswot", architecture, images, labels, seed=2) == pytest.approx(expected, rel=1e-9)


def test_naswot_of_images_that_look_alike_is_finite_and_lower() -> None:
    images, labels = batch(6)
    twins = images.clone()
    twins[1] = twins[0]
    different, alike = (score("naswot", network(Block()), x, labels) for x in (images, twins))
    assert LOWEST < alike < different


def loss_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    model.eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.train()
    functional.cross_entropy(model(images), labels).backward()
    return [(part.weight, part.weight.grad) for part in model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]


def test_grad_norm_and_snip_are_sums_over_the_weights_of_the_loss() -> None:
    architecture, (images, labels) = network(Block()), batch()
    pairs = loss_gradients(build(architecture, seed=1), images, labels)
    norms = sum(math.sqrt((gradient**2).sum().item()) for _, gradient in pairs)
    assert score("grad_norm", architecture, images, labels, seed=1) == pytest.approx(norms, rel=1e-5)
    products = sum((weight * gradient).abs().sum().item() for weight, gradient in pairs)
    assert score("snip", architecture, images, labels, seed=1) == pytest.approx(products, rel=1e-5)


def test_jacob_cov_of_a_linear_network_which_tells_no_image_apart() -> None:
    """Its Jacobian is the same for every image: one eigenvalue is N, the others are 0."""
    images, labels = batch(5)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    expected = -(math.log(5 + 1e-5) + 1 / (5 + 1e-5) + 4 * (math.log(1e-5) + 1e5))
    assert score("jacob_cov", flat, images, labels) == pytest.approx(expected, rel=1e-6)
    assert score("jacob_cov", network(Block()), images, labels) > expected / 10


def test_stochastic_depth_drops_nothing() -> None:
    words = network(Block()).to_dict()
    dropping = Architecture.from_dict({**words, "survival": {"schedule": "uniform", "last": 0.5, "rescale": "train"}})
    model = build(dropping)
    assert any(part.unit.survival < 1 for part in model.modules() if isinstance(part, ResidualUnit))
    for name in NAMES:
        assert score(name, dropping, *batch()) == score(name, network(Block()), *batch())


def test_bad_input_is_told() -> None:
    images, labels = batch()
    with pytest.raises(InputError, match="no proxy 'fisher'"):
        score("fisher", network(Block()), images, labels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 or more"):
        score("naswot", network(Block()), images[:1], labels[:1])


def test_a_mini_batch_is_of_the_training_split_normalised_and_drawn_by_its_seed() -> None:
    images = load_images(DataSettings(limit=100))
    pixels, labels = mini_batch(images, 32, seed=1)
    assert pixels.shape == (32, 1, 8, 8) and labels.shape == (32,)
    known = (torch.from_numpy(images.train.images) / 255 - images.mean[0]) / images.std[0]
    where = [int((known - image).abs().amax((1, 2, 3)).argmin()) for image in pixels]
    assert len(set(where)) == 32
    assert torch.allclose(known[where], pixels, atol=1e-5)
    assert images.train.labels[where].tolist() == labels.tolist()
    assert torch.equal(pixels, mini_batch(images, 32, seed=1)[0])
    assert not torch.equal(pixels, mini_batch(images, 32, seed=2)[0])
    assert len(mini_batch(images, 10_000, seed=0)[1]) == len(images.train)
