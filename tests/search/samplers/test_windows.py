"""Local moves inside a narrow window of the budget."""

from pathlib import Path

import numpy as np
import pytest

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers import sampler_of
from archsearch.space.loading import load_space
from archsearch.space.many import feasible as candidates
from archsearch.space.many.columns import FloatArray
from archsearch.space.many.feasible import Feasible
from archsearch.space.space import SearchSpace

NARROW = """
archsearch: 1
name: narrow
data: {name: digits}
space:
  stem: {width: 8}
  stages: 3
  depth: {int: [1, 5], each: stage}
  width: {int: [8, 64], step: 8, each: stage}
  block: {choice: [basic, bottleneck]}
budget: {flops: {between: [980k, 1020k]}}
search: {trials: 3}
"""


@pytest.fixture
def narrow(tmp_path: Path) -> SearchSpace:
    (tmp_path / "space.yaml").write_text(NARROW)
    return load_space(tmp_path / "space.yaml")


def test_where_one_change_leaves_the_window_two_changes_stay_inside(narrow: SearchSpace) -> None:
    feasible, rng = Feasible(narrow, seed=0), np.random.default_rng(0)
    counts = []
    for row in feasible.draw(30, rng):
        near = feasible.neighbours(row, 1000, rng)
        apart = (near != row).sum(axis=1)
        assert ((apart == 1) | (apart == 2)).all()
        assert len(np.unique(near, axis=0)) == len(near)
        assert narrow.budget.admits_many(feasible.costs(near)).all()
        again = Feasible(narrow, seed=1).neighbours(row, 1000, np.random.default_rng(1))
        assert {tuple(other) for other in near.tolist()} == {tuple(other) for other in again.tolist()}
        # Of the two one is a step of an ordered choice or any change of another; the first of them adds what the
        # second takes off, or the other way round.
        ordered = np.array([column.ordered for column in feasible.columns])
        steps = np.where(ordered, np.abs(near - row) == 1, near != row)
        assert steps.any(axis=1).all()
        counts.append((apart.tolist().count(1), len(near)))
    alone, all_of_them = np.median(counts, axis=0)
    assert alone <= 4 and all_of_them >= 3 * alone, counts


def test_all_pairs_within_the_budget_that_make_up_for_one_another_are_neighbours(
    narrow: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against every row of the space, of which those are meant that differ in the depth of one stage and in the width
    of another, where costs add up but for what the next stage makes of the width."""
    monkeypatch.setattr(candidates, "SMALL", 10**7)
    whole = Feasible(narrow, seed=0)
    everything = whole.everything
    assert everything is not None
    names = [column.name for column in whole.columns]
    depth, width = names.index("stage1.depth"), names.index("stage3.width")
    checked = 0
    for row in everything[:800]:
        near = {tuple(other) for other in whole.neighbours(row, 1000, np.random.default_rng(0)).tolist()}
        if sum(np.count_nonzero(np.array(other) != row) == 1 for other in near) >= candidates.FEW:
            continue
        apart = everything != row
        pairs = everything[apart[:, depth] & apart[:, width] & (apart.sum(axis=1) == 2)]
        distances = np.abs(pairs - row)[:, [depth, width]]
        steps = (distances == 1).any(axis=1) & (distances <= candidates.REACH).all(axis=1)
        assert {tuple(pair) for pair in pairs[steps].tolist()} <= near
        checked += int(steps.sum())
    assert checked > 50, checked


def test_local_search_reaches_random_searchs_level_sooner_than_with_single_changes(
    narrow: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, runs = 60, 12
    two = _best_so_far(narrow, "local_search", trials, runs)
    goal = _best_so_far(narrow, "random", trials, runs)[-1]
    monkeypatch.setattr(candidates, "FEW", 0)
    one = _best_so_far(narrow, "local_search", trials, runs)
    assert (two >= goal).any() and int(np.argmax(two >= goal)) < trials / 2
    assert not (one >= goal).any() or int(np.argmax(two >= goal)) < int(np.argmax(one >= goal))


def _best_so_far(space: SearchSpace, sampler: str, trials: int, runs: int) -> FloatArray:
    """(trials,): the mean over runs of the best worth so far."""
    best = []
    for seed in range(runs):
        feasible = Feasible(space, seed=seed)
        history = History.empty(len(feasible.columns))
        for number in range(trials):
            proposal = sampler_of(sampler, objectives=1).propose(
                history, feasible, np.random.default_rng([seed, number])
            )
            assert proposal is not None
            feasible.use(proposal)
            codes = np.concatenate([history.codes, proposal[None]])
            history = History(codes, _worth(codes)[:, None], np.ones(len(codes), int), 1)
        best.append(np.maximum.accumulate(history.scores[:, 0]))
    return np.asarray(np.mean(best, axis=0))


def _worth(codes: np.ndarray) -> FloatArray:
    """A stand-in for an accuracy: depths of 3, 4 and 3, a narrow start, bottlenecks."""
    depth = ((codes[:, :3] - [2, 3, 2]) ** 2).sum(axis=1)
    width = ((codes[:, 3:6] - [1, 3, 5]) ** 2).sum(axis=1)
    return np.asarray(-depth - 0.3 * width + 0.5 * codes[:, 6])
