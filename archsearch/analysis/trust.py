"""How far a network's probabilities can be trusted: a reliability diagram, and the expected calibration error."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import wilson
from archsearch.experiment.predictions import Predictions, SplitPredictions
from archsearch.training.calibration import BINS, SMALLEST_BIN, calibrate, expected_calibration_error, probabilities

Numbers = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]

LEVELS = 10  # bins of a reliability diagram, equally wide
MOST_SCORES = 2_000_000  # to which a temperature is fitted


class Level(TypedDict):
    """A bin of a reliability diagram: the mean predicted probability of its `count` predictions, and the share that
    came true with its interval."""

    probability: float
    share: float
    low: float
    high: float
    count: int


class Trust(TypedDict):
    """How far probabilities can be trusted: `error` is the expected calibration error of the network's own, `scaled`
    that of those divided by the `temperature` that was fitted to the validation images; `note` says why it is 1."""

    error: float
    scaled: float
    temperature: float
    note: str
    levels: list[Level]
    levels_scaled: list[Level]


def trust(outputs: Predictions, split: SplitPredictions, several: bool) -> Trust:
    """The figures of the split's probabilities, without and with the temperature of the validation images; `several`:
    an image may have several labels."""
    fitted_to = outputs.splits.get("validation", split)
    some = max(1, MOST_SCORES // fitted_to.scores.shape[1])
    calibration = calibrate(fitted_to.scores[:some], fitted_to.labels[:some])
    scores = split.scores.astype(np.float64)
    plain, scaled = (
        _judged(probabilities(scores / temperature, several), split.labels, several)
        for temperature in (1.0, calibration.temperature)
    )
    bins = max(1, min(BINS, len(plain[0]) // SMALLEST_BIN))
    return {
        "error": expected_calibration_error(*plain, bins=bins),
        "scaled": expected_calibration_error(*scaled, bins=bins),
        "temperature": calibration.temperature,
        "note": calibration.note,
        "levels": _levels(*plain),
        "levels_scaled": _levels(*scaled),
    }


def _judged(predicted: Numbers, labels: Labels, several: bool) -> tuple[Numbers, npt.NDArray[np.float64]]:
    """Probabilities and whether they came true: of each image's first class, or of each label of each image."""
    if several:
        return predicted.ravel(), labels.ravel().astype(np.float64)
    return predicted.max(1), (predicted.argmax(1) == labels).astype(np.float64)


def _levels(probability: Numbers, outcome: Numbers) -> list[Level]:
    """The bins that hold a prediction, from the least probable up."""
    bins = np.minimum((probability * LEVELS).astype(int), LEVELS - 1)
    levels: list[Level] = []
    for level in np.unique(bins):
        inside = bins == level
        count, right = int(inside.sum()), int(outcome[inside].sum())
        low, high = wilson(right, count)
        mean = float(probability[inside].mean())
        levels.append({"probability": mean, "share": right / count, "low": low, "high": high, "count": count})
    return levels
