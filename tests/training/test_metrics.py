"""Every metric is scikit-learn's, also where classes are missing, scores tie, or nothing is defined."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as scikit

from archsearch.training.metrics import best_thresholds, measured


def classified(count, classes, seed, *, ties=False):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, count, p=(weights := rng.random(classes) ** 3 + 0.01) / weights.sum())
    scores = rng.normal(size=(count, classes))
    scores[np.arange(count), labels] += 1
    scores = np.round(scores) if ties else scores
    exponents = np.exp(scores)
    return (exponents / exponents.sum(1, keepdims=True)).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("seed", range(6))
def test_those_of_classes(seed):
    outputs, labels = classified(200, 4 + 3 * seed, seed)
    values, guess, present = measured("single_label", outputs, labels), outputs.argmax(1), np.unique(labels)
    assert values["accuracy"] == pytest.approx(scikit.accuracy_score(labels, guess))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert values["balanced_accuracy"] == pytest.approx(scikit.balanced_accuracy_score(labels, guess))
    assert values["macro_f1"] == pytest.approx(scikit.f1_score(labels, guess, average="macro"))
    areas = [scikit.roc_auc_score(labels == column, outputs[:, column]) for column in present]
    assert values["auc"] == pytest.approx(np.mean(areas))
    if outputs.shape[1] > 5:
        every = np.arange(outputs.shape[1])
        assert values["top5_accuracy"] == pytest.approx(scikit.top_k_accuracy_score(labels, outputs, k=5, labels=every))


def test_ties_count_half_in_an_area():
    outputs, labels = classified(150, 3, 1, ties=True)
    assert len(np.unique(outputs[:, 0])) < 100
    expected = np.mean([scikit.roc_auc_score(labels == column, outputs[:, column]) for column in range(3)])
    assert measured("single_label", outputs, labels)["auc"] == pytest.approx(expected)


def test_an_area_of_a_single_class_is_left_out():
    outputs, labels = classified(20, 6, 0)
    values = measured("single_label", outputs, np.zeros_like(labels))
    assert "auc" not in values and 0 <= values["accuracy"] <= 1


@pytest.mark.parametrize("seed", range(4))
def test_those_of_several_labels(seed):
    rng = np.random.default_rng(seed)
    labels = (rng.random((120, 5)) < 0.3).astype(np.uint8)
    outputs = np.clip(labels * 0.3 + rng.random((120, 5)) * 0.7, 0, 1).astype(np.float32)
    thresholds = rng.random(5)
    values, guess = measured("multi_label", outputs, labels, thresholds), outputs >= thresholds
    assert values["macro_f1"] == pytest.approx(scikit.f1_score(labels, guess, average="macro"))
    assert values["auc"] == pytest.approx(scikit.roc_auc_score(labels, outputs, average="macro"))
    expected = scikit.average_precision_score(labels, outputs, average="macro")
    assert values["mean_average_precision"] == pytest.approx(expected)
    assert values["exact_match"] == pytest.approx(scikit.accuracy_score(labels, guess))


def test_a_label_that_no_image_has_counts_in_no_mean():
    labels, outputs = np.array([[1, 0], [0, 0], [1, 0]], np.uint8), np.array([[0.9, 0.1], [0.2, 0.3], [0.8, 0.2]], "f4")
    assert measured("multi_label", outputs, labels) == {
        "macro_f1": 1.0, "auc": 1.0, "mean_average_precision": 1.0, "exact_match": 1.0,
    }  # fmt: skip
    assert best_thresholds(outputs, labels)[1] == 0.5


def test_thresholds_are_those_of_the_highest_f1_score():
    rng = np.random.default_rng(3)
    labels = (rng.random((80, 3)) < [0.1, 0.5, 0.8]).astype(np.uint8)
    outputs = np.round(np.clip(0.3 * labels + 0.7 * rng.random((80, 3)), 0, 1), 2).astype(np.float32)
    thresholds = best_thresholds(outputs, labels)
    for column in range(3):
        best = max(scikit.f1_score(labels[:, column], outputs[:, column] >= level) for level in outputs[:, column])
        assert scikit.f1_score(labels[:, column], outputs[:, column] >= thresholds[column]) == pytest.approx(best)
        assert thresholds[column] not in outputs[:, column], "halfway between two probabilities"


@pytest.mark.parametrize("targets", [1, 3])
def test_those_of_numbers(targets):
    rng = np.random.default_rng(targets)
    labels = (rng.normal(size=(90, targets)) * 100 + 7).astype(np.float32)
    outputs = (labels + rng.normal(size=labels.shape) * [[1, 30, 200][:targets]]).astype(np.float32)
    values = measured("regression", outputs, labels)
    assert values["mean_absolute_error"] == pytest.approx(scikit.mean_absolute_error(labels, outputs), rel=1e-5)
    assert values["root_mean_square_error"] == pytest.approx(scikit.root_mean_squared_error(labels, outputs), rel=1e-5)
    assert values["r2"] == pytest.approx(scikit.r2_score(labels, outputs), rel=1e-5)


def test_what_no_number_says_is_left_out():
    constant = np.ones((4, 1), np.float32)
    assert measured("regression", constant + 1, constant) == {"mean_absolute_error": 1.0, "root_mean_square_error": 1.0}
    assert measured("regression", constant * np.float32("nan"), constant) == {}
