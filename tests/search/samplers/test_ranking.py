"""What counts of trials that were trained for different numbers of epochs."""

from dataclasses import replace

import numpy as np
import pytest

from archsearch.analysis.ranking import ascending
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.finals import finals
from archsearch.search.proposing.samplers.ranking import comparable, order

NAN = float("nan")


def history(scores: list[float], epochs: list[int], rungs: dict[int, list[float]] | None = None) -> History:
    return History(
        codes=np.arange(len(scores), dtype=np.int32)[:, None],
        scores=np.array(scores)[:, None],
        epochs=np.array(epochs),
        full=9,
        rungs={level: np.array(values)[:, None] for level, values in (rungs or {}).items()},
    )


def test_more_epochs_stand_before_a_better_score() -> None:
    seen = history([0.5, 0.9, 0.6, NAN, 0.7, 0.95], [9, 1, 9, 9, 3, 3])
    assert order(seen).tolist() == [2, 0, 5, 4, 1]


def test_a_stopped_trial_is_finished_by_no_score() -> None:
    seen = history([0.99, 0.5], [3, 9])
    assert seen.finished.tolist() == [False, True]
    assert np.isnan(seen.scores_at(9)[0, 0]) and seen.scores_at(9)[1, 0] == 0.5
    assert seen.levels() == (3, 9)


def test_with_several_objectives_the_front_decides() -> None:
    seen = replace(history([0.0] * 4, [9] * 4), scores=np.array([[1, 1], [3, 1], [1, 3], [2, 0]], float))
    assert order(seen).tolist() == [1, 2, 0, 3]


def test_comparable_is_the_highest_rung_with_enough_and_everyone_seen_there() -> None:
    seen = history([0.3, 0.6, 0.8, 0.2], [1, 3, 9, 1], {1: [0.3, 0.35, 0.4, 0.2], 3: [NAN, 0.6, 0.65, NAN]})
    rows, scores = comparable(seen, 3)
    assert rows.tolist() == [0, 1, 2, 3] and scores[:, 0].tolist() == [0.3, 0.35, 0.4, 0.2]
    rows, scores = comparable(seen, 2)
    assert rows.tolist() == [1, 2] and scores[:, 0].tolist() == [0.6, 0.65]
    assert comparable(seen, 1)[0].tolist() == [2]
    assert len(comparable(history([NAN], [1]), 5)[0]) == 0


def asha(n: int, seed: int = 0) -> tuple[History, np.ndarray]:
    """n trials, of which the best third at epoch 1 went to epoch 3, and a third of those to the end."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0.5, 0.05, n)
    third = 0.2 + 0.9 * first + rng.normal(0, 0.01, n)
    last = 0.1 + 1.0 * third + rng.normal(0, 0.005, n)
    to_three = first >= np.quantile(first, 2 / 3)
    to_end = to_three & (third >= np.quantile(third[to_three], 2 / 3))
    newest = np.where(to_end, last, np.where(to_three, third, first))
    epochs = np.where(to_end, 9, np.where(to_three, 3, 1))
    rungs = {1: first.tolist(), 3: np.where(to_three, third, NAN).tolist()}
    return history(newest.tolist(), epochs.tolist(), rungs), last


def test_a_stopped_trial_gets_what_the_rungs_foretell_and_the_doubt_about_it() -> None:
    seen, truth = asha(120)
    found = finals(seen, 0)
    assert found.rows.tolist() == list(range(120))
    whole = seen.epochs == 9
    assert np.array_equal(found.values[whole], truth[whole]) and (found.variance[whole] == 0).all()
    once, twice = seen.epochs == 1, seen.epochs == 3
    assert found.variance[once].min() > found.variance[twice].max() > 0
    assert np.abs(found.values - truth)[once].mean() < 0.02  # raw scores are 0.25 off
    assert abs((found.values - truth)[once].mean()) < 0.01  # that only the best went on does not bend the lines


def test_while_few_have_finished_the_highest_rung_of_enough_is_foretold() -> None:
    seen = history(
        [0.5, 0.4, 0.7, 0.72, 0.9], [1, 1, 3, 3, 9], {1: [0.5, 0.4, 0.55, 0.6, 0.62], 3: [NAN, NAN, 0.7, 0.72, 0.75]}
    )
    found = finals(seen, 0)
    assert found.values[2:].tolist() == [0.7, 0.72, 0.75]  # the end has one trial alone
    assert found.values[:2].max() < 0.7


def test_one_rung_alone_is_taken_as_it_is() -> None:
    found = finals(history([0.3, NAN, 0.5], [1, 1, 1]), 0)
    assert found.rows.tolist() == [0, 2] and found.values.tolist() == [0.3, 0.5] and found.variance.tolist() == [0, 0]
    assert len(finals(history([NAN], [1]), 0).rows) == 0


def test_trials_without_a_common_rung_are_shifted_not_mixed() -> None:
    """Rungs unknown, as of stopped trials of an older ledger: no pair tells how one follows from the other."""
    found = finals(history([0.2, 0.3, 0.4, 0.8, 0.9, 1.0], [1, 1, 1, 9, 9, 9]), 0)
    assert found.values[:3].tolist() == pytest.approx([0.8, 0.9, 1.0])
    assert (found.variance[:3] > 0).all() and (found.variance[3:] == 0).all()


def test_a_rungs_line_is_a_regression_held_to_slope_one() -> None:
    """Least squares with two pseudo-trials that say slope 1 and err as much as the lower rung's scores spread."""
    below, above = np.array([0.1, 0.4, 0.2, 0.7, 0.6, 0.3]), np.array([0.3, 0.5, 0.5, 0.9])
    seen = history([*above, 0.6, 0.3], [9, 9, 9, 9, 1, 1], {1: below.tolist()})
    x, y, weight = below[:4] - below[:4].mean(), above - above.mean(), np.sqrt(2 * below.var())
    (slope,), *_ = np.linalg.lstsq(np.append(x, weight)[:, None], np.append(y, weight))
    found = finals(seen, 0)
    assert found.values[4:] == pytest.approx(above.mean() + slope * (below[4:] - below[:4].mean()))
    residual = (((y - slope * x) ** 2).sum() + 2 * below.var()) / 6
    assert found.variance == pytest.approx([0, 0, 0, 0, residual, residual])


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("enough", [1, 6, 60, 2000])
def test_of_many_trials_the_best_few_are_those_that_the_whole_order_begins_with(objectives: int, enough: int) -> None:
    rng = np.random.default_rng(enough)
    seen = replace(
        history([0.0] * 1000, rng.choice([1, 1, 1, 3, 9], 1000).tolist()),
        scores=rng.integers(0, 40, (1000, objectives)) / 40.0,  # most of them equal to some other
    )
    whole, few = order(seen), order(seen, enough=enough)
    assert few[:enough].tolist() == whole[:enough].tolist()
    assert enough > 60 or objectives > 1 or len(few) < 300, "and few are sorted"


@pytest.mark.parametrize("values", [[], [0.5], [0.3, 0.1, 0.3, 0.3, 0.1, 0.2], [1.0, 0.5, 0.0]])
def test_equal_scores_stay_in_the_order_of_their_trials(values: list[float]) -> None:
    assert ascending(np.array(values)).tolist() == np.argsort(np.array(values), kind="stable").tolist()
