"""The winner of a finished search in MLflow's model registry, as a program of torch.export: no pickle.

    mlflow.pytorch.load_model("models:/NAME/VERSION")(images)

takes float images (N, C, H, W) that are normalised as the version's description says, for any N.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.objective import ACCURACY
from archsearch.experiment.suggested import command_of
from archsearch.experiment.winner import Winner, winner_of
from archsearch.tracking.outbox import Outbox
from archsearch.tracking.process import current_store, quiet_mlflow
from archsearch.tracking.retrained import Retrained, retrained
from archsearch.tracking.store import Store, resolve_tracking_uri
from archsearch.tracking.translate import (
    EXPERIMENT_TAG,
    RETRAINED_TAG,
    TRIAL_TAG,
    Point,
    costs,
    updates,
)

WEIGHTS_TAG = "archsearch.weights_sha256"
EXAMPLES = 2  # images: one would fix the batch


@dataclass(frozen=True, kw_only=True)
class Registrable:
    """The winner with its weights, a safetensors file. `training` is the one after the search that they come of (None:
    the search's own trial); `points` are what the trial's run has of these very weights."""

    winner: Winner
    architecture: Architecture
    weights: bytes
    metrics: dict[str, float]
    points: list[Point]
    training: Retrained | None = None


def registrable(folder: ExperimentFolder) -> Registrable | None:
    """None where no trial has finished, or where the weights are gone. Raises InputError for weights that are not those
    that the ledger names."""
    with Ledger.read(folder.ledger) as ledger:
        winner = winner_of(folder, ledger)
        if winner is None or not winner.weights.is_file():
            return None
        trial = winner.trial
        tested = ledger.events_of("tested", trial=trial.number)
        objective = ledger.objective
        epochs = [e for e in ledger.events_of("epoch", trial=trial.number) if e.data["epoch"] == trial.epochs]
        key = f"{winner.of}/{winner.sha256}"
        training = next((training for training in retrained(folder, ledger) if training.key == key), None)
    metrics = {objective.validation: winner.value}
    if winner.test is not None:
        metrics[objective.test] = winner.test
    network = Architecture.from_dict(dict(trial.architecture))
    count = cost(network)
    metrics |= {"params": float(count.params), "flops": float(count.flops), "macs": float(count.macs)}
    points = [
        *costs(trial),
        *(point for update in updates([*epochs[-1:], *tested], objective) for point in update.points),
    ]
    return Registrable(
        winner=winner,
        architecture=network,
        weights=folder.read_weights(winner.weights, winner.sha256),
        metrics=metrics,
        points=points if winner.of == "search" else [],
        training=training,
    )


def register(folder: ExperimentFolder, tracking_uri: str | None = None) -> str | None:
    """`NAME version N` of the winner in the registry, made where these very weights are not there yet; None where there
    is nothing to register, or the search was interrupted. Takes about ten seconds of a core, mostly for torch.export.

    Raises what MLflow raises where the store does not answer.
    """
    entry = registrable(folder)
    uri = resolve_tracking_uri(tracking_uri)
    with Ledger.read(folder.ledger) as ledger, Outbox(folder.outbox, uri) as outbox:
        recorded = outbox.run(entry.winner.trial.number) if entry is not None else None
        # One registered model a search; MLflow takes neither / nor :.
        name = re.sub(r"[/:]", "-", str(ledger.meta.get("name") or "archsearch"))
        search, experiment = outbox.identity(folder.ledger), outbox.experiment
        over = any(event.data["state"] == "finished" for event in ledger.events_of("ended"))
    if entry is None or recorded is None or not over:
        return None
    with quiet_mlflow():
        number = _version(
            uri,
            entry,
            name=name,
            search=search,
            experiment=experiment,
            run=recorded[0],
            description=_described(folder, entry),
        )
    return f"{name} version {number}"


def _version(
    uri: str, entry: Registrable, *, name: str, search: str, experiment: str | None, run: str, description: str
) -> str:
    """The number of the version with these weights, made where there is none. `run` is the trial's, `experiment` the
    search's in MLflow."""
    from mlflow.tracking import MlflowClient

    client, weights = MlflowClient(uri, uri), hashlib.sha256(entry.weights).hexdigest()
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get(WEIGHTS_TAG) == weights:
            return str(version.version)
    tags = {EXPERIMENT_TAG: search, TRIAL_TAG: entry.winner.trial.id, "archsearch.digest": digest(entry.architecture),
            "archsearch.of": entry.winner.of}  # fmt: skip
    points, training = entry.points, entry.training
    if training is not None and experiment is not None:
        source = Store(uri).tagged(experiment, RETRAINED_TAG, f"{search}/{training.key}")
        if source is not None:
            run, points = source.run, training.points(source.started + training.took)
    number = _log(client, uri, entry, points, name=name, run=run, description=description)
    for key, value in {**tags, WEIGHTS_TAG: weights}.items():
        client.set_model_version_tag(name, number, key, value)
    return number


def _log(
    client: Any, uri: str, entry: Registrable, points: Sequence[Point], *, name: str, run: str, description: str
) -> str:
    """The new version's number. `points` are what the run has already of these weights.

    No run is made active: a notebook that tracks work of its own has one, and an experiment, and both stay as they are.
    """
    import mlflow.pytorch
    from mlflow.entities import Metric
    from mlflow.models import infer_signature

    from archsearch.network import build
    from archsearch.training.checkpoint import weights_from_bytes

    model = build(entry.architecture)
    model.load_state_dict(weights_from_bytes(entry.weights))
    model.eval()  # what is exported is what is asked
    images = examples(entry.architecture)
    experiment = client.get_run(run).info.experiment_id
    with current_store(uri):
        logged = mlflow.pytorch.log_model(
            model,
            model_id=client.create_logged_model(experiment, name="model", source_run_id=run).model_id,
            run_id=run,
            serialization_format="pt2",
            input_example=images,
            signature=infer_signature(images, model.scores(images)),
            pip_requirements=[f"torch=={importlib.metadata.version('torch')}"],
            registered_model_name=name,
            metadata={"architecture": entry.architecture.to_yaml(), "confirmed": entry.winner.of == "confirm"},
        )
    # Point by point what the run has already, so that it gets no second one: MLflow puts a model's metrics there too.
    metrics = [Metric(p.key, p.value, p.milliseconds, p.step, model_id=logged.model_id) for p in points]
    client.log_batch(run, metrics=metrics)
    version = str(logged.registered_model_version)
    client.update_model_version(name, version, description)
    return version


def examples(network: Architecture) -> npt.NDArray[np.float32]:
    """Images as the network sees them, (N, C, H, W): of mean 0 and deviation 1, from a fixed seed."""
    return np.random.default_rng(0).standard_normal((EXAMPLES, *network.input)).astype(np.float32)


def _described(folder: ExperimentFolder, entry: Registrable) -> str:
    """What one must know to use it, as Markdown."""
    winner = entry.winner
    sentence = f"The network `{digest(entry.architecture)}` of the search `{folder.name}`, trial {winner.trial.id}"
    if winner.of == "confirm":
        count = f"{winner.seeds} seed{'s' if winner.seeds != 1 else ''}"
        figures = "accuracies" if winner.objective.name == ACCURACY else "scores"
        sentence += f", retrained with {count} by `archsearch confirm`; {figures} are means over them"
    elif winner.of == "finish":
        sentence += f", retrained for {winner.epochs} epochs after the search"
    sentence += "."
    if winner.of == "confirm" and entry.training is not None:
        value = winner.objective.named(entry.training.value)
        sentence += f" The weights are those of seed {entry.training.result['seed']}: {value} on the validation split."
    if winner.sha256 is None:
        sentence += " The ledger, written by an earlier archsearch, has no SHA-256 of these weights."
    rounded = {key: round(value, 6) for key, value in entry.metrics.items()}
    inputs = ", ".join(map(str, entry.architecture.input))
    return (
        f"{sentence}\n\nTakes float32 images (N, {inputs}), normalised as in training "
        f"(`{command_of(folder, 'export', '-o', 'bundle')}` writes preprocessing and labels), and gives "
        f"{entry.architecture.classes} scores an image.\n\n```json\n{json.dumps(rounded, indent=1)}\n```"
    )
