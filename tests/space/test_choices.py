"""Random draws lie in their domains and spread over them; recorded ones replay."""

from collections import Counter

import pytest

from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices, RecordedChoices, Recorder


def test_the_same_seed_draws_the_same() -> None:
    def draws(seed: int) -> list[object]:
        choices = RandomChoices(seed)
        return [choices.integer("n", 1, 1000), choices.real("x", 0, 1), choices.choice("c", list("abcdef"))]

    assert draws(3) == draws(3) != draws(4)


def test_every_integer_of_a_range_is_about_as_likely() -> None:
    choices = RandomChoices(0)
    counts = Counter(choices.integer("n", 2, 10, step=4) for _ in range(3000))
    assert set(counts) == {2, 6, 10}
    assert min(counts.values()) > 850


def test_logarithmic_integers_give_each_doubling_about_its_share() -> None:
    choices = RandomChoices(0)
    drawn = [choices.integer("n", 1, 64, log=True) for _ in range(4000)]
    assert set(drawn) <= set(range(1, 65))
    assert {1, 64} <= set(drawn)
    low, high = sum(4 <= n < 8 for n in drawn), sum(16 <= n < 32 for n in drawn)
    assert 0.8 < low / high < 1.3


def test_reals_keep_their_range_their_grid_and_their_logarithm() -> None:
    choices = RandomChoices(0)
    assert {round(choices.real("x", 0.5, 1.0, step=0.25), 9) for _ in range(100)} == {0.5, 0.75, 1.0}
    drawn = [choices.real("x", 1e-4, 1.0, log=True) for _ in range(2000)]
    assert all(1e-4 <= x <= 1 for x in drawn)
    assert 0.4 < sum(x < 1e-2 for x in drawn) / 2000 < 0.6


def test_a_recorder_keeps_every_answer_in_order_and_they_replay() -> None:
    recorder = Recorder(RandomChoices(1))
    asked = (
        lambda c: c.choice("block", ["basic", "bottleneck"]),
        lambda c: c.integer("stage1.depth", 1, 9, step=2),
        lambda c: c.real("last", 0.5, 1.0, step=0.1),
        lambda c: c.real("rate", 0.001, 1.0, log=True),
    )
    answers = [ask(recorder) for ask in asked]
    assert list(recorder.taken) == ["block", "stage1.depth", "last", "rate"]
    replay = RecordedChoices(recorder.taken)
    assert [ask(replay) for ask in asked] == answers


@pytest.mark.parametrize("value", ["c", 1.0, True, None])
def test_a_recorded_option_must_be_one(value: object) -> None:
    with pytest.raises(InputError, match="x"):
        RecordedChoices({"x": value}).choice("x", ["a", "b", 1.5])  # type: ignore[dict-item]


@pytest.mark.parametrize("value", [0, 4, 11, 2.5, "3", True, None])
def test_a_recorded_integer_must_lie_on_its_range(value: object) -> None:
    with pytest.raises(InputError, match="n"):
        RecordedChoices({"n": value}).integer("n", 1, 10, step=2)  # type: ignore[dict-item]


@pytest.mark.parametrize("value", [0.4, 1.1, 0.55, "0.5", True])
def test_a_recorded_number_must_lie_on_its_range(value: object) -> None:
    with pytest.raises(InputError, match="x"):
        RecordedChoices({"x": value}).real("x", 0.5, 1.0, step=0.1)  # type: ignore[dict-item]


def test_a_missing_answer_is_named() -> None:
    with pytest.raises(InputError, match=r"stage2\.depth"):
        RecordedChoices({"stage1.depth": 1}).integer("stage2.depth", 1, 2)


def test_true_is_not_the_option_1() -> None:
    assert RecordedChoices({"x": 1}).choice("x", [True, 1]) == 1
    assert RecordedChoices({"x": 1}).choice("x", [True, 1]) is not True
