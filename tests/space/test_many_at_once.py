"""Grid, Counter and Feasible say of many candidates what sampling and counting one says."""

from collections import Counter as Tally
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from archsearch.architecture.cost import cost
from archsearch.reading.errors import InputError
from archsearch.space.choices import RecordedChoices, Recorder
from archsearch.space.loading import load_space
from archsearch.space.many.cost_table import NAMES
from archsearch.space.many.counting import Counter
from archsearch.space.many.encoding import encode
from archsearch.space.many.feasible import TYPICAL, Feasible
from archsearch.space.many.grid import Grid
from archsearch.space.size import Size
from archsearch.space.space import SearchSpace

SPACES = Path(__file__).parents[2] / "search_spaces"

# Everything that a rule can hang on: stages that come and go, conditions on stages, on the network and on one another,
# sorted words both ways, options that are not in order, continuous words, fixed values a stage.
ODD = """
archsearch: 1
name: odd
data: {name: digits}
space:
  stem:
    {width: {choice: [16, 4, 8]}, norm: {choice: [true, false]}, kernel: {choice: [3, 5]},
     deep: {choice: [none, half, tiered]}, pool: {choice: [none, max, average, blur, conv]}}
  stages: {int: [1, 3]}
  depth: {int: [1, 4], each: stage}
  width: {choice: [24, 8, 16], each: stage, order: decreasing, when: {link: [plain, residual, dual_path, highway]}}
  stride: {each: stage, values: [1, 2, 1]}
  block: {choice: [basic, bottleneck, single], each: stage}
  bottleneck_ratio: {float: [0.25, 1.0], when: {block: bottleneck}}
  cardinality: {choice: [1, 3, 4], each: stage, when: {block: bottleneck}}
  link: {choice: [plain, residual, dense, dual_path, highway], each: stage}
  growth_rate: {int: [4, 12], step: 4, each: stage, order: increasing, when: {link: [dense, dual_path]}}
  compression: {choice: [0.5, 1.0], when: {link: dense}}
  entry: {choice: [block, conv, pool, pool_conv], each: stage}
  activation: {choice: [post, pre, norm_after_addition, relu_only_pre], each: stage}
  norm: {choice: [batch, none]}
  shortcut: {choice: [A, B, B_pool, C, none], when: {link: residual, activation: [post, pre]}}
  shortcut_kernel: {choice: [1, 3]}
  downsample: {choice: [stride, blur, average], each: stage}
  attention: {choice: [none, se, eca, cbam], each: stage}
  learned_gain: {choice: [false, true]}
  head: {width: {choice: [null, 32]}, pool: {choice: [adaptive, mean]}}
  survival: {schedule: {choice: [none, linear]}, last: {float: [0.5, 0.9], step: 0.2, when: {schedule: linear}}}
search: {trials: 3}
"""

SMALL = """
archsearch: 1
name: small
data: {name: digits}
space:
  stem: {width: 4}
  stages: {int: [1, 2]}
  depth: {int: [1, 2], each: stage}
  width: {choice: [4, 6, 8], each: stage, order: increasing}
  block: {choice: [basic, bottleneck]}
  bottleneck_ratio: {choice: [0.5, 1.0], when: {block: bottleneck}}
budget: {flops: {between: [20k, 160k]}}
search: {trials: 3}
"""


# Options that each stage has for itself, and a stem that follows the first of them.
STAGED = """
archsearch: 1
name: staged
data: {name: digits}
space:
  stem: {width: {same_as: stage1.width}}
  stages: {int: [2, 3]}
  depth: {each: stage, choices: [[1, 2], [3], [1, 2, 3]]}
  width: {each: stage, choices: [[6, 3], [12, 6, 9], [24, 12]]}
  block: {choice: [basic, bottleneck], each: stage}
  bottleneck_ratio: {each: stage, choices: [[0.5, 1.0], [0.25], [0.75, 1.0]], when: {block: bottleneck}}
search: {trials: 3}
"""


