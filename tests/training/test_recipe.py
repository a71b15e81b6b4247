from __future__ import annotations

import itertools
import math

import pytest
import torch

from archsearch.space.settings import TrainingSettings
from archsearch.training import recipe
from archsearch.training.randomness import benchmarks


def rates(schedule: str, warmup: float, total: int = 100, highest: float = 0.4) -> list[float]:
    settings = TrainingSettings(schedule=schedule, warmup=warmup, learning_rate=highest, milestones=(0.9, 0.95))
    return [recipe.learning_rate(settings, step, total) for step in range(total)]


SCHEDULES = ["one_cycle", "cosine", "linear", "step", "constant"]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.013, 0.9])
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_rates_rise_to_the_highest_then_never_rise_again(schedule, warmup, total):
    found = rates(schedule, warmup, total)
    top = found.index(max(found))
    assert all(0 < rate <= 0.4 + 1e-12 for rate in found)
    assert all(a < b for a, b in itertools.pairwise(found[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(found[top:]))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_is_a_line_over_its_share_of_the_steps(schedule):
    found = rates(schedule, 0.2)
    assert found[:20] == pytest.approx([0.4 * (step + 1) / 20 for step in range(20)])


def test_one_cycle_falls_on_a_line_to_zero():
    found = rates("one_cycle", 0.2)
    steps = [a - b for a, b in itertools.pairwise([*found[19:], 0.0])]
    assert steps == pytest.approx([0.4 / 81] * 81)


def test_cosine_is_half_a_cosine():
    found = rates("cosine", 0.0)
    assert found == pytest.approx([0.2 * (1 + math.cos(math.pi * step / 100)) for step in range(100)])


def test_constant_stays():
    assert set(rates("constant", 0.0)) == {0.4}


def test_linear_falls_to_zero_from_the_first_step_on():
    settings = TrainingSettings(schedule="linear", learning_rate=0.4)
    found = [recipe.learning_rate(settings, step, 100) for step in range(100)]
    assert found == pytest.approx([0.4 * (1 - step / 100) for step in range(100)])


def test_step_falls_at_its_milestones_as_papers_count_them():
    """He 2015: 64,000 steps, a tenth from step 32,000 and from step 48,000 on."""
    settings = TrainingSettings(schedule="step", learning_rate=0.1)
    expected = {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 63_999: 0.001}
    assert {step: recipe.learning_rate(settings, step, 64_000) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 7, 390, 351])
def test_steps_fall_at_the_first_step_of_an_epoch_whatever_its_length(steps):
    settings = TrainingSettings(schedule="step", step_factor=0.2, milestones=(0.3, 0.6, 0.8))
    rates = [recipe.learning_rate(settings, epoch * steps, 200 * steps) for epoch in range(200)]
    falls = [epoch for epoch in range(1, 200) if rates[epoch] != rates[epoch - 1]]
    assert falls == [60, 120, 160] and rates[-1] == pytest.approx(0.1 * 0.2**3)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "linear"])
def test_between_two_steps_the_rate_lies_between_theirs(schedule):
    settings = TrainingSettings(schedule=schedule, warmup=0.2)
    for step in range(99):
        found = [recipe.learning_rate(settings, step + part, 100) for part in (0, 0.3, 0.7, 1)]
        assert found == sorted(found) or found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("rungs", "segments"),
    [
        ((), [(0, 9)] * 9),
        ((1, 3), [(0, 1)] + [(1, 3)] * 2 + [(3, 9)] * 6),
        ((3, 9, 27), [(0, 3)] * 3 + [(3, 9)] * 6),
        ((8,), [(0, 8)] * 8 + [(8, 9)]),
    ],
)
def test_each_rung_ends_a_schedule_and_so_does_the_last_epoch(rungs, segments):
    assert [recipe.segment(epoch, 9, rungs) for epoch in range(9)] == segments


@pytest.mark.parametrize("rungs", [(3, 1), (1, 1), (0, 1), (-1,)])
def test_rungs_that_do_not_rise_from_one_are_refused(rungs):
    with pytest.raises(ValueError, match="rungs are epochs that rise"):
        recipe.checked_rungs(rungs)


def test_smoothing_spreads_its_mass_over_all_classes():
    scores, labels = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    target = torch.tensor([[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]])
    assert recipe.loss(scores, labels, 0.1).item() == pytest.approx(-(target * scores.log_softmax(1)).sum().item())


def test_the_loss_of_mixed_images_is_that_of_mixed_targets():
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels, other = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([3, 3, 2, 0, 1, 1])
    one_hot = torch.nn.functional.one_hot
    target = 0.7 * one_hot(labels, 4) + 0.3 * one_hot(other, 4)
    expected = -(((1 - 0.1) * target + 0.1 / 4) * scores.log_softmax(1)).sum(1).mean()
    for share in (0.7, torch.tensor(0.7)):
        found = recipe.loss(scores, labels, 0.1, other, share)
        assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.equal(recipe.loss(scores, labels, 0.1, other, 1.0), recipe.loss(scores, labels, 0.1))


@pytest.mark.parametrize(
    ("settings", "steps", "expected"),
    [
        ({}, 1000, False),
        ({}, 1001, True),
        ({"cudnn_benchmark": "always"}, 1, True),
        ({"cudnn_benchmark": "never"}, 10**6, False),
        ({"cudnn_benchmark": "always", "deterministic": True}, 10**6, False),
    ],
)
def test_cudnn_times_its_kernels_where_that_is_soon_repaid(settings: dict, steps: int, expected: bool) -> None:
    assert benchmarks(TrainingSettings(**settings), steps) is expected
