"""Successive halving: who is promoted, how far rungs agree, and that a ledger brings them back."""

import random
from collections import Counter
from itertools import count
from pathlib import Path
from statistics import correlation

import pytest

from archsearch.analysis.ranking import corrected, spearman
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.deciding.rungs import ENOUGH, Rungs
from archsearch.space.search_settings import EarlyStopping
from tests.experiment import fill


def rungs(**words: int) -> Rungs:
    return Rungs(**{"grace": 1, "reduction": 3, "epochs": 9, **words})


def put(rung: Rungs, level: int, scores: list[float]) -> None:
    for trial, score in enumerate(scores, start=1):
        rung.record(trial, level, score)


def promoted(rung: Rungs) -> list[tuple[int, int]]:
    """Every promotion that is possible now: (trial, rung)."""
    found = []
    while promotion := rung.promotion():
        rung.promote(promotion.trial, promotion.rung)
        found.append((promotion.trial, promotion.rung))
    return found


def test_rungs_lie_a_factor_apart_and_below_the_last_epoch() -> None:
    assert rungs().levels(1) == (1, 3)
    assert rungs(grace=3, epochs=30).levels(1) == (3, 9, 27)
    assert rungs(grace=9).levels(1) == ()
    assert [rungs().above(1, rung) for rung in (0, 1, 3)] == [1, 3, None]


def test_the_best_third_of_a_rung_is_promoted_once_and_the_earlier_of_equals() -> None:
    rung = rungs()
    put(rung, 1, [0.5, 0.6])
    assert promoted(rung) == []  # a third of two is nobody yet
    put(rung, 1, [0.5, 0.6, 0.6, 0.1, 0.2, 0.6])
    assert promoted(rung) == [(2, 1), (3, 1)]
    assert promoted(rung) == []
    for trial in (7, 8, 9):
        rung.record(trial, 1, 0.9)
    assert promoted(rung) == [(7, 1), (8, 1), (9, 1)]  # late, but better than those that were promoted before


