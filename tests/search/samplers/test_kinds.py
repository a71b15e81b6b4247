"""What single samplers do, beyond what all keep to."""

import numpy as np
import pytest

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.bayes import Bayes, _ranked
from archsearch.search.proposing.samplers.evolution import Evolution
from archsearch.search.proposing.samplers.finals import Finals
from archsearch.search.proposing.samplers.local_search import LocalSearch
from archsearch.search.proposing.samplers.ranking import order
from archsearch.search.proposing.samplers.uniform import Uniform
from archsearch.space.many.columns import Column
from benchmarks.finite_field import FiniteField
from tests.search.samplers.small import NAMES, search, space


def drawn(count: int, seed: int = 0) -> tuple[FiniteField, History]:
    """So many finished trials with random scores."""
    field, rng = space(), np.random.default_rng(seed)
    codes = field.draw(count, rng)
    for row in codes:
        field.use(row)
    return field, History(codes, rng.random((count, 1)), np.full(count, 9), 9)


def column(name: str, size: int, ordered: bool = True) -> Column:
    return Column(name=name, values=tuple(range(size)), weights=np.full(size, 1 / size), ordered=ordered)


def is_near(field: FiniteField, one: np.ndarray, other: np.ndarray) -> bool:
    both = (one >= 0) & (other >= 0)
    return int(((one != other) & both).sum()) == 1


def test_the_dead_of_evolution_have_no_children() -> None:
    """The best trial of all is too old to live, so that no child is its neighbour but by way of another."""
    field, history = drawn(40)
    history.scores[0] = 5.0
    sampler = Evolution(population=8, tournament=8)
    best = history.codes[order(history)[order(history) >= 32][0]]
    for seed in range(20):
        child = sampler.propose(history, field, np.random.default_rng(seed))
        assert child is not None and is_near(field, child, best)
    assert not is_near(field, best, history.codes[0])


def test_a_small_tournament_lets_others_win() -> None:
    field, history = drawn(40)
    best = history.codes[order(history)[order(history) >= 20][0]]
    children = [
        Evolution(population=20, tournament=2).propose(history, field, np.random.default_rng(s)) for s in range(20)
    ]
    assert not all(is_near(field, child, best) for child in children if child is not None)


def test_local_search_goes_round_the_best_then_round_the_next_best() -> None:
    field, history = drawn(12)
    ranked = order(history)
    near = field.neighbours(history.codes[ranked[0]], 1000, np.random.default_rng(0))
    assert len(near) > 3
    for number in range(len(near)):
        row = LocalSearch().propose(history, field, np.random.default_rng(number))
        assert row is not None and is_near(field, row, history.codes[ranked[0]])
        field.use(row)
    row = LocalSearch().propose(history, field, np.random.default_rng(99))
    assert row is not None and is_near(field, row, history.codes[ranked[1]])


def test_with_several_objectives_bayes_is_drawn_to_what_is_unknown() -> None:
    """Scores say nothing; one of the two candidates that are left stands among the known ones, the other far off."""
    field = space()
    link, width = NAMES.index("link"), NAMES.index("width")
    plain = field.codes[(field.codes[:, link] == 0) & (field.codes[:, width] < 2)]
    near, known = plain[len(plain) // 2], np.delete(plain, len(plain) // 2, axis=0)
    (far,) = field.codes[(field.codes == [2, 2, 2, -1, 2, 1]).all(axis=1)]
    field.left[:] = (field.codes == near).all(axis=1) | (field.codes == far).all(axis=1)
    scores = np.repeat(np.random.default_rng(0).random((len(known), 1)), 2, axis=1)
    history = History(known, scores, np.full(len(known), 9), 9)
    for seed in range(5):
        row = Bayes(confidence=10.0).propose(history, field, np.random.default_rng(seed))
        assert row is not None and np.array_equal(row, far)


def test_bayes_begins_with_the_largest_networks_which_differ_in_two_choices_or_more() -> None:
    field = space()
    flops = field.costs(field.codes)["flops"]
    history = search(Bayes(), field, 3)
    rows, costs = history.codes, field.costs(history.codes)["flops"]
    assert costs[0] == flops.max() and (np.diff(costs) <= 0).all()
    for count in (1, 2):
        apart = (field.codes[:, None] != rows[:count]).sum(axis=2).min(axis=1) > 1
        assert costs[count] == flops[apart].max() and apart[field.places(rows[count])]
    # Then at random until six scores are known; running trials count as trials, and of many every other one is large.
    begun = History(rows, np.full((3, 1), np.nan), np.zeros(3, int), 9)
    drawn = [Bayes().propose(begun, field, np.random.default_rng(seed)) for seed in range(20)]
    assert len({row.tobytes() for row in drawn if row is not None}) > 15


def test_while_many_workers_wait_for_scores_every_other_network_is_large() -> None:
    field = space()
    codes, flops = np.empty((0, len(field.columns)), np.int32), field.costs(field.codes)["flops"]
    large = []
    for number in range(20):
        waiting = History(codes, np.full((number, 1), np.nan), np.zeros(number, int), 9)
        row = Bayes().propose(waiting, field, np.random.default_rng(number))
        assert row is not None
        apart = (field.codes[:, None] != codes).sum(axis=2).min(axis=1, initial=2)
        apart[~field.left] = -1
        if flops[field.places(row)] == flops[apart == apart.max()].max():
            large.append(number)
        field.use(row)
        codes = np.concatenate([codes, row[None]])
    assert set(large) >= {0, 1, 2, 6, 8, 10, 12, 14, 16, 18} and len(large) < 13


def test_where_no_network_is_much_larger_bayes_begins_with_any() -> None:
    field = space()
    flops = field.costs(field.codes)["flops"]
    field.left[:] = (flops > 0.9 * np.median(flops)) & (flops < 1.1 * np.median(flops))
    empty = History.empty(len(field.columns), 1, 9)
    rows = [Bayes().propose(empty, field, np.random.default_rng(seed)) for seed in range(10)]
    assert len({row.tobytes() for row in rows if row is not None}) > 2


def test_with_several_objectives_bayes_begins_at_random() -> None:
    field, history = space(), search(Bayes(), space(), 0, objectives=2)
    for seed in range(5):
        rows = [sampler.propose(history, field, np.random.default_rng(seed)) for sampler in (Bayes(), Uniform())]
        assert rows[0] is not None and rows[1] is not None and np.array_equal(*rows)


def test_bayes_learns_from_ranks_and_equal_scores_share_theirs() -> None:
    scores = Finals(np.arange(5), np.array([0.9, 0.1, 0.5, 0.5, 0.5]), np.array([0, 0, 0, 0.01, 0]))
    values, extra = _ranked(scores)
    expected = np.array([5, 1, 3, 3, 3]) - 3
    assert values == pytest.approx(expected / expected.std())
    # A deviation of 0.1 around 0.5 spans a quarter of the way to either neighbour.
    assert extra == pytest.approx([0, 0, 0, (0.25 * values[0]) ** 2, 0])
