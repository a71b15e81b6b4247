"""What a confirmation promises, by simulation: how often networks that are equal seem different, whether the search is
favoured over random search, how often the interval of a chosen winner holds the truth, and which leads are detected."""

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from archsearch.analysis.intervals import detectable
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.search.confirming.contenders import Contender
from archsearch.search.confirming.detection import precision
from archsearch.search.confirming.verdict import Difference, Row, choose, differences
from tests.analysis.test_coverage import within

NETWORK = Architecture.from_dict({"input": [1, 8, 8], "stages": [{"depth": 1}]})
DIGEST = digest(NETWORK)


def trained(kind: Any, number: int, level: float, seeds: int, rng: np.random.Generator, noise: float) -> Row:
    """A network of accuracy `level`: training adds luck of deviation 1 to both splits, and a split `noise`."""
    contender = Contender(
        kind=kind, name=f"{kind}{number}", architecture=NETWORK, digest=DIGEST, key=f"{kind}{number}",
        cost=MappingProxyType({"params": 1, "flops": 1}), within_budget=True, trial=number,
    )  # fmt: skip
    luck = level + rng.normal(size=seeds)
    splits = (luck + noise * rng.normal(size=seeds) for _ in range(2))
    results = {
        seed: {"validation": {"accuracy": validation}, "test": {"accuracy": test}}
        for seed, (validation, test) in enumerate(zip(*splits, strict=True), 1)
    }
    return Row(contender=contender, results=results, seen=True)


def leads(
    rng: np.random.Generator, trials: int, rivals: int, seeds: int, noise: float = 0.0, level: float = 0.0
) -> list[Difference]:
    rows = [trained("trial", i, level, seeds, rng, noise) for i in range(trials)]
    rows += [trained("baseline", i, 0.0, seeds, rng, noise) for i in range(rivals)]
    winner = choose(rows)
    assert winner is not None
    return differences(rows, winner)


@pytest.mark.parametrize(
    ("trials", "rivals", "seeds", "noise"),
    [
        (1, 4, 3, 0.0),
        (1, 4, 10, 1.0),
        (5, 1, 5, 0.0),
        (5, 3, 3, 0.5),
        (5, 4, 10, 0.0),
        (20, 1, 5, 0.0),
        (20, 4, 10, 0.0),
    ],
)
def test_of_equal_networks_none_seems_better_in_more_than_one_case_of_twenty(
    trials: int, rivals: int, seeds: int, noise: float
) -> None:
    rng, repeats = np.random.default_rng(trials), 400
    wrong = sum(any(lead.told_apart for lead in leads(rng, trials, rivals, seeds, noise)) for _ in range(repeats))
    within(wrong, repeats, 0.0, 0.05)


def test_two_random_searches_are_equal_and_their_winner_by_retraining_is_not_compared() -> None:
    """Twenty networks a side; of one the best five are retrained and the best of them wins, of the other the first."""
    rng, repeats, by_rule, by_choice, wrong = np.random.default_rng(3), 500, [], [], 0
    for _ in range(repeats):
        sides = []
        for _ in range(2):
            levels = rng.normal(size=20)
            sides.append(levels[np.argsort(-(levels + rng.normal(size=20)))])
        rows = [trained("trial", i, level, 3, rng, 0.5) for i, level in enumerate(sides[0][:5])]
        rows.append(trained("random", 0, sides[1][0], 3, rng, 0.5))
        winner = choose(rows)
        assert winner is not None
        (lead,) = differences(rows, winner)
        assert lead.row is rows[0] and lead.test is not None
        by_rule.append(lead.test.mean)
        by_choice.append(winner.interval("test").mean - rows[-1].interval("test").mean)  # type: ignore[union-attr]
        true_lead = sides[0][0] - sides[1][0]
        wrong += lead.told_apart and (lead.test.mean > 0) != (true_lead > 0)
    error = np.std(by_rule) / np.sqrt(repeats)
    assert abs(np.mean(by_rule)) < 3.3 * error
    assert np.mean(by_choice) > 0.5 > 5 * error, "the bias that the comparison of a chosen winner had"
    within(wrong, repeats, 0.0, 0.05)


@pytest.mark.parametrize(("trials", "low", "high"), [(1, 0.95, 0.95), (5, 0.90, 0.93), (20, 0.81, 0.84)])
def test_the_validation_interval_of_a_chosen_winner_holds_the_truth_as_seldom_as_is_told(
    trials: int, low: float, high: float
) -> None:
    rng, repeats, held = np.random.default_rng(trials), 800, {"validation": 0, "test": 0}
    for _ in range(repeats):
        luck = rng.normal(size=(2, trials, 3))
        chosen = luck[0].mean(axis=1).argmax()
        for split, values in zip(held, luck, strict=True):
            row = trained("trial", 0, 0.0, 3, rng, 0.0)
            row.results = {seed: {split: {"accuracy": value}} for seed, value in enumerate(values[chosen])}
            interval = row.interval(split)  # type: ignore[arg-type]
            assert interval is not None and interval.low is not None and interval.high is not None
            held[split] += interval.low <= 0 <= interval.high
    within(held["validation"], repeats, low, high)
    within(held["test"], repeats, 0.95, 0.95)


@pytest.mark.parametrize(("rivals", "seeds"), [(1, 3), (1, 6), (4, 5)])
def test_a_lead_that_is_called_detectable_is_detected_in_four_of_five_cases(rivals: int, seeds: int) -> None:
    level = np.sqrt(2) * detectable(seeds, 0.05 / rivals)  # the difference of two networks' luck
    rng, repeats = np.random.default_rng(seeds), 400
    detected = sum(leads(rng, 1, rivals, seeds, level=level)[0].told_apart for _ in range(repeats))
    within(detected, repeats, 0.8, 0.8 if rivals == 1 else 0.95)  # the first of several steps is the strictest
    assert precision(None, seeds) == []
