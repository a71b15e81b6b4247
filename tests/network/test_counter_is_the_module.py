"""The counter and the module read the same ops: checked against torch and fvcore on sampled networks."""

import pytest
import torch

from archsearch.architecture.cost import Shape, cost, layers
from archsearch.architecture.ops import Norm
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.network import build
from archsearch.network.oracle import counted_by_fvcore
from tests.sampling import sampled

NORMS = (torch.nn.BatchNorm2d, torch.nn.GroupNorm)
SAMPLES = sampled(100)


def images(architecture: Architecture, count: int = 2) -> torch.Tensor:
    return torch.randn(count, *architecture.input, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[pytest.param(60, id="60"), pytest.param(1000, id="1000", marks=pytest.mark.slow)])
def networks(request: pytest.FixtureRequest) -> list[Architecture]:
    return SAMPLES[:60] if request.param == 60 else sampled(request.param, seed=1)


def test_parameters_flops_and_activations_equal_torch_and_fvcore(networks: list[Architecture]) -> None:
    for architecture in networks:
        assert cost(architecture) == counted_by_fvcore(architecture), architecture.to_yaml()


def test_every_layer_has_the_path_and_the_shape_of_its_module() -> None:
    for architecture in SAMPLES[:60]:
        network = build(architecture).eval()
        seen: dict[str, torch.Size] = {}
        for name, module in network.named_modules():
            module.register_forward_hook(lambda m, i, o, name=name, seen=seen: seen.__setitem__(name, o.shape[1:]))
        network(images(architecture, 1))
        for layer in layers(plan(architecture), Shape(*architecture.input)):
            shape = seen[layer.path]
            assert tuple(shape) == (tuple(layer.output) if len(shape) == 3 else (layer.output.channels,)), layer


def test_every_parameter_gets_a_finite_gradient_in_training(networks: list[Architecture]) -> None:
    for architecture in networks:
        # Stochastic depth may drop a block for the whole batch, which then rightly has no gradient.
        always = architecture.model_copy(
            update={"survival": architecture.survival.model_copy(update={"last": 1.0, "blocks": None})}
        )
        network = build(always, seed=1).train()
        scores = network(images(always, 3))
        assert torch.isfinite(scores).all()
        scores.square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_networks_run_at_other_and_odd_resolutions_in_both_modes(networks: list[Architecture]) -> None:
    for architecture in networks:
        if architecture.head.pool == "max":  # a vector of all that is left: one resolution only
            continue
        network = build(architecture)
        network.seed_stochastic_depth(torch.Generator().manual_seed(0))
        for size in (architecture.input[1] + 5, 2 * architecture.input[1]):
            x = torch.randn(2, architecture.input[0], size, size)
            for scores in (network.train()(x), network.eval()(x)):
                assert scores.shape == (2, architecture.classes)
                assert torch.isfinite(scores).all()


def test_building_neither_reads_nor_changes_torchs_global_random_state() -> None:
    before = torch.get_rng_state()
    first = build(SAMPLES[0], seed=3).state_dict()
    torch.manual_seed(99)
    second = build(SAMPLES[0], seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    torch.set_rng_state(before)
    build(SAMPLES[0], seed=4)
    assert torch.equal(before, torch.get_rng_state())


def test_norms_are_modules_where_the_plan_has_them() -> None:
    for architecture in SAMPLES[:60]:
        planned = sum(isinstance(layer.op, Norm) for layer in layers(plan(architecture), Shape(*architecture.input)))
        built = sum(isinstance(module, NORMS) for module in build(architecture).modules())
        assert planned == built


def test_every_parameter_gets_a_gradient_within_some_steps_also_where_gains_start_at_0() -> None:
    networks = [trainable(architecture) for architecture in sampled(60, seed=5)]
    # With norms some have two factors that start at 0.
    networks = [wide for wide in networks if not any(stage.block.never_trains() for stage in wide.stages)]
    assert len(networks) >= 40
    for wide in networks[:40]:
        network = build(wide, seed=1).train()
        parameters = dict(network.named_parameters())
        generator, without = torch.Generator().manual_seed(0), set(parameters)
        optimizer = torch.optim.SGD(parameters.values(), lr=0.05, momentum=0.9)
        for _ in range(6):
            x = torch.randn(8, *wide.input, generator=generator)
            labels = torch.randint(0, wide.classes, (8,), generator=generator)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), labels).backward()
            without -= {name for name in without if parameters[name].grad is not None and parameters[name].grad.any()}
            torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
            optimizer.step()
        assert not without, (sorted(without), wide.to_yaml())


def trainable(architecture: Architecture) -> Architecture:
    """With no block dropped, and so wide that no ReLU of a few channels is off for every image by chance."""
    stages = []
    for stage in architecture.stages:
        words = {"attention_reduction": 2, "growth_rate": 16, "norm": "batch"}
        update = {"width": 4 * stage.width, "block": stage.block.model_copy(update=words)}
        stages.append(stage.model_copy(update=update))
    survival = architecture.survival.model_copy(update={"last": 1.0, "blocks": None})
    stem = architecture.stem.model_copy(update={"width": 4 * architecture.stem.width})
    wider = {key: 4 * value for key in ("width", "hidden") if (value := getattr(architecture.head, key))}
    head = architecture.head.model_copy(update=wider)
    return architecture.model_copy(update={"survival": survival, "stem": stem, "stages": tuple(stages), "head": head})
