"""What single samplers do, beyond what all keep to."""

import numpy as np
import pytest

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.bayes import Bayes, _ranked
from archsearch.search.proposing.samplers.evolution import Evolution
from archsearch.search.proposing.samplers.finals import Finals
from archsearch.search.proposing.samplers.local_search import LocalSearch
from archsearch.search.proposing.samplers.nsga2 import Nsga2
from archsearch.search.proposing.samplers.ranking import order
from archsearch.search.proposing.samplers.tpe import Tpe
from archsearch.space.many.columns import Column
from benchmarks.finite_field import FiniteField
from tests.search.samplers.small import NAMES, space


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


def test_tpe_takes_what_the_good_ones_share() -> None:
    field, history = drawn(60)
    link, width = NAMES.index("link"), NAMES.index("width")
    dense = history.codes[:, link] == 2
    history.scores[:] = np.where(dense, 0.9, 0.5)[:, None] + 0.001 * history.codes[:, :1]
    rows = [Tpe().propose(history, field, np.random.default_rng(seed)) for seed in range(5)]
    assert all(row is not None and row[link] == 2 and row[width] == -1 for row in rows)


def test_tpe_does_not_take_the_budgets_preference_for_a_good_value() -> None:
    """Where nearly all that is left is dense, and the scores say nothing of the link, dense is not preferred for that:
    what differs in score decides."""
    field, history = drawn(60)
    link, depth = NAMES.index("link"), NAMES.index("stage1.depth")
    history.scores[:] = np.where(history.codes[:, depth] == 2, 0.9, 0.5)[:, None]
    field.left &= (field.codes[:, link] == 2) | (field.codes[:, depth] == 2)
    rows = [Tpe().propose(history, field, np.random.default_rng(seed)) for seed in range(5)]
    assert all(row is not None and row[depth] == 2 for row in rows)


def test_nsga2_takes_its_parents_from_the_front() -> None:
    """One value is on the front alone, and children of the front have it unless they mutate."""
    field, history = drawn(80)
    activation = NAMES.index("activation")
    pre = history.codes[:, activation] == 1
    scores = np.random.default_rng(0).random((80, 2)) + np.where(pre, 2.0, 0.0)[:, None]
    seen = History(history.codes, scores, history.epochs, 9)
    rows = [Nsga2(population=15).propose(seen, field, np.random.default_rng(seed)) for seed in range(30)]
    assert np.mean([row is not None and row[activation] == 1 for row in rows]) > 0.75


def test_the_values_of_an_unordered_choice_lend_each_other_nothing() -> None:
    """Along an ordered column of three values or more what is good makes its neighbours good, and nowhere else."""
    columns = [column("kernel", 4), column("link", 4, ordered=False), column("depth", 2)]
    codes, prior = np.zeros((8, 3), np.int32), np.full((3, 5), 0.25)
    kernel, link, depth = Tpe()._density(codes, prior, columns)
    assert kernel[0] > kernel[1] > kernel[2] > kernel[3]
    assert link[0] > 4 * link[1] and link[1] == link[2] == link[3] == depth[1]
    exact = Tpe(smoothing=0)._density(codes, prior, columns)
    assert exact[0, :4].tolist() == exact[1, :4].tolist() == link[:4].tolist()


class LastQuantile:
    """A generator whose every number is the largest below 1."""

    def random(self, shape: tuple[int, int]) -> np.ndarray:
        return np.full(shape, 1 - 2**-53)


def test_tpe_draws_no_value_that_a_column_does_not_have() -> None:
    columns = [column("few", 2), column("many", 6)]
    density = np.array([[0.3, 0.7 - 1e-9, 1e-9, 0, 0, 0, 0], [0.1, 0.1, 0.2, 0.2, 0.2, 0.2 - 1e-9, 1e-9]])
    assert Tpe(sampled=3)._draws(density, columns, LastQuantile()).tolist() == [[1, 5]] * 3  # type: ignore[arg-type]


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


def test_bayes_learns_from_ranks_and_equal_scores_share_theirs() -> None:
    scores = Finals(np.arange(5), np.array([0.9, 0.1, 0.5, 0.5, 0.5]), np.array([0, 0, 0, 0.01, 0]))
    values, extra = _ranked(scores)
    expected = np.array([5, 1, 3, 3, 3]) - 3
    assert values == pytest.approx(expected / expected.std())
    # A deviation of 0.1 around 0.5 spans a quarter of the way to either neighbour.
    assert extra == pytest.approx([0, 0, 0, (0.25 * values[0]) ** 2, 0])
