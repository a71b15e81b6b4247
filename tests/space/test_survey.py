"""The survey says of a space what counting its networks one by one says."""

from pathlib import Path

import numpy as np
import pytest

from archsearch.architecture.cost import cost
from archsearch.space.choices import RecordedChoices
from archsearch.space.loading import load_space
from archsearch.space.many.grid import Grid
from archsearch.space.many.survey import COSTS, survey
from archsearch.space.space import SearchSpace
from tests.space.spaces import space_of

WORDS = """
    stem: {width: 4}
    stages: {int: [1, 2]}
    depth: {int: [1, 3], each: stage}
    width: {choice: [4, 8, 16], each: stage, order: increasing}
    block: {choice: [basic, bottleneck]}
    bottleneck_ratio: {choice: [0.5, 1.0], when: {block: bottleneck}}
"""
BUDGET = "data: {name: digits}\nbudget: {flops: {max: 50k}, params: {between: [800, 4k]}}\n"


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    return space_of(tmp_path, WORDS, BUDGET)


def test_a_small_space_is_looked_at_whole_and_every_number_is_exact(space: SearchSpace) -> None:
    grid = Grid(space.parameters)
    everything = grid.everything(1000)
    assert everything is not None
    prices = [space.price(cost(space.architecture(RecordedChoices(grid.choices(row))))) for row in everything]
    flops_kept = [price.flops <= 50_000 for price in prices]
    params_kept = [800 <= price.params <= 4_000 for price in prices]
    found = survey(space)
    assert found.whole
    assert found.looked == len(prices) == space.size()
    within = [one and other for one, other in zip(flops_kept, params_kept, strict=True)]
    assert found.within == sum(within)
    by_name = {bound.name: bound for bound in found.bounds}
    assert by_name["flops"].kept == by_name["params"].others_kept == sum(flops_kept)
    assert by_name["params"].kept == by_name["flops"].others_kept == sum(params_kept)
    assert by_name["params"].below == sum(price.params < 800 for price in prices)
    assert by_name["params"].above == sum(price.params > 4_000 for price in prices)
    assert found.hardest == ("flops" if sum(params_kept) > sum(flops_kept) else "params")
    for name in COSTS:
        rows = found.histograms[name]
        assert sum(row["count"] for row in rows) == len(prices) and len(rows) == 12
        assert [row["from"] for row in rows[1:]] == [row["to"] for row in rows[:-1]]
        assert sum(row["within_budget"] for row in found.histograms[name]) == sum(within)
        costs = sorted(getattr(price, name) for price in prices)
        assert found.quantiles[name]["all"][0] == costs[0]
        assert found.quantiles[name]["all"][3] == costs[(len(costs) - 1) // 2]
        assert found.quantiles[name]["all"][-1] == costs[-1]


def test_values_out_of_reach_are_those_that_no_network_within_the_budget_has(space: SearchSpace) -> None:
    grid = Grid(space.parameters)
    everything = grid.everything(1000)
    assert everything is not None
    had = set()
    for row in everything:
        choices = grid.choices(row)
        if space.budget.admits(cost(space.architecture(RecordedChoices(choices)))):
            had |= set(choices.items())
    wanted = {(column.name, value) for column in grid.columns for value in column.values} - had
    assert wanted, "a test that could not fail"
    found = survey(space)
    assert found.unreachable is not None
    assert {(one.word, one.value) for one in found.unreachable} == wanted
    # The same space, looked at by too few draws to see it whole: led towards the budget they tell the same values.
    few = survey(space, samples=40)
    assert not few.whole
    assert few.unreachable is not None
    assert {(one.word, one.value) for one in few.unreachable} == wanted
    assert all(one.tried >= 10 for one in few.unreachable)


def test_draws_are_as_the_file_declares_them_and_the_same_by_their_seed(space: SearchSpace) -> None:
    exact, one, other = survey(space), survey(space, samples=180, seed=1), survey(space, samples=180, seed=2)
    assert exact.looked > 180
    assert one.to_dict() == survey(space, samples=180, seed=1).to_dict()
    assert one.quantiles != other.quantiles
    # Free draws give short networks as often as long ones, of which there are many more.
    rows = Grid(space.parameters).draw(4000, np.random.default_rng(0))
    assert abs(float((rows[:, 0] == 0).mean()) - 0.5) < 0.05


def test_images_that_run_out_of_pixels_are_told_and_never_fit(tmp_path: Path) -> None:
    words = "stem: {kernel: {choice: [3, 11]}, padded: false, width: 4}\nstages: 1\ndepth: {int: [1, 2]}\nwidth: 4"
    found = survey(space_of(tmp_path, words, "data: {name: digits}\n"))
    assert (found.looked, found.impossible, found.within) == (4, 2, 2)
    assert found.unreachable is not None
    assert [(one.word, one.value, one.tried) for one in found.unreachable] == [("stem.kernel", 11, 2)]


def test_where_nothing_fits_nothing_is_said_of_values() -> None:
    space = load_space(Path(__file__).parents[2] / "search_spaces" / "digits.yaml",
                       ["budget.flops={between: [150001, 150002]}"])  # fmt: skip
    found = survey(space, samples=50)
    assert found.within == 0
    assert found.unreachable is None
    assert found.hardest == "flops"


def test_parameters_of_many_values_are_passed_over_and_moved_to_their_ends(tmp_path: Path) -> None:
    words = """
    stages: 1
    depth: {int: [1, 1000]}
    width: {choice: [4, 256]}
    """
    space = space_of(tmp_path, words, "data: {name: digits}\nbudget: {flops: {max: 100M}}\n")
    result = survey(space, samples=50)
    assert result.passed_over == ("depth",)
    assert result.unreachable == (), "a width of 256 fits with few blocks alone"
    assert survey(space_of(tmp_path, words.replace("[1, 1000]", "[1, 64]"), "data: {name: digits}\n")).passed_over == ()
