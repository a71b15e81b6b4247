"""Stochastic depth: what is dropped is not computed, and the expectation is kept."""

import torch

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.network import build
from archsearch.network.units import ResidualUnit, StochasticDepth


def network(**survival: object) -> Architecture:
    stage = Stage(depth=6, width=8, stride=1, block=Block(link="residual"))
    return Architecture(input=(1, 8, 8), stages=(stage, stage), survival=Survival(**survival))


def survival(unit: ResidualUnit) -> float:
    """1 where the branch is always kept."""
    return unit.branch.survival if isinstance(unit.branch, StochasticDepth) else 1.0


def units(architecture: Architecture) -> list[ResidualUnit]:
    return [module for module in build(architecture).modules() if isinstance(module, ResidualUnit)]


def test_the_linear_schedule_falls_from_the_input_to_the_last_block() -> None:
    kept = [survival(unit) for unit in units(network(schedule="linear", last=0.5))]
    assert kept == [1 - position / 12 * 0.5 for position in range(1, 13)]


def test_the_uniform_schedule_is_the_same_everywhere_and_none_keeps_all() -> None:
    assert {survival(unit) for unit in units(network(schedule="uniform", last=0.7))} == {0.7}
    assert {survival(unit) for unit in units(network(schedule="none", last=0.7))} == {1.0}


def test_a_block_dropped_for_the_batch_does_not_compute_its_branch() -> None:
    model = build(network(schedule="uniform", last=0.5, per="batch")).train()
    model.seed_stochastic_depth(torch.Generator().manual_seed(0))
    ran = []
    for module in model.modules():
        if isinstance(module, ResidualUnit):
            module.branch[0].register_forward_hook(lambda *_: ran.append(1))
    for _ in range(100):
        model(torch.randn(2, 1, 8, 8))
    assert 500 < len(ran) < 700  # 1,200 blocks, half of them kept: 600 +- 17 (one deviation)


def test_both_conventions_keep_the_expectation() -> None:
    unit = network(schedule="uniform", last=0.5, per="sample")
    for rescale in ("test", "train"):
        architecture = unit.model_copy(update={"survival": unit.survival.model_copy(update={"rescale": rescale})})
        first = units(architecture)[0]
        x = torch.randn(1, first.branch[0].in_channels, 8, 8).expand(4000, -1, -1, -1)
        for module in first.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        first.branch.draws = torch.Generator().manual_seed(0)
        first.after = torch.nn.Identity()
        with torch.no_grad():
            first.branch.training = True
            trained = first(x).mean(0)
            first.branch.training = False
            tested = first(x[:1])[0]
        expected = tested if rescale == "train" else trained
        assert torch.allclose(trained, tested, atol=0.05 * expected.std().item() + 0.05)


def test_survival_one_is_no_stochastic_depth() -> None:
    none = network(schedule="none")
    for schedule in ("uniform", "linear"):
        assert plan(network(schedule=schedule, last=1.0)) == plan(none)
        assert digest(network(schedule=schedule, last=1.0, per="sample", rescale="train")) == digest(none)


def test_plain_blocks_are_never_dropped() -> None:
    stage = Stage(depth=2, width=8, stride=1, block=Block(link="plain"))
    mixed = Architecture(
        stages=(stage, stage.model_copy(update={"block": Block()})),
        survival=Survival(schedule="linear", last=0.5),
    )
    assert [survival(unit) for unit in units(mixed)] == [1.0, 1.0, 0.75, 0.5]


def test_a_training_step_runs_fewer_flops_forwards_and_backwards() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    def flops(**survival: object) -> list[int]:
        model = build(network(**survival), seed=0).train()
        model.seed_stochastic_depth(torch.Generator().manual_seed(0))
        found = []
        for _ in range(20):
            with FlopCounterMode(display=False) as counter:
                model(torch.ones(2, 1, 8, 8)).sum().backward()
            found.append(counter.get_total_flops())
        return found

    whole, dropped = flops(schedule="none"), flops(schedule="uniform", last=0.5, per="batch")
    assert len(set(whole)) == 1
    assert max(dropped) < whole[0] and len(set(dropped)) > 3, "each batch drops other blocks"
    # Half of the branches go: the stem, the shortcuts and the head, which stay, are a twentieth.
    assert 0.4 * whole[0] < sum(dropped) / len(dropped) < 0.7 * whole[0]
    each_image = flops(schedule="uniform", last=0.5, per="sample")
    assert set(each_image) == set(whole), "dropped image by image, all is computed"