@pytest.fixture(params=["odd", "staged", "digits", "resnet_cifar", "resnet_fashion"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> SearchSpace:
    texts = {"odd": ODD, "staged": STAGED}
    return (
        odd(tmp_path, texts[request.param]) if request.param in texts else load_space(SPACES / f"{request.param}.yaml")
    )


def odd(folder: Path, text: str) -> SearchSpace:
    (folder / "space.yaml").write_text(text)
    return load_space(folder / "space.yaml")


def test_counts_are_those_of_the_network_that_the_choices_make(space: SearchSpace) -> None:
    grid = Grid(space.parameters)
    counter = Counter(grid, image=space.input, classes=space.classes)
    rows = grid.draw(150, np.random.default_rng(0))
    counts, possible = counter.count(rows)
    for row, found, there in zip(rows, counts, possible, strict=True):
        choices = grid.choices(row)
        try:
            counted = cost(space.architecture(RecordedChoices(choices)))
        except InputError:
            assert not there, choices
            assert counter.one(row.tolist()) is None
            continue
        wanted = [getattr(counted, name) for name in NAMES]
        assert there, choices
        assert found.tolist() == wanted, choices
        assert list(counter.one(row.tolist()) or ()) == wanted
        assert list(counter.one(row.tolist()) or ()) == wanted, "from what it remembers"
    assert possible.any()


DUAL_PATH = """
archsearch: 1
name: dual_path
data: {name: digits}
space:
  stages: 2
  depth: {int: [1, 3], each: stage}
  width: {choice: [8, 16, 24], each: stage}
  link: dual_path
  growth_rate: {choice: [0, 4, 8, 12], each: stage}
search: {trials: 3}
"""


GROUPS = """
archsearch: 1
name: groups
data: {name: digits}
space:
  stages: 2
  depth: 2
  width: {choice: [8, 20, 24, 56], each: stage}
  block: bottleneck
  bottleneck_ratio: {choice: [0.5, 1.0, 2.0]}
  group_width: {choice: [GROUPS], each: stage}
search: {trials: 3}
"""


PATHS = """
archsearch: 1
name: paths
data: {name: digits}
space:
  stem: {width: {choice: [1, 3, 8]}}
  stages: 2
  depth: {int: [1, 2]}
  width: {choice: [2, 8, 24], each: stage}
  block: {choice: [basic, bottleneck]}
  layers: {choice: [null, 2, 3-1-3]}
  kernel: {choice: [3, 5]}
  attention: {choice: [none, se, split, selective, selective_sliced]}
  attention_at: {choice: [output, inside]}
  attention_from: {choice: [branch, input]}
  attention_rounding: {choice: [1, 8]}
  attention_reduction: {choice: [2, 8]}
  radix: {int: [1, 3]}
  scales: {int: [1, 3]}
search: {trials: 3}
"""


def test_branches_of_several_paths_are_counted_at_once(tmp_path: Path) -> None:
    """Also where some candidates' inputs have fewer channels than paths would share."""
    space = odd(tmp_path, PATHS)
    grid = Grid(space.parameters)
    rows = grid.draw(3000, np.random.default_rng(0))
    counts, possible = Counter(grid, image=space.input, classes=space.classes).count(rows)
    assert 0 < possible.sum() < len(rows)
    for row, found, there in zip(rows[::30], counts[::30], possible[::30], strict=True):
        choices = grid.choices(row)
        try:
            counted = cost(space.architecture(RecordedChoices(choices)))
        except InputError as error:
            assert "cannot share" in str(error) and not there, choices
            continue
        assert there, choices
        assert found.tolist() == [getattr(counted, name) for name in NAMES], choices


@pytest.mark.parametrize("widths", ["1, 3, 8, 64", "null, 8"])
def test_groups_by_width_are_counted_at_once(tmp_path: Path, widths: str) -> None:
    space = odd(tmp_path, GROUPS.replace("GROUPS", widths))
    grid = Grid(space.parameters)
    rows = grid.everything(2000)
    assert rows is not None
    counts, possible = Counter(grid, image=space.input, classes=space.classes).count(rows, chunk=len(rows))
    assert possible.all()
    for row, found in zip(rows[::5], counts[::5], strict=True):
        counted = cost(space.architecture(RecordedChoices(grid.choices(row))))
        assert found.tolist() == [getattr(counted, name) for name in NAMES]


def test_many_stages_that_grow_by_different_numbers_are_counted_at_once(tmp_path: Path) -> None:
    space = odd(tmp_path, DUAL_PATH)
    grid = Grid(space.parameters)
    rows = grid.everything(2000)
    assert rows is not None and len(rows) == 1296
    counts, possible = Counter(grid, image=space.input, classes=space.classes).count(rows, chunk=len(rows))
    assert possible.all()
    for row, found in zip(rows[::25], counts[::25], strict=True):
        counted = cost(space.architecture(RecordedChoices(grid.choices(row))))
        assert found.tolist() == [getattr(counted, name) for name in NAMES]


# What a stage's cost hangs on outside of itself: the stem's norm, its and the next stage's activation. And conditions
# on parameters that the space does not set.
SURROUNDINGS = """
archsearch: 1
name: surroundings
data: {name: digits}
space:
  stem: {width: 4, norm: {choice: [null, true, false]}, preactivates: {choice: [false, true]}}
  stages: {int: [1, 2]}
  depth: 1
  width: 4
  activation: {choice: [post, pre, norm_after_addition, relu_only_pre, relu_before_addition], each: stage}
  shortcut: {choice: [A, B], when: {link: dense}}
  entry: {choice: [block, conv], each: stage, when: {stride: 2}}
search: {trials: 3}
"""


def test_what_surrounds_a_stage_is_part_of_its_cost(tmp_path: Path) -> None:
    space = odd(tmp_path, SURROUNDINGS)
    grid = Grid(space.parameters)
    rows = grid.everything(2000)
    assert rows is not None and len(rows) == space.size()
    counts, possible = Counter(grid, image=space.input, classes=space.classes).count(rows, chunk=len(rows))
    assert possible.all()
    for row, found in zip(rows, counts, strict=True):
        recorder = Recorder(RecordedChoices(choices := grid.choices(row)))
        counted = cost(space.architecture(recorder))
        assert recorder.taken == choices, "the grid asks what sampling asks"
        assert found.tolist() == [getattr(counted, name) for name in NAMES], choices


def test_rows_are_canonical_and_their_choices_lead_back_to_them(space: SearchSpace) -> None:
    grid = Grid(space.parameters)
    rng = np.random.default_rng(1)
    rows = grid.draw(200, rng)
    assert (grid.settle(rows.copy(), rng) == rows).all()
    for row in rows[:60]:
        found = grid.codes(grid.choices(row), rng)
        assert found is not None
        assert (found == row).all()


def test_settling_leaves_the_rows_that_it_is_given_as_they_are(space: SearchSpace) -> None:
    grid, rng = Grid(space.every_parameter), np.random.default_rng(0)
    row = np.full((1, len(grid.columns)), -1, np.int32)
    assert (grid.settle(row, rng) >= 0).any()
    assert (row == -1).all()


def test_a_stage_has_its_options_and_the_stem_the_first_stages_width(tmp_path: Path) -> None:
    space = odd(tmp_path, STAGED)
    assert odd(tmp_path, space.to_yaml()) == space
    domains = dict(space.dimensions())
    assert domains["stage2.width"].probes() == (12, 6, 9) and "stem.width" not in domains
    assert (
        space.extent()
        == Size(count=1_368, exact=True)
        == Size(count=len(Grid(space.parameters).everything(30_000)), exact=True)
    )  # type: ignore[arg-type]
    grid = Grid(space.parameters)
    for row in grid.draw(60, np.random.default_rng(1)):
        network = space.architecture(RecordedChoices(grid.choices(row)))
        assert network.stem.width == network.stages[0].width in (6, 3)
        assert network.stages[1].width in (12, 6, 9) and network.stages[1].depth == 3
        encoded = encode(space, grid, network, space.training)
        assert not isinstance(encoded, str) and encoded.tolist() == row.tolist()


def test_everything_is_what_drawing_for_long_enough_finds(tmp_path: Path) -> None:
    grid = Grid(odd(tmp_path, SMALL).parameters)
    everything = grid.everything(1000)
    assert everything is not None
    drawn = np.unique(grid.draw(20_000, np.random.default_rng(0)), axis=0)
    assert sorted(map(tuple, everything.tolist())) == sorted(map(tuple, drawn.tolist()))
    assert grid.everything(len(everything) - 1) is None
    logs = grid.log_weights(everything)
    assert np.exp(logs).sum() == pytest.approx(1.0), "the probabilities of all rows"


def test_draws_are_uniform_over_the_feasible_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chi-square at 0.001 over all candidates of a small space, with conditions, sorted words and a window."""
    space = odd(tmp_path, SMALL)
    whole = Feasible(space, seed=0)
    assert whole.everything is not None
    candidates = {row.tobytes() for row in whole.everything}
    assert len(candidates) > 25
    rng = np.random.default_rng(2)
    tally = Tally(whole.draw(1, rng)[0].tobytes() for _ in range(3000))
    assert tally.keys() <= candidates, "nothing outside the feasible set"
    assert chisquare([tally[row] for row in candidates]).pvalue > 0.001, tally

    # A larger space is not enumerated: its candidates come in a sequence, where each is as likely as any other.
    monkeypatch.setattr("archsearch.space.many.feasible.SMALL", 0)
    monkeypatch.setattr("archsearch.space.many.feasible.PATIENCE", 1 << 17)
    drawn = Feasible(space, seed=1)
    assert {row.tobytes() for row in drawn.draw(10_000, rng)} == candidates
    tally = Tally(row.tobytes() for row in np.concatenate([drawn._block() for _ in range(8)]))
    assert tally.keys() >= candidates
    assert chisquare([tally[row] for row in candidates]).pvalue > 0.001, tally


def test_every_candidate_is_handed_out_once_and_keeps_the_budget(tmp_path: Path) -> None:
    space = odd(tmp_path, SMALL)
    feasible, rng = Feasible(space, seed=3), np.random.default_rng(0)
    assert feasible.everything is not None
    seen = set()
    while len(row := feasible.draw(1, rng)):
        assert row[0].tobytes() not in seen
        seen.add(row[0].tobytes())
        feasible.use(row[0])
        assert 20_000 <= feasible.costs(row)["flops"][0] <= 160_000
    assert len(seen) == len(feasible.everything)
    feasible.release(row := feasible.everything[0])
    assert (feasible.draw(5, rng) == row).all()


def test_draws_depend_on_what_is_used_and_not_on_what_was_asked_before() -> None:
    space = load_space(SPACES / "digits.yaml")
    one, other = Feasible(space, seed=0), Feasible(space, seed=0)
    one.draw(700, np.random.default_rng(9))
    first, again = (f.draw(20, np.random.default_rng(1)) for f in (one, other))
    assert (first == again).all()


def test_the_typical_candidate_is_of_median_flops_and_asking_for_it_changes_no_draw() -> None:
    space = load_space(SPACES / "digits.yaml")
    one, other = Feasible(space, seed=0), Feasible(space, seed=0)
    row = one.typical()
    first = np.array([row for row, _ in zip(other, range(TYPICAL), strict=False)])
    assert one.costs(row[None])["flops"][0] == np.median(other.costs(first)["flops"])
    one.use(row)
    assert (one.typical() == row).all()
    one.release(row)
    drawn, again = (f.draw(20, np.random.default_rng(1)) for f in (one, other))
    assert (drawn == again).all()


def test_neighbours_differ_in_one_choice_and_keep_the_budget() -> None:
    space = load_space(SPACES / "digits.yaml")
    feasible, rng = Feasible(space, seed=0), np.random.default_rng(0)
    for row in feasible.draw(10, rng):
        near = feasible.neighbours(row, 100, rng)
        assert len(near)
        assert space.budget.admits_many(feasible.costs(near)).all()
        both = (near >= 0) & (row >= 0)
        # Sorting may move a changed width past its neighbours', which changes two of the sorted values.
        assert ((both & (near != row)).sum(1) <= 2).all()
        feasible.use(near[0])
        assert not (feasible.neighbours(row, 100, rng) == near[0]).all(1).any()


def test_the_first_and_the_last_value_are_neighbours_too(tmp_path: Path) -> None:
    space = odd(tmp_path, SMALL.replace("budget: {flops: {between: [20k, 160k]}}\n", ""))
    feasible, rng = Feasible(space, seed=0), np.random.default_rng(0)
    row = feasible.grid.codes({"stages": 1, "stage1.depth": 2, "stage1.width": 6, "block": "basic"}, rng)
    assert row is not None
    near = [feasible.grid.choices(other) for other in feasible.neighbours(row, 100, rng)]
    assert {choices["stage1.depth"] for choices in near} == {1, 2}
    assert {choices["stage1.width"] for choices in near if choices["stages"] == 1} == {4, 6, 8}
    assert {choices["stages"] for choices in near} == {1, 2}