def test_the_highest_rung_goes_first() -> None:
    rung = rungs()
    put(rung, 1, [0.9, 0.8, 0.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert promoted(rung) == [(1, 1), (2, 1), (3, 1)]
    for trial, score in ((1, 0.4), (2, 0.6), (3, 0.5)):
        rung.record(trial, 3, score)
    for trial in (10, 11, 12):
        rung.record(trial, 1, 0.95)
    assert promoted(rung)[:2] == [(2, 3), (10, 1)]


def test_decisions_follow_from_the_scores_whatever_their_order() -> None:
    draw = random.Random(0)
    scores = [(trial, level, draw.random()) for level in (1, 3) for trial in range(1, 40) if level == 1 or trial % 2]
    found = []
    for _ in range(5):
        rung = rungs()
        for score in scores:
            rung.record(*score)
        found.append(promoted(rung))
        draw.shuffle(scores)
    assert found.count(found[0]) == 5 and len(found[0]) > 15


def test_a_trial_that_is_recorded_again_is_counted_once() -> None:
    rung = rungs()
    put(rung, 1, [0.5, 0.6, 0.4])
    rung.record(2, 1, 0.3)
    assert promoted(rung) == [(1, 1)]


def test_spearman_is_pearson_of_the_ranks_with_and_without_ties() -> None:
    def ranks(values: list[float]) -> list[float]:
        return [sum(v < value for v in values) + (values.count(value) + 1) / 2 for value in values]

    draw = random.Random(1)
    for size in (2, 3, 10, 200):
        for values in (5, 10**6):
            first, second = ([draw.randrange(values) / values for _ in range(size)] for _ in range(2))
            if len(set(first)) > 1 and len(set(second)) > 1:
                assert spearman(first, second) == pytest.approx(correlation(ranks(first), ranks(second)), abs=1e-12)
    # 1 - 6 * sum d^2 / (n (n^2 - 1)), without ties
    assert spearman([106, 86, 100, 101, 99, 103, 97, 113, 112, 110], [7, 0, 27, 50, 28, 29, 20, 12, 6, 17]) == (
        pytest.approx(1 - 6 * 194 / 990)
    )
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([0.5, 0.5, 0.5], [1, 2, 3]) is None
    assert spearman([1.0], [1.0]) is None


def two_rungs(swaps: int) -> Rungs:
    """60 trials at the lower rung; the best 20 at the next, of which the first few come in reverse order there."""
    rung = rungs()
    put(rung, 1, [1 - trial / 100 for trial in range(60)])
    order = list(range(1, 21))
    order[:swaps] = reversed(order[:swaps])
    for place, trial in enumerate(order):
        rung.record(trial, 3, 1 - place / 100)
    return rung


def test_the_share_grows_from_a_third_to_a_half_as_the_correlation_falls() -> None:
    shares = {}
    for swaps in range(1, 21):
        rung = two_rungs(swaps)
        found = rung.correlation(0, 1)
        assert found.n == 20 and found.value is not None
        shares[round(found.corrected, 6)] = rung.share(0, 1)
        wanted = 1 / 3 + (1 / 2 - 1 / 3) * min(1, max(0, (0.7 - found.corrected) / 0.7))
        assert rung.share(0, 1) == pytest.approx(wanted)
    assert shares[1.0] == pytest.approx(1 / 3) and shares[-1.0] == pytest.approx(1 / 2)
    assert any(1 / 3 < share < 1 / 2 for share in shares.values())
    for swaps, least in ((1, 20), (20, 30)):
        rung = two_rungs(swaps)
        for trial in range(1, 21):
            rung.promote(trial, 1)
        assert 20 + sum(level == 1 for _, level in promoted(rung)) == least


def test_a_correlation_of_few_trials_or_of_equals_changes_nothing() -> None:
    for size in range(2, 9):
        rung = rungs()
        put(rung, 1, [trial / 10 for trial in range(9)])
        put(rung, 3, [1 - trial / 10 for trial in range(size)])
        assert rung.correlation(0, 1).value == pytest.approx(-1.0)
        assert rung.share(0, 1) == pytest.approx(1 / 3 if size < ENOUGH else 1 / 2)
    rung = rungs()
    put(rung, 1, [0.1 * trial for trial in range(9)])
    put(rung, 3, [0.5] * 9)
    assert (rung.correlation(0, 1).value, rung.share(0, 1)) == (None, pytest.approx(1 / 3))


def test_the_correlation_is_with_the_next_rung_and_follows_every_score() -> None:
    rung = rungs()
    put(rung, 1, [0.5, 0.4, 0.3])
    assert rung.correlation(0, 1).value is None
    put(rung, 3, [0.7, 0.8])
    found = rung.correlation(0, rung.below(1, 3))
    assert (found.bracket, found.rung, found.n, found.value) == (0, 1, 2, pytest.approx(-1.0))
    rung.record(3, 3, 0.6)
    assert rung.correlation(0, 1).value == pytest.approx(0.5)
    rung.record(1, 1, 0.35)
    assert rung.correlation(0, 1).value == pytest.approx(1.0)
    put(rung, 9, [0.9, 0.95])
    assert (rung.correlation(0, rung.below(1, 9)).n, rung.below(1, 1)) == (2, None)
    assert rung.correlation(0, 3).value == pytest.approx(1.0)


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_the_correlation_of_the_best_third_is_corrected_to_that_of_all(noise: float) -> None:
    draw = random.Random(2)
    skill = [draw.random() for _ in range(3000)]
    here, there = ([value + draw.gauss(0, noise) for value in skill] for _ in range(2))
    whole = spearman(here, there)
    best = sorted(range(3000), key=here.__getitem__)[-1000:]
    chosen = [here[trial] for trial in best]
    seen = spearman(chosen, [there[trial] for trial in best])
    assert seen < whole - 0.1
    assert corrected(seen, here, chosen) == pytest.approx(whole, abs=0.08)
    assert corrected(whole, here, here) == pytest.approx(whole)


def test_who_can_no_longer_be_promoted_is_known_at_once_and_never_wrongly() -> None:
    """40 trials in some order, each promoted as soon as it may be: nobody who was pushed out ever is."""
    for seed in range(20):
        draw, rung, out = random.Random(seed), rungs(), set()
        for trial in range(1, 41):
            score = draw.random() + (trial / 40 if seed % 2 else 0)  # in every other one they get better and better
            rung.record(trial, 1, score)
            out.add(rung.pushed_out(trial, 1, 40))
            while (found := rung.promotion()) is not None:
                assert found.trial not in out or found.rung > 1
                rung.promote(found.trial, found.rung)
                above = rung.above(found.trial, found.rung)
                rung.record(found.trial, above or rung.epochs, draw.random())
        assert len(out - {None}) >= 8


def test_of_many_scores_the_correlation_is_taken_now_and_then_and_the_same_from_the_ledger(tmp_path: Path) -> None:
    stopping = EarlyStopping.model_validate({"grace_epochs": 1, "reduction": 2})
    draw, live, looks = random.Random(5), Rungs(grace=1, reduction=2, epochs=2), 0
    with fill.new(ExperimentFolder(tmp_path / "search")) as ledger:
        for number in range(1, 301):
            with ledger.transaction():
                fill.propose(ledger, number)
                ledger.start(number)
                score = draw.random()
                ledger.pause(number, score, rung=1)
            looks += len(live.record(number, 1, score))
            if (promotion := live.promotion()) is not None:
                with ledger.transaction():
                    ledger.promote(promotion.trial)
                    ledger.start(promotion.trial, resume_epoch=1)
                    ledger.finish(promotion.trial, score := draw.random())
                live.promote(promotion.trial, 1)
                looks += len(live.record(promotion.trial, 2, score))
            if number % 60 == 7:
                restored = Rungs.of(stopping, 2, ledger)
                assert restored.correlation(0, 1) == live.correlation(0, 1)
                assert restored.share(0, 1) == live.share(0, 1)
                assert restored.promotion() == live.promotion()
    assert 100 < looks < 250, "of some 450 scores"


def test_in_the_end_the_best_of_the_highest_rung_goes_on_unless_one_was_trained_in_full() -> None:
    rung = rungs()
    put(rung, 1, [0.5, 0.6])
    last = rung.last_promotion()
    assert (last.trial, last.rung, last.share) == (2, 1, 0.0)
    rung.promote(2, 1)
    rung.record(2, 3, 0.1)
    assert (rung.last_promotion().trial, rung.last_promotion().rung) == (2, 3)
    rung.promote(2, 3)  # and then it fails: the next best is tried
    assert (rung.last_promotion().trial, rung.last_promotion().rung) == (1, 1)
    rung.record(2, 9, 0.2)
    assert rung.last_promotion() is None


def test_brackets_begin_ever_later_and_most_trials_go_to_the_first() -> None:
    rung = rungs(brackets=3)
    assert rung.brackets == ((1, 3), (3,), ())
    assert rungs(brackets=9).brackets == rung.brackets  # one without rungs is enough
    dealt = Counter(rung.bracket(trial) for trial in range(1, 171))
    # Hyperband's weights: ceil(3/3 * 9), ceil(3/2 * 3), ceil(3/1 * 1) = 9, 5, 3
    assert dealt == {0: 90, 1: 50, 2: 30}
    assert rungs(brackets=3).bracket(100) == rung.bracket(100)
    for trial in count(1):
        if rung.bracket(trial) == 2:
            assert (rung.levels(trial), rung.above(trial, 0)) == ((), None)
            break


def test_brackets_are_promoted_apart() -> None:
    rung = rungs(brackets=2)
    later = [trial for trial in range(1, 60) if rung.bracket(trial) == 1][:3]
    first = [trial for trial in range(1, 60) if rung.bracket(trial) == 0][:3]
    for place, trial in enumerate(later + first):
        rung.record(trial, rung.levels(trial)[0], place / 10)
    assert promoted(rung) == [(later[2], 3), (first[2], 1)]


def work(ledger: Ledger, live: Rungs, trial: int, score: float) -> None:
    """A waiting trial is trained up to its next rung, or to the end."""
    ledger.start(trial)
    pause = live.above(trial, ledger.trial(trial).rung)
    live.record(trial, pause or live.epochs, score)
    if pause is None:
        ledger.finish(trial, score)
    else:
        ledger.pause(trial, score, rung=pause, bracket=live.bracket(trial))


def test_a_ledger_brings_the_same_rungs_back(tmp_path: Path) -> None:
    stopping = EarlyStopping.model_validate({"grace_epochs": 1, "reduction": 2, "brackets": 2})
    draw, live, decided = random.Random(3), Rungs(grace=1, reduction=2, epochs=8, brackets=2), 0
    with fill.new(ExperimentFolder(tmp_path / "search")) as ledger:
        for number in range(1, 31):
            fill.propose(ledger, number)
            work(ledger, live, number, draw.random())
            restored = Rungs.of(stopping, 8, ledger)
            promotion = live.promotion()
            assert (restored.promotion(), restored.last_promotion()) == (promotion, live.last_promotion())
            if promotion is not None:
                ledger.promote(promotion.trial, bracket=promotion.bracket)
                live.promote(promotion.trial, promotion.rung)
                work(ledger, live, promotion.trial, draw.random())
                decided += 1
        restored = Rungs.of(stopping, 8, ledger)
        assert restored.correlation(0, 1) == live.correlation(0, 1) and live.correlation(0, 1).n > 3
        for rung in ledger.rungs():
            events = [e for e in ledger.events_of("paused", "promoted")
                      if (e.data["bracket"], e.data["rung"]) == (rung.bracket, rung.epochs)]  # fmt: skip
            kinds = Counter(event.kind for event in events)
            assert (rung.trials, rung.promoted) == (kinds["paused"], kinds["promoted"])
    assert decided > 10
