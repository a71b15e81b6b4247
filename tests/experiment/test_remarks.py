"""What is said of a search's best, before anything else, and when nothing is."""

import math

import numpy as np
import pytest

from archsearch.experiment.records import Epoch, Trial, TrialState
from archsearch.experiment.remarks import NORMAL, remarks

FLOOR = {"commonest_class": 0.2, "logistic_regression": 0.7, "random_forest": 0.745, "images": 200}


def best(value: float, epochs: int = 9) -> Trial:
    return Trial(
        number=1, state=TrialState.FINISHED, seed=0, choices={}, architecture={}, digest="d", cost={}, attempts=1,
        created=0, started=0, ended=0, value=value, epochs=epochs, reason=None,
    )  # fmt: skip


def curve(validation: dict[int, float], training: float = 0.6) -> list[Epoch]:
    return [
        Epoch(trial=1, epoch=epoch, time=0, metrics={"validation_accuracy": score, "train_accuracy": training})
        for epoch, score in validation.items()
    ]


def said(value: float, floor=FLOOR, **more) -> list[str]:
    return remarks(best(value), more.get("epochs", curve({9: value})), floor, more.get("rungs", ()))


def test_a_best_below_the_floor_comes_first() -> None:
    (sentence,) = said(0.624)
    assert sentence.startswith(
        "The best network, 62.4 %, is below a random forest on the pixels, 74.5 % (200 validation"
    )
    assert "More epochs" in sentence


def test_a_lead_within_chance_is_none() -> None:
    (sentence,) = said(0.78)
    assert sentence == (
        "The best network, 78.0 %, is above a random forest on the pixels, 74.5 % (200 validation images), but not "
        "significantly."
    )
    assert said(0.82) == []
    assert "74.5 %, is no better than a random forest" in said(0.745)[0]
    assert said(0.78, {**FLOOR, "images": 20_000}) == []


@pytest.mark.parametrize("floor", [None, {}, {**FLOOR, "images": 0}, {"images": 200, "random_forest": None}])
def test_without_a_floor_nothing_is_said_of_it(floor) -> None:
    assert said(0.5, floor) == []


def test_the_better_of_the_simple_models_counts() -> None:
    assert "logistic regression" in said(0.5, {**FLOOR, "random_forest": None})[0]
    assert "always predicting the most common class" in said(0.15, {"commonest_class": 0.2, "images": 100})[0]


def test_a_curve_that_still_rises_at_its_end() -> None:
    rising = curve({1: 0.5, 3: 0.85, 9: 0.88})
    (sentence,) = said(0.88, epochs=rising, rungs=(1, 3))
    assert sentence.startswith("From 3 to 9 epochs it gained 3.0 points")
    assert said(0.86, epochs=curve({1: 0.5, 3: 0.85, 9: 0.86}), rungs=(1, 3)) == []
    assert said(0.88, epochs=rising, rungs=(9,)) == []
    assert said(0.88, epochs=rising, rungs=(1,)) == []  # of the first epochs most trainings gain much


def test_a_network_that_learns_by_heart() -> None:
    (sentence,) = said(0.85, epochs=curve({9: 0.85}, training=1.0))
    assert sentence.startswith("It classifies 100 % of the training images and 85 % of the validation images correctly")
    assert said(0.85, epochs=curve({9: 0.85}, training=0.99)) == []


def test_of_equals_nineteen_in_twenty_are_held_for_no_better() -> None:
    """Two models that are right of the same share: the lead of one is taken for more than chance in 5 % of cases."""
    rng, images, runs = np.random.default_rng(1), 400, 4000
    first, second = rng.binomial(images, 0.8, (2, runs)) / images
    found = sum(not said(a, {"random_forest": float(b), "images": images}) for a, b in zip(first, second, strict=True))
    error = math.sqrt(0.05 * 0.95 / runs)
    assert abs(found / runs - 0.05) < 4 * error, found / runs
    assert pytest.approx(1.645, abs=1e-3) == NORMAL
