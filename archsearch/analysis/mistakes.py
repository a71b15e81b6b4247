"""Where a network is wrong, from its outputs for each image of a split: by class, by pair of classes, image by image,
and how far its probabilities can be trusted. NumPy only; labels are one class, or several of 0 and 1, for each image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import wilson
from archsearch.analysis.trust import Trust, trust
from archsearch.experiment.predictions import Predictions, SplitPredictions
from archsearch.training.calibration import probabilities

Numbers = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]

SHOWN = 12  # images of each list
PAIRS = 20
WIDEST = 100  # classes of a matrix that is written out


class Rate(TypedDict):
    """A share with its interval (Wilson, 95 %): of no images all three are None."""

    value: float | None
    low: float | None
    high: float | None


class ClassRow(TypedDict):
    """One class or label: how many images have it (`count`), are predicted to have it, and both (`right`). `taken_for`
    is the class that most of its wrong images are predicted as (None: none is wrong, or several labels)."""

    name: str
    count: int
    predicted: int
    right: int
    recall: Rate
    precision: Rate
    f1: float | None
    taken_for: str | None


class Pair(TypedDict):
    """How many images of one class are predicted as another."""

    label: str
    predicted: str
    count: int


class Mistake(TypedDict):
    """An image (by its index in the split) whose label differs from what is predicted, with the probabilities of both;
    of several labels, the one label in question, which `label` and `predicted` deny with `not`. `name` is its file's,
    where that is known."""

    split: str
    image: int
    label: str
    predicted: str
    probability: float
    label_probability: float
    name: str | None


class Mistakes(TypedDict):
    """What is wrong on the images of `split`. `matrix[i][j]` counts images of class i that are predicted as j, where
    there are no more than WIDEST classes and one label an image. `worst` are the images with the highest loss,
    `suspects` those of validation and test whose label is likely wrong, of `suspected` in all."""

    task: Literal["single_label", "multi_label"]
    split: str
    images: int
    wrong: int
    classes: list[ClassRow]
    matrix: list[list[int]] | None
    pairs: list[Pair]
    worst: list[Mistake]
    suspects: list[Mistake]
    suspected: int
    trust: Trust


def mistakes(outputs: Predictions) -> Mistakes:
    """The figures on the test images, where those were evaluated, else on the validation images. Raises ValueError for
    a regression."""
    several = outputs.task == "multi_label"
    if outputs.task == "regression":
        raise ValueError("a regression has no classes")
    name = "test" if "test" in outputs.splits else next(iter(outputs.splits))
    split = outputs.splits[name]
    decided = _decided(outputs, split)
    truth = split.labels.astype(bool) if several else _one_hot(split.labels, len(outputs.classes))
    matrix = None if several else _matrix(split.labels, split.scores.argmax(1), len(outputs.classes))
    suspects, suspected = _suspects(outputs, several)
    shown = {(row["split"], row["image"], row["label"]) for row in suspects}
    worst = [row for row in _worst(outputs, name, several) if (row["split"], row["image"], row["label"]) not in shown]
    return {
        "task": "multi_label" if several else "single_label",
        "split": name,
        "images": len(truth),
        "wrong": int((decided != truth).any(1).sum()),
        "classes": _classes(outputs.classes, truth, decided, matrix),
        "matrix": matrix.tolist() if matrix is not None and len(matrix) <= WIDEST else None,
        "pairs": [] if matrix is None else _pairs(outputs.classes, matrix),
        "worst": worst[:SHOWN],
        "suspects": suspects,
        "suspected": suspected,
        "trust": trust(outputs, split, several),
    }


def _decided(outputs: Predictions, split: SplitPredictions) -> npt.NDArray[np.bool_]:
    """(N, K): what is predicted of each image: the class of the highest score, or labels from their thresholds on."""
    if outputs.task == "multi_label":
        limits = np.full(len(outputs.classes), 0.5) if outputs.thresholds is None else np.array(outputs.thresholds)
        return np.asarray(probabilities(split.scores.astype(np.float64), several_labels=True) >= limits)
    return _one_hot(split.scores.argmax(1), split.scores.shape[1])


def _one_hot(labels: Labels, classes: int) -> npt.NDArray[np.bool_]:
    return np.asarray(labels[:, None] == np.arange(classes))


def _matrix(labels: Labels, predicted: Labels, classes: int) -> npt.NDArray[np.int64]:
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def rate(right: int, count: int) -> Rate:
    """The share of `right` among `count` with its interval."""
    if not count:
        return {"value": None, "low": None, "high": None}
    low, high = wilson(right, count)
    return {"value": right / count, "low": low, "high": high}


def _classes(names: tuple[str, ...], truth: npt.NDArray[np.bool_], decided: npt.NDArray[np.bool_],
             matrix: npt.NDArray[np.int64] | None) -> list[ClassRow]:  # fmt: skip
    counts, predicted, right = (array.sum(0).tolist() for array in (truth, decided, truth & decided))
    rows: list[ClassRow] = []
    for index, name in enumerate(names):
        taken_for = None
        if matrix is not None:
            confused = np.where(np.arange(len(names)) == index, 0, matrix[index])
            taken_for = names[confused.argmax()] if confused.any() else None
        total = counts[index] + predicted[index]
        rows.append({
            "name": name, "count": counts[index], "predicted": predicted[index], "right": right[index],
            "recall": rate(right[index], counts[index]), "precision": rate(right[index], predicted[index]),
            "f1": 2 * right[index] / total if total else None, "taken_for": taken_for,
        })  # fmt: skip
    return rows


def _pairs(names: tuple[str, ...], matrix: npt.NDArray[np.int64]) -> list[Pair]:
    confused = matrix.copy()
    np.fill_diagonal(confused, 0)
    order = np.argsort(-confused, axis=None, kind="stable")[:PAIRS]
    return [
        {"label": names[i], "predicted": names[j], "count": int(confused[i, j])}
        for i, j in zip(*np.unravel_index(order, confused.shape), strict=True)
        if confused[i, j]
    ]


# ---- image by image


def _worst(outputs: Predictions, name: str, several: bool) -> list[Mistake]:
    """The wrong predictions with the least probability of what the label says, the worst first."""
    split = outputs.splits[name]
    predicted = probabilities(split.scores.astype(np.float64), several)
    if several:
        of_label = np.where(split.labels > 0, predicted, 1 - predicted)
        wrong = np.argwhere(_decided(outputs, split) != (split.labels > 0))
        order = np.argsort(of_label[tuple(wrong.T)], kind="stable")[: 2 * SHOWN]
        return [_denied(outputs, name, predicted, int(i), int(j)) for i, j in wrong[order]]
    rows = np.flatnonzero(predicted.argmax(1) != split.labels)
    order = np.argsort(predicted[rows, split.labels[rows]], kind="stable")[: 2 * SHOWN]
    return [_mistaken(outputs, name, predicted, int(i), int(predicted[i].argmax())) for i in rows[order]]


def _mistaken(outputs: Predictions, name: str, predicted: Numbers, image: int, other: int) -> Mistake:
    label = int(outputs.splits[name].labels[image])
    return {
        "split": name, "image": image, "label": outputs.classes[label], "predicted": outputs.classes[other],
        "probability": float(predicted[image, other]), "label_probability": float(predicted[image, label]),
        "name": None,
    }  # fmt: skip


def _denied(outputs: Predictions, name: str, predicted: Numbers, image: int, label: int) -> Mistake:
    """The mistake of one of several labels."""
    text, share = outputs.classes[label], float(predicted[image, label])
    has = bool(outputs.splits[name].labels[image, label])
    labelled, judged = (text, f"not {text}") if has else (f"not {text}", text)
    return {
        "split": name, "image": image, "label": labelled, "predicted": judged,
        "probability": 1 - share if has else share, "label_probability": share if has else 1 - share, "name": None,
    }  # fmt: skip


def _suspects(outputs: Predictions, several: bool) -> tuple[list[Mistake], int]:
    """The images whose label is likely wrong, by confident learning's rule (Northcutt et al. 2021, J. Artif. Intell.
    Res. 70, 1373-1411): the probability of another class is at least its mean over the images with that label. The
    first are those that lose most by their label; and how many there are in all. Several labels are judged each by
    itself, as one of two classes."""
    splits = list(outputs.splits.items())
    sizes = [len(split.scores) for _, split in splits]
    of = np.repeat(np.arange(len(splits)), sizes), np.concatenate([np.arange(size) for size in sizes])
    scores = np.concatenate([split.scores for _, split in splits]).astype(np.float64)
    labels = np.concatenate([split.labels for _, split in splits])
    predicted = probabilities(scores, several)
    if several:
        rows, others, margins = _unlike_labels(predicted, labels.astype(bool))
    else:
        rows, others, margins = _unlike(predicted, labels)
    order = np.argsort(margins, kind="stable")[:SHOWN]
    by_split = {name: probabilities(split.scores.astype(np.float64), several) for name, split in splits}
    make = _denied if several else _mistaken
    mistaken = []
    for row, other in zip(rows[order], others[order], strict=True):
        name = splits[of[0][row]][0]
        mistaken.append(make(outputs, name, by_split[name], int(of[1][row]), int(other)))
    return mistaken, len(rows)


Suspicion = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Numbers]  # rows, other classes, margins


def _unlike(predicted: Numbers, labels: Labels) -> Suspicion:
    """Of one label an image: the rows that the rule names, the class that each likely has, and by how much less
    probable its label is (negative)."""
    classes = predicted.shape[1]
    counts = np.bincount(labels, minlength=classes)
    stated = predicted[np.arange(len(labels)), labels]
    sums = np.bincount(labels, weights=stated, minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    candidates = np.where(predicted >= thresholds, predicted, -1.0)
    likely, margins = candidates.argmax(1), stated - candidates.max(1)
    rows = np.flatnonzero((likely != labels) & (margins < 0))
    return rows, likely[rows], margins[rows]


def _unlike_labels(predicted: Numbers, labels: npt.NDArray[np.bool_]) -> Suspicion:
    """Of several labels: for each (image, label) that the rule names, the image, the label and the margin."""
    present = np.where(labels, predicted, np.nan), np.where(labels, np.nan, 1 - predicted)
    thresholds = [
        np.where(np.isnan(values).all(0), np.inf, np.nansum(values, 0) / np.maximum((~np.isnan(values)).sum(0), 1))
        for values in present
    ]
    opposite = np.where(labels, 1 - predicted, predicted)
    doubtful = (opposite >= np.where(labels, thresholds[1], thresholds[0])) & (opposite > 0.5)
    rows, others = np.nonzero(doubtful)
    return rows, others, 1 - 2 * opposite[rows, others]


def at_fault(figures: Mapping[str, Any] | None) -> ClassRow | None:
    """The class that stands out: the most wrong images of a class in which more than twice the share of all images is
    wrong, and at least a fifth of its own, by the interval's better end; None where no class does."""
    if figures is None or figures.get("task") != "single_label" or not figures["images"]:
        return None
    usual = figures["wrong"] / figures["images"]
    rows: list[ClassRow] = [
        row
        for row in figures["classes"]
        if row["recall"]["high"] is not None and 1 - row["recall"]["high"] > max(0.2, 2 * usual)
    ]
    return max(rows, key=lambda row: row["count"] - row["right"], default=None)
