"""Domains, columns and the way from a network back to its row, at their edges."""

from pathlib import Path

import numpy as np
import pytest

from archsearch.architecture.canonical import digest
from archsearch.space.choices import RecordedChoices
from archsearch.space.domains import Choice, Domain, Integers, Reals
from archsearch.space.loading import load_space
from archsearch.space.many.columns import POINTS, Column
from archsearch.space.many.encoding import encode
from archsearch.space.many.grid import Grid

from .spaces import space_of

SPACES = Path(__file__).parents[2] / "search_spaces"


def domain(kind: type[Domain], **fields: object) -> Domain:
    return kind.model_validate(fields)


def test_integers_hold_what_is_within_and_on_a_step() -> None:
    even = domain(Integers, int=[2, 8], step=2)
    assert [value for value in range(12) if even.holds(value)] == [2, 4, 6, 8]
    assert not even.holds(True) and not even.holds("2") and even.holds(4.0)


def test_all_values_are_probed_up_to_a_thousand() -> None:
    assert len(domain(Reals, float=[0, 999], step=1).probes()) == 1000
    assert domain(Reals, float=[0, 1000], step=1).probes() == (0, 1000)
    assert len(domain(Integers, int=[1, 1000]).probes()) == 1000
    assert domain(Integers, int=[1, 1001]).probes() == (1, 1001)


def test_a_column_is_ordered_where_all_its_values_are_numbers() -> None:
    for values, ordered in (([8, 16.0], True), ([False, True], False), ([8, True], False), (["a", "b"], False)):
        assert Column.of("x", domain(Choice, choice=values)).ordered is ordered


def test_a_continuous_column_has_codes_for_what_lies_within_alone() -> None:
    column = Column.of("x", domain(Reals, float=[0.5, 1.0]))
    assert column.code(0.5) == 0 and column.code(1.0) == POINTS - 1
    code = column.code(0.70001)
    assert code is not None and column.values[code] == pytest.approx(0.7, abs=5e-4)
    assert column.code(0.4999) is None and column.code(1.0001) is None
    assert Column.of("x", domain(Reals, float=[0.5, 1.0], step=0.1)).code(0.55) is None


@pytest.mark.parametrize("name", ["digits", "resnet_cifar"])
def test_a_network_of_the_space_is_found_in_it_again(name: str) -> None:
    space = load_space(SPACES / f"{name}.yaml")
    grid = Grid(space.parameters)
    stages = set()
    for row in grid.draw(20, np.random.default_rng(0)):
        network = space.architecture(RecordedChoices(grid.choices(row)))
        encoded = encode(space, grid, network, space.training)
        assert not isinstance(encoded, str), encoded
        assert digest(space.architecture(RecordedChoices(grid.choices(encoded)))) == digest(network)
        stages.add(len(network.stages))
    assert grid.most_stages in stages, "as many as there can be are not too many"


def test_a_network_that_the_space_lacks_is_told_by_the_choice_that_is_missing(tmp_path: Path) -> None:
    words = "stages: 2\nwidth: 8\ndepth: {int: [1, 4], each: stage}"
    space = space_of(tmp_path, "stages: {int: [1, 3]}\nwidth: 8\ndepth: {int: [1, 9], each: stage}")
    row = {"stages": 2, "stage1.depth": 3, "stage2.depth": 7}
    deep = space.architecture(RecordedChoices(row))
    high = space.architecture(
        RecordedChoices({"stages": 3, **dict.fromkeys([f"stage{i}.depth" for i in (1, 2, 3)], 1)})
    )
    for narrower, network, answer in (
        (words, deep, "stage2.depth"),
        (words, high, "stages = 3"),
        (words.replace("width: 8", "width: 16").replace("4", "9"), deep, "width = 8"),
    ):
        other = space_of(tmp_path, narrower)
        found = encode(other, Grid(other.parameters), network, other.training)
        assert isinstance(found, str) and found == (answer if "=" in answer else "depth = 7")
