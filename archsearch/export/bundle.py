"""A bundle: a network in every format, checked, with what its reader has to know. Whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from archsearch.architecture.spec import Architecture
from archsearch.experiment import write_atomically
from archsearch.experiment.files import sync_folder
from archsearch.experiment.layout import MODEL, WEIGHTS
from archsearch.export import formats, int8, parity
from archsearch.export.alone import FILES as ALONE_FILES
from archsearch.export.alone import write_alone
from archsearch.export.card import card, preprocessing
from archsearch.export.hub import FILES as HUB_FILES
from archsearch.export.hub import write_hub
from archsearch.export.int8 import Int8
from archsearch.export.opened import KIND, MANIFEST, PREPROCESSING, is_bundle
from archsearch.export.origin import Origin, validation
from archsearch.export.parity import Parity, ParityLost, Trial
from archsearch.export.preprocessed import Preprocessing
from archsearch.export.source import source
from archsearch.export.timm import timm_arguments
from archsearch.guests.either import described, digest
from archsearch.guests.guest import Guest
from archsearch.reading.errors import InputError, refuse
from archsearch.training.calibration import Calibration, calibrate
from archsearch.training.checkpoint import weights_to_bytes
from archsearch.training.measuring.latency import measure
from archsearch.training.metrics import measured
from archsearch.version import __version__

NAMES: dict[formats.Format, str] = {"python": "model.py", "onnx": "model.onnx", "torch-export": "model.pt2"}
RANDOM = 16  # images, where a network's data is not known
FILES = {
    "model.yaml": "the architecture, for `archsearch train`, `profile` and `export`",
    "model.py": "plain PyTorch: `model.load('weights.safetensors')` is the network",
    WEIGHTS: "its weights",
    "model.onnx": "ONNX, `images` (batch, channels, height, width) -> `scores`",
    "model.pt2": "`torch.export.load('model.pt2').module()`",
    "preprocessing.json": "labels, size, resizing, scaling, mean, standard deviation",
    "huggingface/": "the same for the Hugging Face Hub: `Model.from_pretrained`, see hub.py there",
    "manifest.json": "the SHA-256 of each file, and how far each format differs from the trained network",
}
INT8 = "ONNX in 8-bit integers (QDQ) for onnxruntime, `images` -> `scores` as in model.onnx"
TIMM = "arguments of timm's `create_model` for the same network, and timm's names of its weights"
Tell = Callable[[str], None]


def trial_for(origin: Origin, tell: Tell) -> Trial:
    """What formats are compared on: the validation split where the network's data is known, else random images."""
    if origin.images is None:
        tell(f"the network's data is not known, so formats are compared on {RANDOM} random images")
        images = parity.random_images(origin.architecture.input, RANDOM)
        return parity.trial_of(origin.network, [images], "random")
    images, labels = validation(origin.images)
    of = f"validation split of {origin.images.name}"
    return parity.trial_of(origin.network, [images], of, labels, origin.task)


def calibration_of(trial: Trial) -> Calibration | None:
    """How well the network's probabilities are calibrated on its validation split; None where that is not known, and
    for a regression, which has none."""
    if trial.labels is None or trial.task == "regression":
        return None
    return calibrate(trial.scores.numpy(), trial.labels.numpy())


