"""MODEL_CARD.md and preprocessing.json: what a reader of a bundle has to know of it."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from archsearch.analysis.intervals import wilson
from archsearch.data.decoding import form_of
from archsearch.data.form import ImageForm
from archsearch.export.alone import PREDICT, ten_lines
from archsearch.export.int8 import Int8
from archsearch.export.origin import Origin
from archsearch.export.parity import Parity
from archsearch.guests.either import cost, digest
from archsearch.guests.either import origin as maker
from archsearch.space.tasks import METRICS, TaskName
from archsearch.training.calibration import Calibration
from archsearch.training.measuring.latency import Latency
from archsearch.version import __version__

HOW_READ = {
    "digits": "8x8 grey values of 0 to 16, scaled to 0 to 255",
    "cifar10": "RGB, 32x32",
    "cifar100": "RGB, 32x32",
    "fashion_mnist": "grey, 28x28",
    "mnist": "grey, 28x28",
    "svhn": "RGB, 32x32",
    "arrays": "arrays, as they were given",
}
OUTPUTS = {"single_label": "classes", "multi_label": "labels", "regression": "targets"}
OURS = "The Python files contain code of archsearch, which is Apache-2.0."
THEIRS = "The network's code is that of another library, under its licence."
MULTIPLIED = "convolutions and linear layers"
PRODUCTS = f"{MULTIPLIED}, and products of matrices"
RESIZE = {"interpolation": "bilinear", "antialias": True, "library": "Pillow"}


def preprocessing(origin: Origin, calibration: Calibration | None = None) -> dict[str, Any]:
    """Labels in the order of the scores, and how an image becomes the network's input, and by what its scores become
    probabilities; null where it is not known.

    `resize` is null for data sets whose images have one size, and says for files how they are scaled; `form` says the
    same in full, as form.py takes it."""
    channels, height, width = origin.architecture.input
    images, data = origin.images, origin.described
    labels = list(images.classes) if images is not None else data.get("classes")
    name = images.name if images is not None else data.get("name")
    form, of_files = _form(origin), _of_files(origin)
    resize = {**RESIZE, **({"crop": "center", "shorter_side": _shorter_side(form)} if form.fit == "crop" else {})}
    return {
        "task": origin.task,
        "labels": labels,
        "form": dataclasses.asdict(form),
        "size": {"channels": channels, "height": height, "width": width},
        "layout": "NCHW",
        "dtype": "float32",
        "reading": _reading(form) if of_files else HOW_READ.get(str(name)),
        "resize": resize if of_files else None,
        "scaling": f"pixel / {form.white}, then (x - mean) / std by channel",
        "mean": list(images.mean) if images is not None else data.get("mean"),
        "std": list(images.std) if images is not None else data.get("std"),
        "output": {"scores": origin.architecture.classes, "softmax": False},
        "calibration": None if calibration is None else calibration.to_dict(),
        "thresholds": _thresholds(origin, calibration),
    }


def _thresholds(origin: Origin, calibration: Calibration | None) -> list[float] | None:
    """The probabilities from which each label is given: those of the training, after the temperature."""
    if origin.thresholds is None or calibration is None:
        return None if origin.thresholds is None else list(origin.thresholds)
    power = 1 / calibration.temperature
    return [share**power / (share**power + (1 - share) ** power) for share in origin.thresholds]


def _form(origin: Origin) -> ImageForm:
    """The form that an image file gets: that of the training's files. Data sets that are no files have images of one
    size, to which a file is cropped."""
    images, described = origin.images, origin.described.get("form")
    if images is not None and images.form is not None:
        return images.form
    if described is not None:
        return ImageForm(**described)
    channels, height, width = origin.architecture.input
    if _of_files(origin) and origin.settings is not None:  # without its files
        return dataclasses.replace(form_of(origin.settings), channels=channels, height=height, width=width)
    wide = images is not None and images.white > 255
    return ImageForm(channels=channels, height=height, width=width, bits=16 if wide else 8)


def _shorter_side(form: ImageForm) -> int:
    """The shorter side of an image that is resized, before its centre is cropped."""
    return round(min(form.height, form.width) / form.crop_ratio)


def _of_files(origin: Origin) -> bool:
    """Whether the network was trained on image files, of any size."""
    name = origin.images.name if origin.images is not None else origin.described.get("name")
    return name is not None and name not in HOW_READ


def _reading(form: ImageForm) -> str:
    """How a file gets the form, in words."""
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}.get(form.channels, f"{form.channels} channels")
    size = f"{form.height}x{form.width}"
    match form.fit:
        case "pad":
            fitted = f"resized until it fits into {size}, black beside it"
        case "squash":
            fitted = f"both sides resized to {size}"
        case _:
            sides = "the shorter side resized" if form.height == form.width else f"resized until it covers {size}"
            sides += f" (to {_shorter_side(form)} for the shorter side)" if form.crop_ratio < 1 else ""
            fitted = f"{sides}, the centre cropped"
    return f"{colours}, rotated by its EXIF orientation, {fitted}; form.py reads it so"


def card(
    origin: Origin,
    parities: Sequence[Parity],
    latency: Latency,
    *,
    right: int | None,
    calibration: Calibration | None,
    known: Mapping[str, Any],
    files: Mapping[str, str],
    scores: Mapping[str, float],
    int8: Int8 | None = None,
) -> str:
    """The page. `right`: how many images of the validation split these weights get right, counted at the export, as
    `calibration` is measured; `known` is the bundle's preprocessing; `scores` are the
    metrics of its task on the validation split, by their names; `int8`: how accurate 8-bit integers are, where
    they are among the formats."""
    network, counted, guest = origin.architecture, cost(origin.architecture), maker(origin.architecture)
    channels, height, width = network.input
    lines = [
        f"# {_plain((network.name or digest(network)).replace(':', ' '))}",
        "",
        f"Images ({channels}, {height}, {width}) -> {network.classes} {OUTPUTS[origin.task]}. {counted.params:,} "
        f"parameters, {counted.macs:,} MACs ({PRODUCTS if guest else MULTIPLIED}), {counted.flops:,} FLOPs "
        f"(fvcore's count in eval mode, one multiply-add = 1). Digest {digest(network)}.",
        "",
        "## Accuracy",
        "",
        *_accuracy(origin, right, scores),
        *((f"- {int8}.",) if int8 is not None else ()),
        "",
        *(["## Probabilities", "", *_calibrated(calibration, origin.task), ""] if origin.task != "regression" else []),
        "## How it was found",
        "",
        *(f"- {sentence}" for sentence in (*origin.history, *([f"The network is a {guest}."] if guest else []))),
        f"- Budget: {origin.budget or 'not known'}.",
        f"- archsearch {__version__}, torch {version('torch')}, Python {platform.python_version()}.",
        "",
        *(_use(known) if PREDICT in files else []),
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
        f"{THEIRS if guest else OURS} archsearch claims no rights in "
        "the weights: their licence is yours to choose, within the terms of the data"
        f"{' and of the weights that training began with:' if origin.began else '.'}",
        *(("",) if origin.began else ()),
        *(f"- {_code(each['origin'])}, licence: {_licence(each)}" for each in origin.began),
    ]
    return "\n".join(lines) + "\n"


def _accuracy(origin: Origin, right: int | None, scores: Mapping[str, float]) -> list[str]:
    lines = [f"- {split}: {score}" for split, score in origin.accuracy.items()]
    if right is not None and origin.images is not None:
        count = len(origin.images.validation)
        low, high = wilson(right, count)
        lines.append(
            f"- validation, these weights, counted at the export: {100 * right / count:.2f} % of "
            f"{count} images (95 % interval over images: {100 * low:.2f} to {100 * high:.2f} %). "
            "The search selected by this split."
        )
    for name, value in scores.items():
        if name != "accuracy":
            metric = METRICS[name]
            shown = f"{100 * value:.2f} %" if metric.percent else f"{value:.4g}"
            lines.append(f"- validation, {name.replace('_', ' ')}: {shown} ({metric.description})")
    return lines or ["Not known: the weights came without their data."]


def _use(known: Mapping[str, Any]) -> list[str]:
    return [
        "## Use",
        "",
        "`python predict.py IMAGE...` prints labels and probabilities. In Python, in this folder, with torch and Pillow"
        " installed (NumPy for .npy files and images of more than 8 bits):",
        "",
        "```python",
        *ten_lines(known),
        "```",
        "",
    ]


def _calibrated(calibration: Calibration | None, task: TaskName) -> list[str]:
    if calibration is None:
        return ["Not calibrated: the weights came without their data."]
    before, after, chance = (
        f"{100 * error:.2f} %"
        for error in (calibration.error_before, calibration.error_after, calibration.error_by_chance)
    )
    function, of = ("softmax", "of the first class") if task == "single_label" else ("sigmoid", "over all labels")
    return [
        f"Scores are divided by the temperature {calibration.temperature:.4g} before the {function} (temperature "
        f"scaling, Guo et al. 2017), fitted to the {calibration.images} validation images. Expected calibration error "
        f"{of}, {calibration.bins} equally filled bins: {before} without it, {after} with it (each fifth of the "
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
    return [f"`{images.name}`, digest {images.digest}: {sizes} images, {len(images.classes)} {OUTPUTS[origin.task]}."]


def _licence(began: Mapping[str, str | None]) -> str:
    """The licence of weights that training began with, as their source has it."""
    licence = began["licence"]
    return "not stated" if licence is None else _code(licence)


def _code(text: str | None) -> str:
    """A text of somebody's as Markdown's code, in which nothing has a meaning."""
    return f"`{''.join(letter for letter in text or '' if letter.isprintable() and letter != '`')[:400]}`"


def _plain(name: str) -> str:
    """A user's name, without what Markdown or HTML would take for its own."""
    return "".join(letter for letter in name if letter.isalnum() or letter in " _-.")[:100]
