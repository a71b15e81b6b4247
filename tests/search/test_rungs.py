"""Successive halving: who goes on, and that the rungs come back from a replay."""

import random

from archsearch.search.rungs import Rungs


def rungs() -> Rungs:
    return Rungs(grace=1, reduction=3, epochs=9)


def test_rungs_lie_a_factor_apart_and_below_the_last_epoch() -> None:
    assert rungs().levels == (1, 3)
    assert Rungs(grace=3, reduction=3, epochs=30).levels == (3, 9, 27)
    assert Rungs(grace=9, reduction=3, epochs=9).levels == ()


def test_the_best_third_goes_on_and_the_first_always_does() -> None:
    rung = rungs()
    assert rung.goes_on(1, 1, 0.5)
    assert not rung.goes_on(2, 1, 0.4)
    assert rung.goes_on(3, 1, 0.6)
    assert rung.goes_on(4, 1, 0.55)  # second of four: ceil(4 / 3) = 2 go on
    assert not rung.goes_on(5, 1, 0.5)
    assert rung.sizes() == {1: 5, 3: 0}


def test_epochs_between_rungs_never_stop_a_trial() -> None:
    rung = rungs()
    for trial in range(1, 10):
        rung.goes_on(trial, 1, trial / 10)
    assert rung.goes_on(1, 2, 0.0)


def test_equal_scores_are_not_behind_one_another() -> None:
    rung = rungs()
    assert all(rung.goes_on(trial, 1, 0.5) for trial in range(10))


def test_a_replay_of_the_same_scores_decides_as_before() -> None:
    draw = random.Random(0)
    reports = [(trial, epoch, draw.random()) for trial in range(60) for epoch in (1, 3)]
    first, again = rungs(), rungs()
    decided = [first.goes_on(*report) for report in reports]
    for report in reports[:80]:
        again.goes_on(*report)
    assert [again.goes_on(*report) for report in reports[80:]] == decided[80:]


def test_a_trial_that_reports_again_is_counted_once() -> None:
    rung = rungs()
    rung.goes_on(1, 1, 0.5)
    rung.goes_on(1, 1, 0.7)
    assert rung.sizes()[1] == 1
    assert not rung.goes_on(2, 1, 0.6)
