"""Temperature scaling (Guo et al. 2017, arXiv:1706.04599): one number by which scores are divided, so that among images
with a probability of 0.8 about 80 % are right. The order of the classes stays. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

BINS = 15
SMALLEST_BIN = 10  # predictions; fewer images have fewer bins
FOLDS = 5
RANGE = (0.01, 100.0)  # of temperatures
STEPS = 60
DRAWS = 100


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A temperature, and how well probabilities are calibrated without and with it on `images` images.

    Figures of `after` are cross-fitted: each fifth of the images by the temperature of the other four. The expected
    calibration error is the mean distance between probability and frequency over equally filled bins; it is above 0 for
    perfect probabilities too, which `error_by_chance` measures: its mean where outcomes are drawn from the
    probabilities of `after`. `note` says why the temperature is 1 where none is used.
    """

    temperature: float
    images: int
    bins: int
    error_before: float
    error_after: float
    error_by_chance: float
    loss_before: float
    loss_after: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as preprocessing.json has them."""
        return {
            "method": "temperature scaling: scores / temperature, then softmax (sigmoid for several labels)",
            "temperature": self.temperature,
            "split": "validation",
            "images": self.images,
            "expected_calibration_error": {
                "before": self.error_before,
                "after": self.error_after,
                "by_chance": self.error_by_chance,
                "bins": self.bins,
            },
            "negative_log_likelihood": {"before": self.loss_before, "after": self.loss_after},
            "note": self.note,
        }

    def __str__(self) -> str:
        """The temperature and the errors, in a line."""
        return (
            f"temperature {self.temperature:.3g} on {self.images} validation images: expected calibration error "
            f"{100 * self.error_before:.2f} % before, {100 * self.error_after:.2f} % after; perfect probabilities "
            f"would show {100 * self.error_by_chance:.2f} %" + (f". {self.note}" if self.note else "")
        )


def calibrate(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Calibration:
    """The temperature with the smallest negative log-likelihood of the labels: (N,) with one class of the K for each
    image, or (N, K) of 0 and 1 with several.

    It is 1 where no such minimum exists, since no prediction is wrong, and where it is of no use for images that it was
    not fitted to. `scores` are (N, K), finite. Raises ValueError for no images.
    """
    z, y = np.asarray(scores, np.float64), np.asarray(labels)
    if not len(z):
        raise ValueError("no images to calibrate on")
    before = probabilities(z, y.ndim > 1)
    held_out, temperature, note = _cross_fitted(z, y), fitted(z, y), ""
    after = np.empty_like(before)
    for fold, other in held_out:
        after[fold] = probabilities(z[fold] / other, y.ndim > 1)
    loss_before, loss_after = _loss(before, y), _loss(after, y)
    if _all_right(z, y):
        note = "No prediction on these images is wrong, so that no temperature follows from them; 1 is used."
    elif loss_after >= loss_before:
        note = f"The fitted temperature, {temperature:.3g}, is of no use for other images; 1 is used."
    if note:
        temperature, after, loss_after = 1.0, before, loss_before
    bins = max(1, min(BINS, before.size // SMALLEST_BIN if y.ndim > 1 else len(z) // SMALLEST_BIN))
    confidence, outcome = _judged(after, y)
    return Calibration(
        temperature=temperature,
        images=len(z),
        bins=bins,
        error_before=expected_calibration_error(*_judged(before, y), bins=bins),
        error_after=expected_calibration_error(confidence, outcome, bins=bins),
        error_by_chance=_error_by_chance(confidence, bins),
        loss_before=loss_before,
        loss_after=loss_after,
        note=note,
    )


def probabilities(scores: Numbers, several_labels: bool) -> Numbers:
    """Softmax over the last axis, or the sigmoid of each score where an image may have several labels."""
    if several_labels:
        return np.exp(-np.logaddexp(0.0, -scores))
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def fitted(scores: Numbers, labels: npt.NDArray[Any]) -> float:
    """The temperature within RANGE with the smallest negative log-likelihood.

    That is convex in 1 / temperature: its slope there, the mean of sum_k p_k z_k - z_label, crosses zero once.
    Bisected on a logarithmic scale."""
    several = labels.ndim > 1
    observed = (labels * scores).sum(-1) if several else scores[np.arange(len(scores)), labels]
    low, high = np.log(RANGE)
    for _ in range(STEPS):
        middle = (low + high) / 2
        slope = ((probabilities(scores / np.exp(middle), several) * scores).sum(-1) - observed).mean()
        low, high = (low, middle) if slope < 0 else (middle, high)
    return float(np.exp((low + high) / 2))


def expected_calibration_error(confidence: Numbers, outcome: npt.NDArray[Any], *, bins: int = BINS) -> float:
    """The mean over predictions of |mean confidence - frequency of the outcome| of their bin (Naeini et al. 2015), with
    `bins` equally filled bins of neighbouring confidences; both arguments are (N,), outcomes 0 or 1."""
    order = np.argsort(confidence, kind="stable")
    return float(_binned(confidence[order] - outcome[order], bins))


def _binned(differences: Numbers, bins: int) -> Any:
    """Of differences in the order of the confidences (..., N): sum of the bins' |sum|, over N."""
    count = differences.shape[-1]
    starts = np.linspace(0, count, bins, endpoint=False).astype(int)
    return np.abs(np.add.reduceat(differences, starts, axis=-1)).sum(-1) / count


def _error_by_chance(confidence: Numbers, bins: int) -> float:
    """The mean error of outcomes that are drawn from the confidences."""
    ordered, draws = np.sort(confidence), np.random.default_rng(0)
    return float(np.mean([_binned(ordered - (draws.random(ordered.shape) < ordered), bins) for _ in range(DRAWS)]))


def _cross_fitted(scores: Numbers, labels: npt.NDArray[Any]) -> list[tuple[npt.NDArray[np.int64], float]]:
    """Folds of the images with the temperature of all the others; a single image has its own."""
    numbers = np.random.default_rng(0).permutation(len(scores))
    folds = [numbers[start::FOLDS] for start in range(min(FOLDS, len(scores)))]
    if len(folds) == 1:
        return [(numbers, fitted(scores, labels))]
    return [
        (fold, fitted(scores[remaining], labels[remaining]))
        for fold in folds
        for remaining in [np.setdiff1d(numbers, fold)]
    ]


def _all_right(scores: Numbers, labels: npt.NDArray[Any]) -> bool:
    if labels.ndim > 1:
        return bool(((scores > 0) == (labels > 0)).all())
    return bool((scores.argmax(-1) == labels).all())


def _judged(predicted: Numbers, labels: npt.NDArray[Any]) -> tuple[Numbers, npt.NDArray[Any]]:
    """Probabilities and whether they came true: of each image's first class, or of every label of every image."""
    if labels.ndim > 1:
        return predicted.ravel(), labels.ravel()
    return predicted.max(-1), predicted.argmax(-1) == labels


def _loss(predicted: Numbers, labels: npt.NDArray[Any]) -> float:
    """The mean negative log-likelihood of a label."""
    if labels.ndim > 1:
        likelihood = np.where(labels > 0, predicted, 1 - predicted)
    else:
        likelihood = predicted[np.arange(len(predicted)), labels]
    return float(-np.log(np.maximum(likelihood, np.finfo(np.float64).tiny)).mean())
