"""One architecture trained to the end and written down: what `archsearch train` and `confirm` do."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archsearch.data.images import ImageSet
from archsearch.data.streaming import StreamedImages
from archsearch.experiment import TrainingFolder, write_atomically
from archsearch.guests.either import Described, build, digest, read
from archsearch.guests.guest import Guest
from archsearch.guests.parents import Parent
from archsearch.reading.errors import refuse
from archsearch.reading.files import read_json
from archsearch.space.settings import DataSettings
from archsearch.training.checkpoint import (
    CheckpointDamaged,
    load_latest,
    remove_checkpoint,
    save_checkpoint,
)
from archsearch.training.loop import EpochMetrics, OnStep, Training
from archsearch.training.losses import ends_linearly
from archsearch.training.measuring.threads import completed
from archsearch.training.measuring.timing import torch_threads
from archsearch.training.pretrained import begin, parent_of_file
from archsearch.training.recording import evaluated
from archsearch.training.run import TrainingRun

CHECKPOINT_SECONDS = 30.0  # at most so much is trained again after a fault


@torch_threads(None)  # afterwards torch has as many as before
def train_architecture(
    architecture: Described,
    images: ImageSet,
    run: TrainingRun,
    folder: Path,
    *,
    weights: Path | Parent | None = None,
    test: bool = True,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
    on_step: OnStep | None = None,
    on_begin: Callable[[int], object] | None = None,
    measure: Callable[[Training], Mapping[str, Any]] | None = None,
    data: DataSettings | None = None,
    most_threads: int | None = None,
) -> dict[str, Any]:
    """Trains all epochs, evaluates the test split once, writes the folder; returns what result.json holds.

    The folder gets model.yaml, weights.safetensors and result.json. Where an earlier call with the same
    architecture, images, settings and seed was interrupted in this folder, it goes on from its checkpoint.
    `weights` are a file or a parent to start from (see pretrained.py), of which the setting `freeze` holds a part as it
    is; without them the network trains whole.
    `on_begin` is called before the first epoch with how many the earlier call has done, `on_epoch` after each.
    `measure` is called with the training before the first epoch and after each, and must leave it as it was: the JSON
    values that it returns become the result's `initially`, and join the epoch's in the history.
    `data` are the settings by which the images were read: result.json keeps them, with absolute paths, for `export`.
    Where a GPU's kernels are launched one by one because CUDA graphs cannot be used, `no_graph` is the reason in it.
    Threads (at most `most_threads`) and a precision that neither the run nor its settings fix are chosen by a short
    measurement, once: a training that goes on keeps those with which it began.
    Without `test` the test split stays unseen, and `test` is null in the result: see `evaluate_test`.
    Raises InputError where the images are not the architecture's or the weights cannot be used, Diverged, OSError.
    """
    _fits(architecture, images)
    if weights is None:  # initial values are not held as they are
        run = replace(run, settings=run.settings.model_copy(update={"freeze": "none"}))
    settings = run.settings
    parent = parent_of_file(weights, architecture) if isinstance(weights, Path) else weights
    model = build(architecture, seed=run.seed)
    if isinstance(architecture, Guest) and images.task == "regression" and not ends_linearly(model, images.shape):
        problem = f"the outputs of {architecture.name} are not those of a linear layer, as a regression needs"
        raise refuse(problem, allowed="another network", file=architecture.name)
    start = begin(parent, model, seed=run.seed) if parent is not None else None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = TrainingFolder(folder)
    identity = _identity(architecture, images, run, start)
    state = _state_of(identity, files.checkpoint)
    if state is None:
        run, problem = completed(architecture, run, most=most_threads)
        if problem:
            warnings.warn(f"training in {problem}", stacklevel=2)
    else:
        run = _as_it_began(run, state[1])
    training = Training(model, images, run, on_step=on_step)
    if start is not None and not start["replaced"]:
        training.loss.standardise(model)
    measured = measure or (lambda _: {})
    initially = measured(training)
    history: list[dict[str, Any]] = []
    if state is not None:
        training.restore(*state)
        history = list(state[1]["history"])
    write_atomically(files.model_yaml, architecture.to_yaml())
    if on_begin is not None:
        on_begin(len(history))
    saved = time.monotonic()
    for metrics in training:
        history.append({**metrics.to_dict(), **measured(training)})
        if time.monotonic() - saved >= checkpoint_seconds:
            tensors, extra = training.state()
            execution = {"threads": run.threads, "precision": training.precision}
            extra = {**extra, **execution, "identity": identity, "history": history}
            save_checkpoint(files.checkpoint, tensors, extra)
            saved = time.monotonic()
        if on_epoch is not None:
            on_epoch(metrics)
    tested = training.evaluate("test").to_dict() if test else None
    trained = training.packed_weights()
    write_atomically(files.weights, trained)
    result = {
        "name": architecture.name,
        "digest": digest(architecture),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "folder": str(folder),
        "data": {"name": images.name, "digest": images.digest, "task": images.task, "classes": list(images.classes),
                 "mean": list(images.mean), "std": list(images.std),
                 "form": None if images.form is None else asdict(images.form), **_recorded(images, data)},
        "start": start,
        "frozen": training.frozen.to_dict(),
        "seed": run.seed,
        "epochs": settings.epochs,
        "training": settings.model_dump(mode="json"),
        "device": str(training.device),
        "precision": training.precision,
        **({"no_graph": reason} if (reason := training.graph and training.graph.problem) else {}),
        "threads": torch.get_num_threads(),
        "seconds": sum(epoch["seconds"] for epoch in history),
        "validation": {name.removeprefix("validation_"): value for name, value in history[-1].items()
                       if name.startswith("validation_")},
        "test": tested,
        "weights": {"file": files.weights.name, "sha256": hashlib.sha256(trained).hexdigest()},
        "thresholds": None if training.thresholds is None else training.thresholds.tolist(),
        **({"initially": initially} if initially else {}),
        "history": history,
    }  # fmt: skip
    write_atomically(files.result, json.dumps(result, indent=1))
    remove_checkpoint(files.checkpoint)
    return result


def evaluate_test(folder: Path, images: ImageSet, run: TrainingRun) -> dict[str, Any]:
    """Evaluates the test split with the weights that `train_architecture` left in the folder, in the precision in which
    they were trained, and writes that into result.json, after the outputs for each image into predictions.npz; returns
    what result.json then holds. One that holds it already is returned as it is.

    Raises InputError, also for a network or weights that are not those of the result, and OSError.
    """
    files = TrainingFolder(folder)
    result: dict[str, Any] = read_json(files.result)
    if result["test"] is not None:
        return result
    weights = files.weights.read_bytes()
    if hashlib.sha256(weights).hexdigest() != result["weights"]["sha256"]:
        raise refuse(
            "these are not the weights recorded in result.json: their SHA-256 differs", file=str(files.weights)
        )
    architecture = read(files.model_yaml)
    if digest(architecture) != result["digest"]:
        raise refuse("this is not the network recorded in result.json: its digest differs", file=str(files.model_yaml))
    training = Training(build(architecture), images, replace(run, precision=result["precision"]))
    try:
        training.load(weights)
    except (CheckpointDamaged, RuntimeError) as error:
        raise refuse("these are not the network's weights", file=str(files.weights)) from error
    metrics, recorded = evaluated(training)
    if recorded.content is not None:
        write_atomically(files.predictions, recorded.content)
    result |= {
        "test": metrics.to_dict(),
        "predictions": {"file": files.predictions.name, "sha256": recorded.sha256, "reason": recorded.reason},
    }
    write_atomically(files.result, json.dumps(result, indent=1))
    return result


def _recorded(images: ImageSet, data: DataSettings | None) -> dict[str, Any]:
    """What result.json keeps of data settings; images that are read from disk have a digest of another kind."""
    streamed = {"streamed": True} if isinstance(images, StreamedImages) else {}
    return {} if data is None else {**streamed, "settings": data.anchored().model_dump(mode="json")}


def _fits(architecture: Described, images: ImageSet) -> None:
    if tuple(architecture.input) != images.shape or architecture.classes != len(images.classes):
        raise refuse(
            f"the architecture takes images {tuple(architecture.input)} of {architecture.classes} "
            f"classes, but {images.name} has {images.shape} and {len(images.classes)} classes",
            allowed="the data set's shape and number of classes",
            hint=f"set input: {list(images.shape)} and classes: {len(images.classes)} in the architecture",
        )


def _identity(architecture: Described, images: ImageSet, run: TrainingRun, start: dict[str, Any] | None) -> str:
    """Equal for two trainings that go through the same states: same network, images, settings, seed and start."""
    values = [architecture.to_dict(), images.digest, run.settings.to_dict(), run.seed]
    values += [start["sha256"] if start else "", run.settings.freeze]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _state_of(identity: str, checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The state in which this very training was interrupted; None where there is none."""
    state = load_latest(checkpoint)
    return None if state is None or state[1].get("identity") != identity else state


def _as_it_began(run: TrainingRun, extra: Mapping[str, Any]) -> TrainingRun:
    """The run with the threads and the precision of its checkpoint, where it fixes none itself."""
    return replace(
        run,
        threads=run.threads or extra.get("threads"),
        precision=run.precision or extra.get("precision"),
    )
