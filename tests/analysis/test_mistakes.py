"""Where a network is wrong: counts by hand, scikit-learn's figures on real images, and labels that were spoilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.model_selection import cross_val_predict

from archsearch.analysis.intervals import wilson
from archsearch.analysis.mistakes import at_fault, mistakes
from archsearch.experiment.predictions import Predictions, SplitPredictions


def outputs(scores: np.ndarray, labels: np.ndarray, *, names: tuple[str, ...] = (), **others: SplitPredictions):
    several = labels.ndim > 1
    split = SplitPredictions(scores=np.asarray(scores, np.float32), labels=labels)
    classes = names or tuple(f"c{i}" for i in range(split.scores.shape[1]))
    task = "multi_label" if several else "single_label"
    return Predictions(task=task, classes=classes, splits={**others, "test": split})


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold log-probabilities of a logistic regression on scikit-learn's digits, and the labels."""
    pixels, labels = load_digits(return_X_y=True)
    predicted = cross_val_predict(
        LogisticRegression(max_iter=200), pixels / 16, labels, cv=3, method="predict_log_proba"
    )
    return predicted, labels.astype(np.int64)


def test_four_images_counted_by_hand() -> None:
    figures = mistakes(
        outputs([[5, 0, 0], [0, 5, 0], [0, 9, 0], [0, 1, 0]], np.array([0, 1, 0, 1]), names=("a", "b", "d"))
    )
    assert (figures["split"], figures["images"], figures["wrong"]) == ("test", 4, 1)
    assert figures["matrix"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    a, b, d = figures["classes"]
    assert (a["count"], a["predicted"], a["right"], a["taken_for"]) == (2, 1, 1, "b")
    assert (a["recall"]["value"], a["precision"]["value"], a["f1"]) == (0.5, 1.0, pytest.approx(2 / 3))
    assert (a["recall"]["low"], a["recall"]["high"]) == wilson(1, 2)
    assert (b["recall"]["value"], b["precision"]["value"], b["taken_for"]) == (1.0, pytest.approx(2 / 3), None)
    assert d["recall"] == d["precision"] == {"value": None, "low": None, "high": None} and d["f1"] is None
    assert figures["pairs"] == [{"label": "a", "predicted": "b", "count": 1}]
    (listed,) = [*figures["worst"], *figures["suspects"]]
    assert (listed["image"], listed["label"], listed["predicted"]) == (2, "a", "b")
    assert listed["probability"] == pytest.approx(np.exp(9) / (np.exp(9) + 2))


def test_the_figures_of_real_images_are_scikit_learns(digits) -> None:
    scores, labels = digits
    figures = mistakes(outputs(scores, labels))
    predicted = scores.argmax(1)
    assert figures["matrix"] == confusion_matrix(labels, predicted).tolist()
    assert figures["wrong"] == (predicted != labels).sum()
    precision, recall, f1, count = precision_recall_fscore_support(labels, predicted)
    rows = figures["classes"]
    assert [row["precision"]["value"] for row in rows] == pytest.approx(precision.tolist())
    assert [row["recall"]["value"] for row in rows] == pytest.approx(recall.tolist())
    assert [row["f1"] for row in rows] == pytest.approx(f1.tolist())
    assert [row["count"] for row in rows] == count.tolist()
    levels = figures["trust"]["levels"]
    assert sum(row["count"] for row in levels) == len(labels)
    assert all(row["low"] <= row["share"] <= row["high"] for row in levels)
    assert sum(row["count"] * row["share"] for row in levels) == pytest.approx((predicted == labels).sum())


def test_spoilt_labels_are_suspected(digits) -> None:
    scores, labels = digits
    spoilt = labels.copy()
    rows = np.random.default_rng(0).permutation(len(labels))[:40]
    spoilt[rows] = (labels[rows] + 3) % 10
    figures = mistakes(outputs(scores, spoilt))
    assert {row["image"] for row in figures["suspects"]} <= set(rows.tolist()), "the twelve most likely are all spoilt"
    assert 30 <= figures["suspected"] <= 60
    shown = {(row["split"], row["image"]) for row in figures["suspects"]}
    assert figures["worst"] and not shown & {(row["split"], row["image"]) for row in figures["worst"]}


def test_the_temperature_is_the_validation_images_and_is_judged_on_the_test_images(digits) -> None:
    scores, labels = digits
    half = len(labels) // 2
    validation = SplitPredictions(scores=(4 * scores[:half]).astype(np.float32), labels=labels[:half])
    trust = mistakes(outputs(4 * scores[half:], labels[half:], validation=validation))["trust"]
    assert 2 < trust["temperature"] < 8 and trust["note"] == ""
    assert trust["scaled"] < trust["error"]


def test_several_labels_are_each_judged_by_itself() -> None:
    draw = np.random.default_rng(0)
    labels = (draw.random((400, 3)) < 0.3).astype(np.uint8)
    scores = 6.0 * labels - 3 + draw.normal(size=labels.shape)
    labels[7, 1] = 1 - labels[7, 1]  # said to be what it is not
    figures = mistakes(outputs(scores, labels))
    assert figures["task"] == "multi_label" and figures["matrix"] is None and figures["pairs"] == []
    predicted = scores > 0
    precision, recall, _, count = precision_recall_fscore_support(labels, predicted)
    assert [row["recall"]["value"] for row in figures["classes"]] == pytest.approx(recall.tolist())
    assert [row["precision"]["value"] for row in figures["classes"]] == pytest.approx(precision.tolist())
    assert [row["count"] for row in figures["classes"]] == count.tolist()
    assert figures["wrong"] == (predicted != labels).any(1).sum() > 0
    assert 7 in {row["image"] for row in figures["suspects"]}
    row = next(row for row in figures["suspects"] if row["image"] == 7)
    assert {row["label"], row["predicted"]} == {"c1", "not c1"}
    assert sum(level["count"] for level in figures["trust"]["levels"]) == labels.size
    limits = replace(outputs(scores, labels), thresholds=(0.5, 0.02, 0.5))
    early = mistakes(limits)["classes"]
    assert early[1]["predicted"] == (scores[:, 1] >= np.log(0.02 / 0.98)).sum() > figures["classes"][1]["predicted"]
    assert early[0] == figures["classes"][0]


def test_a_class_that_stands_out_is_named_and_an_even_network_has_none() -> None:
    labels = np.repeat(np.arange(4), 40)
    predicted = labels.copy()
    predicted[:31] = 2
    scores = 3.0 * np.eye(4)[predicted]
    row = at_fault(mistakes(outputs(scores, labels)))
    assert row is not None and (row["name"], row["count"] - row["right"], row["taken_for"]) == ("c0", 31, "c2")
    predicted = labels.copy()
    predicted[::4] = (labels[::4] + 1) % 4
    assert at_fault(mistakes(outputs(3.0 * np.eye(4)[predicted], labels))) is None
    assert at_fault(None) is None


def test_many_classes_have_no_matrix_but_pairs() -> None:
    labels = np.arange(303) % 101
    scores = np.eye(101)[(labels + (np.arange(303) % 7 == 0)) % 101]
    figures = mistakes(outputs(scores, labels))
    assert figures["matrix"] is None and len(figures["pairs"]) == 20
    assert len(figures["classes"]) == 101 and len(figures["worst"]) <= 12
