"""The evaluation of a trained network on the test split, in which its outputs for each image are recorded too."""

from __future__ import annotations

import torch
from torch import Tensor

from archsearch.data.images import SplitName
from archsearch.experiment.predictions import Predictions, Recorded, SplitPredictions, too_large
from archsearch.training.loop import TestMetrics, Training

SPLITS: tuple[SplitName, ...] = ("validation", "test")
_LEAST = 2  # bytes of a score


def evaluated(training: Training) -> tuple[TestMetrics, Recorded]:
    """The metrics on the test split, and the outputs for each validation and test image: the test split is evaluated
    once, for both. Outputs that would take too much room are not gathered."""
    images = training.images
    count = sum(len(images.split(name)) for name in SPLITS) * len(images.classes)
    if (reason := too_large(_LEAST * count)) is not None:
        return training.evaluate("test"), Recorded(content=None, reason=reason)
    outputs: dict[SplitName, list[Tensor]] = {name: [] for name in SPLITS}
    _, metrics = (training.evaluate(name, outputs[name]) for name in SPLITS)
    splits: dict[str, SplitPredictions] = {
        name: SplitPredictions(scores=torch.cat(outputs[name]).numpy(), labels=images.split(name).labels)
        for name in SPLITS
    }
    thresholds = None if training.thresholds is None else tuple(training.thresholds.tolist())
    predictions = Predictions(task=images.task, classes=tuple(images.classes), splits=splits, thresholds=thresholds)
    return metrics, predictions.recorded()
