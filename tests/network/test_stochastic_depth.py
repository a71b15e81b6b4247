"""Stochastic depth: what is dropped is not computed, and the expectation is kept."""

import pytest
import torch

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.network import build
from archsearch.network.units import CountedDepth, ResidualUnit, StochasticDepth


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


def kept_blocks(model: torch.nn.Module, batches: int) -> torch.Tensor:
    """Whether each block was computed, (batches, blocks)."""
    ran = torch.zeros(batches, 12, dtype=torch.bool)
    branches = [module.branch for module in model.modules() if isinstance(module, ResidualUnit)]
    for batch in range(batches):
        hooks = [
            branch[0].register_forward_hook(lambda *_, at=(batch, block): ran.__setitem__(at, True))
            for block, branch in enumerate(branches)
        ]
        model(torch.ones(2, 1, 8, 8))
        for hook in hooks:
            hook.remove()
    return ran


def test_count_keeps_exactly_so_many_random_blocks_of_each_batch() -> None:
    model = build(network(schedule="count", blocks=5)).train()
    model.seed_stochastic_depth(torch.Generator().manual_seed(0))
    ran = kept_blocks(model, 240)
    assert (ran.sum(1) == 5).all()
    assert ((ran.sum(0) - 100).abs() < 35).all(), "each as often: 100 +- 7.6 (one deviation) of 240"
    assert len({tuple(row) for row in ran.tolist()}) > 150, "of 792 sets"
    model.seed_stochastic_depth(torch.Generator().manual_seed(0))
    assert torch.equal(kept_blocks(model, 20), ran[:20])
    model.seed_stochastic_depth(torch.Generator().manual_seed(1))
    assert not torch.equal(kept_blocks(model, 20), ran[:20])
    model.seed_stochastic_depth(None)
    assert (kept_blocks(model, 20).sum(1) == 5).all(), "by torch's global seed"
    assert kept_blocks(model.eval(), 1).all()


def test_count_keeps_so_many_blocks_of_each_image() -> None:
    model = build(network(schedule="count", blocks=5, per="sample")).train()
    model.seed_stochastic_depth(torch.Generator().manual_seed(0))
    branches = [module for module in model.modules() if isinstance(module, CountedDepth)]
    kept = torch.stack([branch.kept(300) for branch in branches], dim=1)
    assert kept.shape == (300, 12) and (kept.sum(1) == 5).all() and len(kept.unique(dim=0)) > 100


def test_counted_blocks_are_scaled_by_their_share() -> None:
    """5 of 12 kept: at test the branch is 5/12 of itself, or, inverted, 12/5 of itself while it trains."""
    s = torch.randn(2, 8, 4, 4)
    for divides, trained, tested in ((False, 1, 5 / 12), (True, 12 / 5, 1)):
        branch = CountedDepth(3, 12, 5, per_image=False, divides=divides, conv1=torch.nn.Conv2d(8, 8, 1))
        branch.draws = torch.Generator().manual_seed(0)
        outputs = [branch(s) for _ in range(40)]
        chosen = [f for f in outputs if f is not None]
        assert 0 < len(chosen) < 40
        assert all(torch.allclose(f, trained * branch[0](s)) for f in chosen)
        assert torch.allclose(branch.eval()(s), tested * branch[0](s))


def test_a_counted_number_of_blocks_follows_from_last_or_is_at_most_all() -> None:
    def draws(**words: object) -> set[tuple[int, int]]:
        branches = [unit.branch for unit in units(network(schedule="count", **words))]
        return {(branch.count, branch.blocks) for branch in branches if isinstance(branch, CountedDepth)}

    assert draws() == {(6, 12)} and draws(last=0.4) == {(5, 12)} and draws(last=0.01) == {(1, 12)}
    assert draws(blocks=12) == draws(blocks=99) == draws(last=1.0) == set()
    blocks = [module.block for module in build(network(schedule="count")).modules() if isinstance(module, CountedDepth)]
    assert blocks == list(range(1, 13))


def test_a_counted_draw_is_a_network_of_its_own() -> None:
    digests = {digest(network(schedule="count", blocks=blocks)) for blocks in (3, 6, 12)}
    digests |= {digest(network(schedule="uniform", last=last)) for last in (0.25, 0.5, 1.0)}
    assert len(digests) == 5, "of 12 of 12 all are kept, as with probability 1"
    assert digest(network(schedule="count")) == digest(network(schedule="count", blocks=6, last=0.9))
    assert digest(network(schedule="linear", blocks=3)) == digest(network(schedule="linear"))


@pytest.mark.parametrize("rescale", ["test", "train"])
def test_a_training_with_a_counted_draw_is_its_seeds(rescale: str) -> None:
    from archsearch.space.settings import TrainingSettings
    from archsearch.training.loop import Training
    from archsearch.training.measuring.probe import synthetic
    from archsearch.training.run import TrainingRun

    losses = []
    for seed in (1, 1, 2):
        run = TrainingRun(
            settings=TrainingSettings(epochs=1, batch_size=4, learning_rate=1e-3), seed=seed, device="cpu"
        )
        model = build(network(schedule="count", blocks=2, rescale=rescale), seed=0)
        torch.rand(3)
        losses.append(next(Training(model, synthetic((1, 8, 8), 10, train=16, validation=4), run)).train_loss)
    assert losses[0] == losses[1] != losses[2]
