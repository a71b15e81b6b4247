from __future__ import annotations

import itertools
import math

import pytest
import torch

from archsearch.space.settings import TrainingSettings
from archsearch.training import recipe


def rates(schedule: str, warmup: float, total: int = 100, highest: float = 0.4) -> list[float]:
    settings = TrainingSettings(schedule=schedule, warmup=warmup, learning_rate=highest)
    return [recipe.learning_rate(settings, step, total) for step in range(total)]


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.013, 0.9])
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_rates_rise_to_the_highest_then_never_rise_again(schedule, warmup, total):
    found = rates(schedule, warmup, total)
    top = found.index(max(found))
    assert all(0 < rate <= 0.4 + 1e-12 for rate in found)
    assert all(a < b for a, b in itertools.pairwise(found[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(found[top:]))


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
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