def scores_of(trial: Trial, read: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of the trial's task on its images, by the bundle's preprocessing; none where they have no labels."""
    if trial.labels is None:
        return {}
    known = Preprocessing.read(read, PREPROCESSING)
    thresholds = None if known.thresholds is None else np.array(known.thresholds)
    return measured(trial.task, known.answers(trial.scores.numpy()), trial.labels.numpy(), thresholds)


def write_format(form: formats.Format, network: nn.Module, trial: Trial, output: Path) -> Parity:
    """One format as a file, compared with the network before it is there. Raises ParityLost, InputError, OSError."""
    with tempfile.TemporaryDirectory() as folder:
        (result,) = _written(Path(folder), network, trial, (form,))
        content = (Path(folder) / NAMES[form]).read_bytes()
    write_atomically(output, content)
    return result


def write_int8_alone(origin: Origin, trial: Trial, output: Path, *, max_loss: float) -> tuple[Parity, Int8]:
    """ONNX in 8-bit integers as a file; how far the float ONNX that it is made of is from the network, and how far it
    is from that. Raises ParityLost, InputError, OSError."""
    assert origin.images is not None, "calibrated on training images"
    with tempfile.TemporaryDirectory() as folder:
        (compared,) = _written(Path(folder), origin.network, trial, ("onnx",))
        file = Path(folder) / int8.NAME
        result = int8.write_int8(Path(folder) / NAMES["onnx"], file, origin.images, trial, max_loss=max_loss)
        content = file.read_bytes()
    write_atomically(output, content)
    return compared, result


def refuse_other_folders(output: Path) -> None:
    """Raises InputError for anything but a path that is free, an empty folder, or a bundle."""
    allowed = "a new or empty folder, or an existing bundle"
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise refuse(f"{output} is a file or a link, not a folder", allowed=allowed, file="-o")
    if output.is_dir() and any(output.iterdir()) and not is_bundle(output):
        raise refuse(f"{output} holds other files", allowed=allowed, hint="choose another -o", file="-o")
    parent = output.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise refuse(f"{parent} is not a writable folder", allowed=allowed, file="-o")


def write_bundle(origin: Origin, output: Path, tell: Tell, *, max_loss: float | None = None) -> dict[str, Any]:
    """The folder with everything; what its manifest holds. With `max_loss`, 8-bit integers are among it, which may lose
    so many points of accuracy.

    It is made beside `output` and replaces it once every format agrees with the network. Raises ParityLost (nothing
    is left then), InputError, OSError.
    """
    formats.refuse_without_onnx()
    refuse_other_folders(output)
    trial = trial_for(origin, tell)
    draft = Path(tempfile.mkdtemp(dir=output.absolute().parent, prefix=f".{output.name}.new-"))
    try:
        document = _fill(draft, origin, trial, tell, max_loss)
        draft.chmod(0o755)
        _replace(draft, output)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return document


def _fill(folder: Path, origin: Origin, trial: Trial, tell: Tell, max_loss: float | None) -> dict[str, Any]:
    architecture, files = origin.architecture, {**FILES, **ALONE_FILES}
    calibration = calibration_of(trial)
    if calibration is not None:
        tell(str(calibration))
    read = preprocessing(origin, calibration)
    (folder / "model.yaml").write_text(architecture.to_yaml())
    if isinstance(architecture, Guest):
        parities = _of_guest(folder, origin.network, trial, tell)
        parts = {MODEL, WEIGHTS, PREPROCESSING, MANIFEST, *(NAMES[compared.format] for compared in parities)}
        files = {name: purpose for name, purpose in FILES.items() if name in parts}
    else:
        parities = _written(folder, origin.network, trial, tuple(NAMES), tell)
        write_alone(folder)
        if arguments := timm_arguments(architecture):
            _write_json(folder / "timm.json", arguments)
            files["timm.json"] = TIMM
    quantized = None
    if max_loss is not None and origin.images is not None:
        onnx, output = folder / NAMES["onnx"], folder / int8.NAME
        tell(str(quantized := int8.write_int8(onnx, output, origin.images, trial, max_loss=max_loss)))
        files[int8.NAME] = INT8
    _write_json(folder / PREPROCESSING, read)
    latency = measure(architecture, device="cpu", threads=1, seconds=1.0)
    page = partial(card, origin, parities, latency, right=trial.right, calibration=calibration, known=read)
    page = partial(page, scores=scores_of(trial, read))
    (folder / "MODEL_CARD.md").write_text(page(files=files, int8=quantized))
    if not isinstance(architecture, Guest):
        write_hub(folder, page(files=HUB_FILES), read)
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    document = {
        "kind": KIND,
        "format": 1,
        "archsearch": __version__,
        "name": architecture.name,
        "digest": digest(architecture),
        "parity": [compared.to_dict() for compared in parities],
        "calibration": read["calibration"],
        **({"int8": quantized.to_dict()} if quantized is not None else {}),
        **({"began": [dict(each) for each in origin.began]} if origin.began else {}),
        "files": {path.relative_to(folder).as_posix(): _entry(path) for path in written},
    }
    _write_json(folder / MANIFEST, document)
    for path in (*written, folder / MANIFEST):
        _sync(path)
    sync_folder(folder)
    return document


def _written(
    folder: Path, network: nn.Module, trial: Trial, forms: tuple[formats.Format, ...], tell: Tell = lambda _: None
) -> list[Parity]:
    """Writes these formats with the weights, and compares each. Raises ParityLost for the first that differs."""
    (folder / WEIGHTS).write_bytes(weights_to_bytes(network.state_dict()))
    if "python" in forms:
        architecture = described(network)
        assert isinstance(architecture, Architecture), "a guest has no source of ours"
        (folder / NAMES["python"]).write_text(source(architecture))
    if {"onnx", "torch-export"} & {*forms}:
        exported = formats.program(network)
        if "torch-export" in forms:
            formats.write_program(exported, folder / NAMES["torch-export"])
        if "onnx" in forms:
            with formats.refused_of_guests(network, "onnx"):
                formats.write_onnx(exported, folder / NAMES["onnx"])
    parities = []
    for form in forms:
        compared = trial.compare(form, folder / NAMES[form], folder / WEIGHTS)
        if not compared.kept:
            raise ParityLost(
                f"{compared}; allowed: below {parity.TOLERANCE:g}, and the same top-1. Nothing was written"
            )
        tell(str(compared))
        parities.append(compared)
    return parities


def _of_guest(folder: Path, network: nn.Module, trial: Trial, tell: Tell) -> list[Parity]:
    """Writes the formats that torch's exporters have of a module of another library, and says which they have not.
    Raises ParityLost."""
    parities: list[Parity] = []
    for form in ("torch-export", "onnx"):
        try:
            parities += _written(folder, network, trial, (form,), tell)
        except InputError as error:
            (folder / NAMES[form]).unlink(missing_ok=True)
            tell(f"{form} is left out: {error.problems[0].message}")
    return parities


def _replace(new: Path, output: Path) -> None:
    """The new folder under the output's name; a bundle that stood there is removed after that."""
    old = new.with_name(new.name.replace(".new-", ".old-"))
    if output.exists():
        output.rename(old)
    try:
        new.rename(output)
    except OSError:
        if old.exists():
            old.rename(output)
        raise
    sync_folder(output.absolute().parent)
    shutil.rmtree(old, ignore_errors=True)


def _entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
