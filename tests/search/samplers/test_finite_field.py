"""The listed space that the other tests and the benchmark stand on."""

import numpy as np
import pytest

from tests.search.samplers.small import NAMES, space


def test_every_candidate_is_drawn_once_and_a_used_one_never_again() -> None:
    field, rng = space(), np.random.default_rng(0)
    drawn = field.draw(1000, rng)
    assert len(drawn) == len(field.codes) == 9 * (2 * 4 + 3) * 2
    assert len({row.tobytes() for row in drawn}) == len(drawn)
    place = field.use(drawn[0])
    assert np.array_equal(field.codes[place], drawn[0])
    assert len(field.draw(1000, rng)) == len(drawn) - 1
    with pytest.raises(ValueError, match="not left"):
        field.use(drawn[0])
    assert len(field.fresh().draw(1000, rng)) == len(drawn)


def test_choices_that_do_not_count_are_settled() -> None:
    field = space()
    link, width, growth = (NAMES.index(name) for name in ("link", "width", "growth_rate"))
    wished = np.array([[1, 1, 2, 3, 2, 0], [1, 1, 2, 0, 2, 0], [1, 1, 0, 3, 2, 0], [1, 1, 0, -1, 2, 0]])
    found = field.admitted(wished)
    assert found[:, link].tolist() == [2, 0]  # the second is the first again, and the fourth lacks its width
    assert found[0, width] == -1 and found[1, growth] == -1
    field.use(found[0])
    assert field.admitted(wished)[:, link].tolist() == [0]


def test_neighbours_differ_in_one_choice_and_an_ordered_one_by_one_place() -> None:
    field, rng = space(), np.random.default_rng(0)
    row = np.array([0, 1, 1, 2, -1, 0])
    found = {tuple(near) for near in field.neighbours(row, 1000, rng).tolist()}
    ordered = {(1, 1, 1, 2, -1, 0), (0, 0, 1, 2, -1, 0), (0, 2, 1, 2, -1, 0), (0, 1, 1, 1, -1, 0), (0, 1, 1, 3, -1, 0)}
    others = {(0, 1, 0, 2, -1, 0), (0, 1, 1, 2, -1, 1)} | {(0, 1, 2, -1, growth, 0) for growth in range(3)}
    assert found == ordered | others
