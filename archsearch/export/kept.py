"""An experiment's winner, ready to predict: its preprocessing is measured on its images once, and kept beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from archsearch.data.images import ImageSet, Progress
from archsearch.experiment import ExperimentFolder
from archsearch.export.card import preprocessing
from archsearch.export.origin import AT_ONCE, of_trial, with_weights
from archsearch.export.selection import kept_weights, select
from archsearch.reading.errors import InputError
from archsearch.space.settings import TrainingSettings
from archsearch.training.calibration import Calibration, calibrate
from archsearch.training.feeds.feed import feed_of

HINT = "use --root DIR if the data was moved; a bundle (`archsearch export`) needs no data"


def winner(
    folder: ExperimentFolder, root: Path | None, device: torch.device, tell: Progress
) -> tuple[nn.Module, dict[str, Any]]:
    """The network, and what preprocessing.json of its bundle would say.

    That needs the experiment's images, which lie in `root` (None: where its space.yaml says), once for these weights:
    it is kept in the experiment's folder. Raises InputError where there is no winner with weights, or where the images
    are needed and cannot be read.
    """
    selection = select(folder, None)
    weights = kept_weights(selection)
    digest = hashlib.sha256(weights).hexdigest()
    document = _kept(folder, digest)
    if document is not None:
        return with_weights(selection.network, weights, str(selection.weights)), document
    try:
        origin = of_trial(selection, weights, history=([], {}), root=root, tell=tell)
    except InputError as error:
        raise InputError(*(replace(problem, hint=HINT) for problem in error.problems)) from error
    assert origin.images is not None, "they are required"
    calibration = None
    if origin.task != "regression":
        tell(f"calibrating probabilities on {len(origin.images.validation)} validation images, once for this network")
        calibration = calibrated(origin.network, origin.images, device)
        tell(str(calibration))
    document = preprocessing(origin, calibration)
    try:
        folder.write(
            folder.preprocessing, json.dumps({"weights": digest, "preprocessing": document}, ensure_ascii=False)
        )
    except OSError as error:
        tell(f"note: {folder.preprocessing} cannot be written ({error.strerror}), so this is repeated the next time")
    return origin.network, document


def calibrated(network: nn.Module, images: ImageSet, device: torch.device) -> Calibration:
    """The temperature of the network's probabilities on the validation split; the network is moved to the device."""
    network = network.eval().to(device)
    feed = feed_of(images, TrainingSettings(), device, workers=0)
    with torch.inference_mode():
        batches = [
            (network(pixels).float().cpu().numpy(), labels.cpu().numpy())
            for pixels, labels in feed.evaluation("validation", AT_ONCE)
        ]
    return calibrate(np.concatenate([scores for scores, _ in batches]), np.concatenate([each for _, each in batches]))


def _kept(folder: ExperimentFolder, digest: str) -> dict[str, Any] | None:
    """What was kept for these weights; None where that is nothing, or damaged."""
    try:
        document = folder.read_json(folder.preprocessing)
        return dict(document["preprocessing"]) if document["weights"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
