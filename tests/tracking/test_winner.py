"""The winner in MLflow's registry: the very function that the search trained, without a pickle, once."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

import archsearch
from archsearch.experiment import ExperimentFolder, Ledger, Trial
from archsearch.tracking import register, sync
from archsearch.training.checkpoint import weights_from_bytes, weights_to_bytes
from tests.search.local import drive_locally, tiny
from tests.tracking.stores import a_copy


def all_points(store: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT run_uuid, key, step, value, timestamp FROM metrics ORDER BY 1, 2, 3, 4, 5").fetchall()


def test_what_is_not_there_is_not_registered(tmp_path: Path) -> None:
    _, folder = tiny(tmp_path)
    assert register(folder, f"sqlite:///{tmp_path}/mlflow.db") is None
    assert not (tmp_path / "mlflow.db").exists()


def test_the_winner_is_loaded_from_the_registry_and_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: str
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    uri = a_copy(empty_store, tmp_path / "mlflow.db")
    space, folder = tiny(tmp_path, "search.trials=3", "search.early_stopping={kind: none}")
    drive_locally(space, folder)
    sync(folder, uri)
    with Ledger.open(folder.ledger) as ledger:
        ledger.end("interrupted")
        assert register(folder, uri) is None, "what is best may change yet"
        ledger.end("finished")
        best = ledger.best()
    sync(folder, uri)
    before = all_points(tmp_path / "mlflow.db")
    assert register(folder, uri) == register(folder, uri) == "tiny version 1"
    assert all_points(tmp_path / "mlflow.db") == before, "the ledger's points, and no other"

    import mlflow.pytorch
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri, uri)
    (version,) = client.search_model_versions("name = 'tiny'")
    assert version.tags["archsearch.digest"] == best.digest and best.digest in version.description
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.info.status) == (best.id, "FINISHED")
    assert run.info.end_time == round(best.ended * 1000), "the run ended when its trial did"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    model = mlflow.pytorch.load_model("models:/tiny/1")
    network = archsearch.build(archsearch.Architecture.from_dict(dict(best.architecture)))
    network.load_state_dict(weights_from_bytes((folder.trial(best.number) / "weights.safetensors").read_bytes()))
    for count in (1, 2, 7):
        images = np.random.default_rng(count).standard_normal((count, 1, 8, 8)).astype(np.float32)
        with torch.inference_mode():
            assert np.allclose(model(torch.from_numpy(images)).numpy(), network.scores(images), atol=1e-5)

    details = mlflow.models.get_model_info("models:/tiny/1")
    assert details.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    logged = client.get_logged_model(details.model_id)
    assert {metric.key: metric.value for metric in logged.metrics}["validation_accuracy"] == best.value

    _, rival = sorted(ledger_trials(folder), key=lambda trial: trial.number == best.number, reverse=True)[:2]
    weights = weights_to_bytes(
        archsearch.build(archsearch.Architecture.from_dict(dict(rival.architecture))).state_dict()
    )
    folder.confirmation.path.mkdir()
    folder.confirmation.weights.write_bytes(weights)
    with Ledger.open(folder.ledger) as ledger:
        note = {"winner": rival.id, "seeds": 3, "validation_accuracy": 0.75, "test_accuracy": 0.5}
        ledger.note("confirmed", {**note, "weights": sha256(weights).hexdigest()}, trial=rival.number)
    sync(folder, uri)
    assert register(folder, uri) == "tiny version 2"
    version = client.get_model_version("tiny", "2")
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.data.tags["archsearch.best"]) == (rival.id, "true"), "the confirmed trial's own run"
    assert "archsearch.best" not in client.get_run(client.get_model_version("tiny", "1").run_id).data.tags
    assert f"trial {rival.id}, retrained with 3 seeds" in version.description
    assert '"validation_accuracy": 0.75' in version.description and '"test_accuracy": 0.5' in version.description
    (whole,) = [run for run in client.search_runs([run.info.experiment_id]) if run.info.run_name == "tiny"]
    assert whole.data.tags["archsearch.best_trial"] == rival.id and whole.data.metrics["best_accuracy"] == 0.75


@pytest.mark.parametrize("variables", [{}, {"MLFLOW_REGISTRY_URI": "sqlite:///{}/registry.db"}])
def test_a_program_that_tracks_work_of_its_own_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], empty_store: str
) -> None:
    import mlflow

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    space, folder = tiny(tmp_path, "search.trials=1", "search.early_stopping={kind: none}")
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:
        ledger.end("finished")
    uri, own = (a_copy(empty_store, tmp_path / name) for name in ("mlflow.db", "own.db"))
    a_copy(empty_store, tmp_path / "registry.db")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    sync(folder, uri)
    mlflow.set_tracking_uri(own)
    before = (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), os.environ.get("MLFLOW_REGISTRY_URI"))
    try:
        with mlflow.start_run(experiment_id=mlflow.MlflowClient(own).create_experiment("mine")) as run:
            assert register(folder, uri) == "tiny version 1"
            assert mlflow.active_run().info.run_id == run.info.run_id
            mlflow.log_metric("mine", 1)
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), os.environ.get("MLFLOW_REGISTRY_URI")) == before
        assert mlflow.MlflowClient(own).get_run(run.info.run_id).data.metrics == {"mine": 1}
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    client = mlflow.MlflowClient(uri, uri)
    model = client.get_logged_model(client.get_model_version("tiny", "1").source.removeprefix("models:/"))
    source = client.get_run(model.source_run_id)
    assert source.info.run_name == "t0001" and source.info.status == "FINISHED"
    assert (model.experiment_id, str(model.status)) == (source.info.experiment_id, "READY")


@pytest.mark.parametrize("of", ["finish", "confirm"])
def test_a_winner_trained_after_the_search_has_that_training_for_its_source(
    tmp_path: Path, of: str, empty_store: str
) -> None:
    uri = a_copy(empty_store, tmp_path / "mlflow.db")
    space, folder = tiny(tmp_path, "search.trials=2", "search.early_stopping={kind: none}")
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:
        ledger.end("finished")
        best = ledger.best()
    weights = retrain(folder, best, of, seed=7, validation=0.96, test=None)
    retrain(folder, best, of, seed=8, validation=0.9, test=None)
    sync(folder, uri)
    with Ledger.open(folder.ledger) as ledger:
        note = {"winner": best.id, "validation_accuracy": 0.93, "weights": sha256(weights).hexdigest()}
        if of == "confirm":
            ledger.note("confirmed", {**note, "seeds": 2, "test_accuracy": 0.85}, trial=best.number)
        else:
            ledger.note("finished_training", {**note, "of": "finish", "epochs": 4, "seed": 7}, trial=best.number)
            ledger.note("finish_tested", {"test_accuracy": 0.89}, trial=best.number)
    # The driver was killed before it looked at the test split.
    assert retrain(folder, best, of, seed=7, validation=0.96, test=0.89) == weights
    for _ in range(2):
        sync(folder, uri)
    before = all_points(tmp_path / "mlflow.db")
    assert register(folder, uri) == register(folder, uri) == "tiny version 1"
    assert all_points(tmp_path / "mlflow.db") == before, "registering adds no point"

    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri, uri)
    version = client.get_model_version("tiny", "1")
    run = client.get_run(version.run_id)
    points = [point[1:3] for point in before if point[0] == version.run_id]
    assert len(set(points)) == len(points), "each point stands once"
    assert (run.info.run_name, run.info.status) == (f"{of} {best.id} seed 7", "FINISHED")
    assert run.info.end_time - run.info.start_time == 5000, "it took five seconds"
    figures = {"accuracy": 0.96, "final_accuracy": 0.96, "test_accuracy": 0.89, "flops": best.cost["flops"]}
    assert run.data.metrics.items() >= figures.items()
    assert run.data.params == {
        **{key: str(value) for key, value in best.choices.items()},
        "digest": best.digest,
        "seed": "7",
    }
    assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, "validation_accuracy")] == [
        (1, 0.5), (2, 0.96)
    ]  # fmt: skip
    logged = client.get_logged_model(client.get_run(version.run_id).outputs.model_outputs[0].model_id)
    assert {metric.key: metric.value for metric in logged.metrics}.items() >= figures.items(), (
        "the version's own figures"
    )
    sentence = "The weights are those of seed 7: 96.00 % on the validation split."
    assert (sentence in version.description) == (of == "confirm")


def retrain(
    folder: ExperimentFolder, trial: Trial, of: str, *, seed: int, validation: float, test: float | None
) -> bytes:
    """What a training after the search leaves, with made-up figures; of seed 7 the winner's file too. Its weights."""
    files = folder.confirmation if of == "confirm" else folder.finish
    run = files.run(trial.digest, seed)
    run.path.mkdir(parents=True, exist_ok=True)
    network = archsearch.Architecture.from_dict(dict(trial.architecture))
    state = weights_from_bytes(folder.weights(trial.number).read_bytes())
    weights = weights_to_bytes({name: tensor + seed for name, tensor in state.items()})
    run.model_yaml.write_text(network.to_yaml())
    epochs = [
        {"epoch": 1, "epochs": 2, "validation_accuracy": 0.5},
        {"epoch": 2, "epochs": 2, "validation_accuracy": validation},
    ]
    result = {
        "digest": trial.digest, "seed": seed, "epochs": 2, "folder": str(run.path), "device": "cpu",
        "precision": "float32", "seconds": 5.0, "validation": {"accuracy": validation, "loss": 0.2},
        "test": None if test is None else {"accuracy": test, "loss": 0.3},
        "weights": {"file": "weights.safetensors", "sha256": sha256(weights).hexdigest()}, "history": epochs,
    }  # fmt: skip
    run.result.write_text(json.dumps(result))
    if seed == 7:
        files.weights.write_bytes(weights)
    return weights


def ledger_trials(folder: ExperimentFolder) -> list[Trial]:
    with Ledger.read(folder.ledger) as ledger:
        return ledger.trials()
