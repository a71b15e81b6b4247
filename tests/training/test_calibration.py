"""Temperature scaling: the minimum of the likelihood, and errors that mean what they say."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from archsearch.training.calibration import calibrate, expected_calibration_error, fitted, probabilities


def drawn(count: int, classes: int, stretch: float, *, several: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are `stretch` times those from which the labels were drawn."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (count, classes))
    true = probabilities(scores, several)
    if several:
        return stretch * scores, (rng.random(true.shape) < true).astype(np.uint8)
    return stretch * scores, (true.cumsum(1) > rng.random((count, 1))).argmax(1)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("stretch", [0.25, 1.0, 3.0])
def test_the_temperature_is_what_the_scores_were_stretched_by(stretch: float, several: bool) -> None:
    scores, labels = drawn(20_000, 6, stretch, several=several)
    found = calibrate(scores, labels)
    assert found.temperature == pytest.approx(stretch, rel=0.03)
    assert found.error_after == pytest.approx(found.error_by_chance, abs=0.005), "drawn from what it now says"
    if stretch != 1.0:
        assert found.error_before > 5 * found.error_after and found.loss_after < found.loss_before
        assert found.note == ""


def digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of an overfitted classifier of a few of scikit-learn's digits, on the others."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    model = LogisticRegression(C=100.0, max_iter=2000).fit(images[order[:150]], labels[order[:150]])
    return model.decision_function(images[order[150:]]), labels[order[150:]]


def test_it_is_the_minimum_that_scipy_has_on_real_images_and_helps_images_it_has_not_seen() -> None:
    scores, labels = digits(0)
    half = len(labels) // 2

    def loss(log_temperature: float, part: slice = slice(half)) -> float:
        chosen = probabilities(scores[part] / np.exp(log_temperature), False)[
            np.arange(len(labels[part])), labels[part]
        ]
        return float(-np.log(chosen).mean())

    best = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    found = calibrate(scores[:half], labels[:half])
    assert found.temperature == pytest.approx(np.exp(best.x), rel=1e-5)
    assert found.temperature > 2, "it is overconfident"
    assert loss(np.log(found.temperature), slice(half, None)) < loss(0.0, slice(half, None))
    other = probabilities(scores[half:] / found.temperature, False)
    unseen = expected_calibration_error(other.max(1), other.argmax(1) == labels[half:])
    assert found.error_before > 2 * found.error_after
    assert unseen == pytest.approx(found.error_after, abs=0.03), (
        "the error after is that of images it was not fitted to"
    )


def test_the_error_of_a_few_images_is_shown_with_that_of_chance() -> None:
    scores, labels = drawn(60, 4, 1.0)
    found = calibrate(scores, labels)
    assert found.bins == 6
    assert found.error_by_chance > 0.05, "sixty images cannot show less, however good the probabilities are"
    assert f"{100 * found.error_by_chance:.2f} %" in str(found)


def test_the_expected_calibration_error_by_hand() -> None:
    confidence, outcome = np.array([0.9, 0.6, 0.7, 0.8]), np.array([1, 1, 0, 1])
    assert expected_calibration_error(confidence, outcome, bins=1) == pytest.approx(0.0)
    assert expected_calibration_error(confidence, outcome, bins=2) == pytest.approx((0.3 + 0.3) / 4)


@pytest.mark.parametrize("several", [False, True])
def test_without_a_wrong_prediction_there_is_no_minimum(several: bool) -> None:
    labels = np.arange(40) % 3
    truth = np.eye(3, dtype=np.uint8)[labels]
    found = calibrate(4.0 * truth - 2.0, truth if several else labels)
    assert found.temperature == 1.0 and "No prediction" in found.note
    assert fitted(4.0 * truth - 2.0, labels) < 0.2, "until doubles tell no difference"


def test_a_temperature_that_fails_on_other_images_is_not_used() -> None:
    labels = np.zeros(40, np.int64)
    scores = np.tile([2.0, 0.0], (40, 1))
    scores[7] = [0.0, 2.0]  # one mistake: the others alone would want a temperature near 0
    found = calibrate(scores, labels)
    assert found.temperature == 1.0 and "of no use" in found.note
    assert found.error_before == found.error_after


@pytest.mark.parametrize("count", [1, 2, 7])
def test_very_few_images_are_no_error(count: int) -> None:
    scores, labels = drawn(count, 4, 2.0)
    assert 0.01 <= calibrate(scores, labels).temperature <= 100
    with pytest.raises(ValueError, match="no images"):
        calibrate(scores[:0], labels[:0])
