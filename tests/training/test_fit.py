from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.network import build
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.checkpoint import weights_from_bytes
from archsearch.training.fit import train_architecture
from archsearch.training.loop import Training
from archsearch.training.measuring import threads as measuring
from archsearch.training.measuring.precision import Chosen
from archsearch.training.run import TrainingRun

ARCHITECTURE = Architecture.from_dict(
    {
        "name": "small",
        "input": [1, 8, 8],
        "stem": {"width": 8},
        "stages": [{"depth": 2, "width": 8, "stride": 1}, {"depth": 1, "width": 16}],
        "survival": {"schedule": "linear", "last": 0.7},
    }
)
SETTINGS = TrainingSettings(epochs=4, batch_size=32, device="cpu")
RUN = TrainingRun(settings=SETTINGS, seed=1)


@pytest.fixture(scope="module")
def images():
    return load_images(DataSettings(limit=600))


def lasting(history: list[dict]) -> list[dict]:
    return [{k: v for k, v in m.items() if k not in ("seconds", "images_per_second")} for m in history]


def test_the_folder_holds_the_network_that_was_trained(images, tmp_path):
    seen = []
    result = train_architecture(ARCHITECTURE, images, replace(RUN, threads=1), tmp_path / "out", on_epoch=seen.append)
    folder = tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["model.yaml", "result.json", "weights.safetensors"]
    assert json.loads((folder / "result.json").read_text()) == result
    assert [m.to_dict() for m in seen] == result["history"] and len(seen) == 4
    again = Architecture.from_yaml(folder / "model.yaml")
    assert digest(again) == digest(ARCHITECTURE) == result["digest"]
    model = build(again, seed=7)
    model.load_state_dict(weights_from_bytes((folder / "weights.safetensors").read_bytes()))
    found = Training(model, images, SETTINGS, seed=0).evaluate("test")
    assert found.accuracy == result["test"]["accuracy"] > 0.5
    assert result["validation"]["accuracy"] == seen[-1].validation_accuracy
    assert result["params"] == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("stopped_after", [1, 3])
def test_an_interrupted_training_goes_on_and_ends_the_same(images, tmp_path, stopped_after):
    def train(folder, on_epoch=None):
        return train_architecture(
            ARCHITECTURE, images, replace(RUN, threads=1), folder, on_epoch=on_epoch, checkpoint_seconds=0
        )

    def interrupt(metrics):
        if metrics.epoch == stopped_after:
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", interrupt)
    resumed_at = []
    resumed = train(tmp_path / "cut", lambda metrics: resumed_at.append(metrics.epoch))
    assert resumed_at[0] == stopped_after + 1
    assert lasting(resumed["history"]) == lasting(whole["history"]) and resumed["test"] == whole["test"]
    one, other = (weights_from_bytes((tmp_path / n / "weights.safetensors").read_bytes()) for n in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_another_training_is_not_used(images, tmp_path):
    def interrupt(metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_architecture(ARCHITECTURE, images, RUN, tmp_path, on_epoch=interrupt, checkpoint_seconds=0)
    seen = []
    train_architecture(ARCHITECTURE, images, replace(RUN, seed=2), tmp_path, on_epoch=seen.append)
    assert [m.epoch for m in seen] == [1, 2, 3, 4]


def test_a_precision_is_measured_where_neither_the_run_nor_its_settings_fix_it(images, tmp_path, monkeypatch):
    measured = []

    def choose(architecture, settings, *, device, threads):
        measured.append((architecture, threads))
        return Chosen(precision="bfloat16", float32_ms=2.0, bfloat16_ms=1.0, device_name="a CPU", threads=threads)

    monkeypatch.setattr(measuring, "choose_precision", choose)
    cases = [("float32", None), ("auto", "float32"), ("float32", "bfloat16"), ("auto", None)]
    trained = []
    for number, (word, precision) in enumerate(cases):
        settings = SETTINGS.model_copy(update={"epochs": 1, "precision": word})
        run = TrainingRun(settings=settings, seed=1, threads=1, precision=precision)
        trained.append(train_architecture(ARCHITECTURE, images, run, tmp_path / str(number))["precision"])
    assert trained == ["float32", "float32", "bfloat16", "bfloat16"] and measured == [(ARCHITECTURE, 1)]


@pytest.mark.parametrize("words", [{"input": [3, 8, 8]}, {"classes": 9}])
def test_images_of_another_shape_are_refused_before_training(images, tmp_path, words):
    other = Architecture.from_dict({**ARCHITECTURE.to_dict(), **words})
    with pytest.raises(InputError, match=r"digits has \(1, 8, 8\) and 10 classes;"):
        train_architecture(other, images, RUN, tmp_path / "out")
    assert not (tmp_path / "out").exists()
