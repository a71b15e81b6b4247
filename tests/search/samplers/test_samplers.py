"""What every sampler keeps to, and that each finds better networks than chance."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from archsearch.reading.errors import InputError
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers import NAMES, Sampler, sampler_of
from benchmarks.finite_field import FiniteField
from tests.search.samplers.small import accuracy, grown, search, space

OPTUNA = {"optuna": "optuna.samplers:TPESampler"}
SLOW = ("gp", "cmaes", "nsga3")  # or of a package that is not installed: through the adaptor as the others
ALL = [*(name for name in NAMES if name not in SLOW), OPTUNA]
every = pytest.mark.parametrize("word", ALL, ids=lambda word: word if isinstance(word, str) else "optuna")


@pytest.fixture(scope="module")
def field() -> FiniteField:
    return space()


@cache
def by_chance() -> History:
    """Forty random trials."""
    return search(sampler_of("random", objectives=1), space(), 40)


def without(field: FiniteField, history: History) -> FiniteField:
    left = field.fresh()
    for row in history.codes:
        left.use(row)
    return left


@every
def test_a_used_candidate_is_never_proposed_and_a_used_up_space_ends_it(word: str, field: FiniteField) -> None:
    left = field.fresh()
    left.left[60:] = False  # sixty candidates are in budget
    history = search(sampler_of(word, objectives=1), left, 70)  # `use` raises where one is proposed that is not left
    assert len(history) == 60
    assert len({row.tobytes() for row in history.codes}) == 60


@every
def test_the_same_history_and_seed_give_the_same_row_whatever_was_asked_before(word: str, field: FiniteField) -> None:
    known = by_chance()
    left = without(field, known)
    seasoned = sampler_of(word, objectives=1)
    for size in (12, 25, 40):
        part = History(known.codes[:size], known.scores[:size], known.epochs[:size], known.full)
        seasoned.propose(part, left, np.random.default_rng(size))
    fresh = sampler_of(word, objectives=1)
    rows = [sampler.propose(known, left, np.random.default_rng(3)) for sampler in (seasoned, fresh)]
    assert rows[0] is not None and rows[1] is not None
    assert np.array_equal(*rows)
    others = [fresh.propose(known, left, np.random.default_rng(seed)) for seed in range(4, 24)]
    if word in ("random", "evolution", "local_search", "nsga2"):
        assert len({row.tobytes() for row in others if row is not None}) > 1


@every
@pytest.mark.parametrize("objectives", [1, 2])
def test_running_failed_and_paused_trials_are_no_obstacle(word: str, objectives: int, field: FiniteField) -> None:
    history = search(sampler_of("random", objectives=1), field.fresh(), 0, objectives=objectives)
    drawn = field.draw(40, np.random.default_rng(0))
    for row in drawn:
        history = grown(history, field, row)
    scores, epochs = history.scores.copy(), np.full(40, 9)
    epochs[:25] = 1  # paused at the first rung
    epochs[25:31] = 3
    scores[[2, 30, 38, 39]] = np.nan  # failed, or running
    rungs = {1: history.scores - 0.2}
    messy = replace(history, scores=scores, epochs=epochs, rungs=rungs)
    sampler = sampler_of(word, objectives=objectives)
    row = sampler.propose(messy, without(field, messy), np.random.default_rng(0))
    assert row is not None
    nothing_known = replace(messy, scores=np.full_like(scores, np.nan), rungs={})
    assert sampler.propose(nothing_known, without(field, messy), np.random.default_rng(0)) is not None


def test_random_is_uniform(field: FiniteField) -> None:
    sampler, rng = sampler_of("random", objectives=1), np.random.default_rng(1)
    left = field.fresh()
    left.left[40:] = False
    nothing = History.empty(len(field.columns))
    counts = np.zeros(40)
    for _ in range(4000):
        row = sampler.propose(nothing, left, rng)
        assert row is not None
        counts[int(left.places(row))] += 1
    squared = ((counts - 100) ** 2 / 100).sum()
    assert squared < 72.1  # the 99.9 % point of chi-square with 39 degrees of freedom


@cache
def best_found(word: str, trials: int) -> float:
    """Mean over ten searches of the best accuracy within so many trials."""
    tops = []
    for seed in range(10):
        field = space()
        history = search(sampler_of(word, objectives=1), field, trials, seed)
        tops.append(accuracy(field, history.codes).max())
    return float(np.mean(tops))


@pytest.mark.parametrize("word", ["auto", "tpe", "local_search", "bayes"])
def test_forty_trials_find_more_than_sixty_random_ones(word: str) -> None:
    assert best_found(word, 40) > best_found("random", 60)


def test_a_population_finds_more_than_chance() -> None:
    assert best_found("evolution", 70) > best_found("random", 70)


@pytest.mark.parametrize("word", ["auto", "nsga2"])
def test_with_two_objectives_a_better_front_than_chance(word: str) -> None:
    def area(sampler: Callable[[], Sampler]) -> float:
        found = []
        for seed in range(6):
            field = space()
            history = search(sampler(), field, 60, seed, objectives=2)
            found.append(dominated_area(history.scores, reference=(0.7, -5.0)))
        return float(np.mean(found))

    assert area(lambda: sampler_of(word, objectives=2)) > area(lambda: sampler_of("random", objectives=2))


def dominated_area(scores: np.ndarray, reference: tuple[float, float]) -> float:
    """The area between a front of two objectives, more is better, and a reference point."""
    area, height = 0.0, reference[1]
    for first, second in sorted(map(tuple, scores), reverse=True):
        if first > reference[0] and second > height:
            area += (first - reference[0]) * (second - height)
            height = second
    return area


@pytest.mark.parametrize(
    "word", ["genetic", {}, {"optuna": 3}, {"optuna": "optuna.samplers:TPESampler", "seed": 1}, {"neps": "x:Y"}]
)
def test_a_word_that_is_no_sampler_is_refused_with_those_that_are(word: object) -> None:
    with pytest.raises(InputError) as refused:
        sampler_of(word, objectives=1)  # type: ignore[arg-type]
    assert "auto, random, evolution, local_search, bayes, tpe, nsga2, nsga3, gp, cmaes" in str(refused.value)
    assert "optuna" in str(refused.value)
