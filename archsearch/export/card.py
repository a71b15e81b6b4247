"""MODEL_CARD.md and preprocessing.json: what a reader of a bundle has to know of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from archsearch.analysis.intervals import wilson
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.export.int8 import Int8
from archsearch.export.origin import Origin
from archsearch.export.parity import Parity
from archsearch.training.calibration import Calibration
from archsearch.training.measuring.latency import Latency
from archsearch.version import __version__

HOW_READ = {
    "digits": "8x8 grey values of 0 to 16, scaled to 0 to 255",
    "cifar10": "RGB, 32x32",
    "cifar100": "RGB, 32x32",
    "fashion_mnist": "grey, 28x28",
    "folder": "RGB, rotated by its EXIF orientation, the shorter side resized, the centre cropped",
}
RESIZE = {"interpolation": "bilinear", "antialias": True, "library": "Pillow", "crop": "center"}


def preprocessing(origin: Origin, calibration: Calibration | None = None) -> dict[str, Any]:
    """Labels in the order of the scores, and how an image becomes the network's input, and by what its scores become
    probabilities; null where it is not known.

    `resize` is null for data sets whose images have one size, and says for a folder how `data.decoding` scales them."""
    channels, height, width = origin.architecture.input
    images, data = origin.images, origin.described
    labels = list(images.classes) if images is not None else data.get("classes")
    name = images.name if images is not None else data.get("name")
    return {
        "labels": labels,
        "size": {"channels": channels, "height": height, "width": width},
        "layout": "NCHW",
        "dtype": "float32",
        "reading": HOW_READ.get(str(name)),
        "resize": RESIZE | {"shorter_side": height} if name == "folder" else None,
        "scaling": "pixel / 255, then (x - mean) / std by channel",
        "mean": list(images.mean) if images is not None else data.get("mean"),
        "std": list(images.std) if images is not None else data.get("std"),
        "output": {"scores": origin.architecture.classes, "softmax": False},
        "calibration": None if calibration is None else calibration.to_dict(),
    }


def card(
    origin: Origin,
    parities: Sequence[Parity],
    latency: Latency,
    *,
    right: int | None,
    calibration: Calibration | None,
    files: Mapping[str, str],
    int8: Int8 | None = None,
) -> str:
    """The page. `right`: how many images of the validation split these weights get right, counted at the export, as
    `calibration` is measured; `int8`: how accurate 8-bit integers are, where they are among the formats."""
    network, counted = origin.architecture, cost(origin.architecture)
    channels, height, width = network.input
    lines = [
        f"# {_plain(network.name or digest(network))}",
        "",
        f"Images ({channels}, {height}, {width}) -> {network.classes} classes. {counted.params:,} parameters, "
        f"{counted.macs:,} MACs (convolutions and linear layers), {counted.flops:,} FLOPs (fvcore's count in eval "
        f"mode, one multiply-add = 1). Digest {digest(network)}.",
        "",
        "## Accuracy",
        "",
        *_accuracy(origin, right),
        *((f"- {int8}.",) if int8 is not None else ()),
        "",
        "## Probabilities",
        "",
        *_calibrated(calibration),
        "",
        "## How it was found",
        "",
        *(f"- {sentence}" for sentence in origin.history),
        f"- Budget: {origin.budget or 'not known'}.",
        f"- archsearch {__version__}, torch {version('torch')}, Python {platform.python_version()}.",
        "",
        "## Data",
        "",
        *_data(origin),
        "",
        "## Latency",
        "",
        f"{latency}, clock: {latency.clock}; measured at the export, in eval mode, norms not folded.",
        "",
        "## Files",
        "",
        *(f"- `{name}`: {purpose}" for name, purpose in files.items()),
        "",
        "## Parity with the module that was trained",
        "",
        *(f"- {parity}" for parity in parities),
        "",
        "## Licence",
        "",
        "model.py contains code of archsearch, which is Apache-2.0. archsearch claims no rights in "
        "the weights: their licence is yours to choose, within the terms of the data.",
    ]
    return "\n".join(lines) + "\n"


def _accuracy(origin: Origin, right: int | None) -> list[str]:
    lines = [f"- {split}: {score}" for split, score in origin.accuracy.items()]
    if right is not None and origin.images is not None:
        count = len(origin.images.validation)
        low, high = wilson(right, count)
        lines.append(
            f"- validation, these weights, counted at the export: {100 * right / count:.2f} % of "
            f"{count} images (95 % interval over images: {100 * low:.2f} to {100 * high:.2f} %). "
            "The search selected by this split."
        )
    return lines or ["Not known: the weights came without their data."]


def _calibrated(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return ["Not calibrated: the weights came without their data."]
    before, after, chance = (
        f"{100 * error:.2f} %"
        for error in (calibration.error_before, calibration.error_after, calibration.error_by_chance)
    )
    return [
        f"Scores are divided by the temperature {calibration.temperature:.4g} before the softmax (temperature scaling, "
        f"Guo et al. 2017), fitted to the {calibration.images} validation images. Expected calibration error of the "
        f"first class, {calibration.bins} equally filled bins: {before} without it, {after} with it (each fifth of the "
        f"images by the temperature of the others); perfect probabilities would show {chance} on so many images. "
        "The search selected by this split." + (f" {calibration.note}" if calibration.note else "")
    ]


def _data(origin: Origin) -> list[str]:
    images, data = origin.images, origin.described
    if images is None and not data:
        return ["Not known."]
    if images is None:
        return [f"`{data.get('name')}`, digest {data.get('digest')}."]
    sizes = ", ".join(f"{len(images.split(name))} {name}" for name in ("train", "validation", "test"))
    return [f"`{images.name}`, digest {images.digest}: {sizes} images, {len(images.classes)} classes."]


def _plain(name: str) -> str:
    """A user's name, without what Markdown or HTML would take for its own."""
    return "".join(letter for letter in name if letter.isalnum() or letter in " _-.")[:100]
